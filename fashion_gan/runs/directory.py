"""The folder of a run: its files, its lock, and whether a training may begin in it."""

import dataclasses
import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fashion_gan import files
from fashion_gan.runs.config import Config

if TYPE_CHECKING:
    from fashion_gan.data import Split

try:
    import fcntl
except ImportError:  # Windows has none: there a folder cannot be locked
    fcntl = None  # type: ignore[assignment]

__all__ = ["RunDirectory", "changed_settings"]

_CONFIG, _DATA, _VERSIONS, _LOCK = "config.json", "data.json", "versions.json", ".lock"


class RunDirectory:
    """The folder of a run.

    | path | content |
    |---|---|
    | `config.json` | settings of the run |
    | `versions.json` | versions of the packages that trained it |
    | `data.json` | number and SHA-256 of the images, if they are not Fashion-MNIST |
    | `train`, `validation`, `images`, `projector` | events for TensorBoard |
    | `samples` | image grids as PNG files, one for each epoch |
    | `metrics.jsonl` | metrics, one line for each epoch |
    | `monitor.json` | state of `ModeCollapseMonitor` |
    | `backup` | states to resume from |
    | `.lock` | the process that trains, and its lock |
    | `model.keras`, `scores.json` | the trained GAN and its scores, once training has ended |

    Args:
        path: Folder of the run. It need not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.metrics_path = self.path / files.METRICS
        self.model_path = self.path / files.MODEL
        self.monitor_path = self.path / files.MONITOR
        self.samples_dir = self.path / files.SAMPLES
        self.scores_path = self.path / files.SCORES
        self.backup_dir = self.path / files.BACKUP
        self.config_path = self.path / _CONFIG
        self._lock_path = self.path / _LOCK

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Returns whether a run has begun in the folder."""
        return os.path.lexists(self.config_path)

    def read_config(self, default: Config | None = None) -> Config:
        """Returns the config of the run.

        Args:
            default: Config to return if no run has begun in the folder.

        Raises:
            FileNotFoundError: If no run has begun in the folder, and there is no default.
            ValueError: If `config.json` holds no config.
        """
        if default is not None and not self.exists():
            return default
        try:
            return Config.from_dict(dict(files.read_json(self.config_path)))
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{self.config_path} holds no config of a run: {error}") from error

    def check_available(self, config: Config, resume: bool) -> None:
        """Checks that a training may begin or resume in the folder.

        Args:
            config: Config to train.
            resume: Whether a run in the folder is to be resumed.

        Raises:
            BlockingIOError: If a process of this host trains in the folder.
            FileExistsError: If the folder holds something that is not to be resumed.
            ValueError: If the run has another config, of which only `epochs` may grow; if a link in
                the folder leads out of it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self} is a file. Name a folder for the run.")
        if self.path.exists():
            files.check_no_links_out(self.path)
        if self.exists():
            if not resume:
                raise FileExistsError(
                    f"{self} is not empty. Resume the run in it with --resume, or name another "
                    "folder."
                )
            _check_same(config, self.read_config())
        elif self.path.exists() and any(path.name != _LOCK for path in self.path.iterdir()):
            raise FileExistsError(
                f"{self} is not empty, and holds no run to resume. Name another folder."
            )
        if self.is_locked():
            raise self._locked_error(files.read_text(self._lock_path))

    def check_images(self, split: "Split") -> None:
        """Checks that the images are those that the run began with.

        Raises:
            ValueError: If they have changed, since others would be held out.
        """
        path = self.path / _DATA
        if not path.exists():
            return
        before, now = files.read_json(path), _fingerprint(split)
        if not isinstance(before, dict) or {k: type(v) for k, v in before.items()} != {
            k: type(v) for k, v in now.items()
        }:
            raise ValueError(
                f"Expected {path} to hold the number and the SHA-256 of the images. Received: "
                f"{str(before)[:80]}. Restore the file, or begin a new run."
            )
        if before != now:
            raise ValueError(
                f"Expected the images that the run in {self} began with, {before['images']:,} of "
                f"them. Received: {now['images']:,} images, or others. Restore the images, or "
                "begin a new run."
            )

    def begin(self, config: Config, versions: dict[str, Any], split: "Split") -> None:
        """Writes what describes the run: `config.json`, `versions.json` and `data.json`.

        What an interrupted training left half written is removed; hold the lock of the folder.

        Args:
            config: Config of the run.
            versions: Versions of the packages that train it.
            split: Images of the run. Fashion-MNIST needs no `data.json`.
        """
        files.remove_partials(self.path)
        files.write_json(self.config_path, dataclasses.asdict(config))
        files.write_json(self.path / _VERSIONS, versions)
        if config.data:
            files.write_json(self.path / _DATA, _fingerprint(split))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Creates the folder and locks it for this process; SIGKILL unlocks it as well.

        Raises:
            BlockingIOError: If another process holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            yield
            return
        with _open_lock(self._lock_path, os.O_RDWR | os.O_CREAT) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise self._locked_error(file.read()) from None
            except OSError:  # a network disk that cannot lock
                yield
                return
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Returns whether a process of this host trains in the folder now."""
        if fcntl is None or not self._lock_path.is_file() or self._lock_path.is_symlink():
            return False
        with _open_lock(self._lock_path, os.O_RDONLY) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                return False
        return False

    def _locked_error(self, holder: str) -> BlockingIOError:
        return BlockingIOError(
            f"A training is under way in {self} ({holder.strip() or 'just begun'}). Wait until it "
            "ends, or name another folder."
        )


def _open_lock(path: Path, flags: int) -> IO[str]:
    """Opens a regular file that is no link, and does not wait for a pipe.

    Raises:
        ValueError: If the path is anything else.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if path.is_symlink() or path.exists() and not path.is_file():
            raise ValueError(
                f"Expected a regular file. Received: {path}, which is none. Remove it."
            ) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"Expected a regular file. Received: {path}, which is none. Remove it.")
    return open(descriptor, "r+" if flags & os.O_RDWR else "r")


def changed_settings(before: Config, now: Config) -> dict[str, str]:
    """Returns the settings that differ between two configs, each with a phrase on both values."""
    names = [field.name for field in dataclasses.fields(Config)]
    return {
        name: f"{name} was {getattr(before, name)!r}, now {getattr(now, name)!r}"
        for name in names
        if getattr(before, name) != getattr(now, name)
    }


def _check_same(config: Config, before: Config) -> None:
    changes = changed_settings(before, config)
    if config.epochs > before.epochs:
        del changes["epochs"]
    elif "epochs" in changes:
        changes["epochs"] += ": it may only grow"
    if changes:
        raise ValueError(
            f"A resumed run keeps its config: {'; '.join(changes.values())}. Omit these settings, "
            "or name another folder."
        )


def _fingerprint(split: "Split") -> dict[str, Any]:
    import numpy as np

    from fashion_gan.data.image_view import iter_chunks

    parts = (split.train_images, split.train_labels, split.test_images, split.test_labels)
    digest = hashlib.sha256(repr(split.class_names).encode())
    for part in parts:
        for chunk in () if part is None else iter_chunks(part):
            digest.update(np.ascontiguousarray(chunk).data)
    return {"images": len(parts[0]) + len(parts[2]), "sha256": digest.hexdigest()}
