"""Manages the folder of a run: its files, its lock, and the checks before a training."""

import dataclasses
import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fashion_gan import files
from fashion_gan.runs.config import Config
from fashion_gan.training.backups import list_backups, newest_backup, newest_position

if TYPE_CHECKING:
    from fashion_gan.data import Split

try:
    import fcntl
except ImportError:  # Windows has no fcntl, so that folders are not locked there
    fcntl = None  # type: ignore[assignment]

__all__ = ["DatasetInfo", "RunDirectory", "changed_settings"]

_CONFIG, _DATA, _VERSIONS, _LOCK = "config.json", "data.json", "versions.json", ".lock"

_DATA_SETTINGS = ("data", "skip_corrupt")
"""Settings that may change if the images stay the same."""

_MAX_SIDE = 2**16  # of an image, as `data.json` may state it


@dataclass(frozen=True)
class DatasetInfo:
    """Properties of a dataset that its networks depend on.

    Attributes:
        image_shape: Height, width and channels of an image.
        num_images: Number of training images.
        class_names: Names of the classes, or None without classes.
    """

    image_shape: tuple[int, int, int]
    num_images: int
    class_names: tuple[str, ...] | None

    @classmethod
    def from_split(cls, split: "Split") -> "DatasetInfo":
        """Returns the info of loaded images."""
        height, width, channels = split.train_images.shape[1:]
        return cls((height, width, channels), len(split.train_images), split.class_names)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "DatasetInfo":
        """Returns the info in the content of `data.json`.

        Raises:
            ValueError: If the content lacks the info or is damaged.
        """
        shape, num_images = content.get("image_shape"), content.get("train_images")
        names = content.get("class_names")
        if not (
            isinstance(shape, list)
            and len(shape) == 3
            and all(type(size) is int and 0 < size <= _MAX_SIDE for size in shape)
            and type(num_images) is int
            and num_images > 0
            and (names is None or isinstance(names, list) and all(type(n) is str for n in names))
        ):
            raise ValueError(
                "Expected image_shape, train_images and class_names of a data set. Received: "
                f"{str(content)[:80]}. Restore the file."
            )
        class_names = None if names is None else tuple(names)
        return cls((shape[0], shape[1], shape[2]), num_images, class_names)


class RunDirectory:
    """Reads and writes the folder of a run.

    | path | content |
    |---|---|
    | `config.json` | settings of the run |
    | `versions.json` | versions of the packages that trained it |
    | `data.json` | number, shape, classes and SHA-256 of the images, if they are your own |
    | `train`, `validation`, `images`, `baselines`, `projector` | events for TensorBoard |
    | `samples` | image grids as PNG files, one for each epoch |
    | `metrics.jsonl` | metrics, one line for each epoch |
    | `monitor.json` | state of `ModeCollapseMonitor` |
    | `clusters.png` | clusters of your own images, whose numbers appear in warnings |
    | `backup` | states to resume from |
    | `averages` | averages of the generator after each epoch, with `post_hoc_ema` |
    | `average.keras` | the GAN with the average that `fashion-gan average` chose |
    | `.lock` | the process that trains, and its lock |
    | `best.keras` | the GAN with the best score of a quick evaluation so far |
    | `model.keras`, `scores.json` | the trained GAN and its scores, once training has ended |

    Args:
        path: Folder of the run. It need not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.best_path = self.path / files.BEST
        self.metrics_path = self.path / files.METRICS
        self.model_path = self.path / files.MODEL
        self.monitor_path = self.path / files.MONITOR
        self.samples_dir = self.path / files.SAMPLES
        self.scores_path = self.path / files.SCORES
        self.backup_dir = self.path / files.BACKUP
        self.averages_dir = self.path / files.AVERAGES
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
            default: Config to return if no run has begun in the folder. Defaults to None.

        Raises:
            FileNotFoundError: If no run has begun in the folder and there is no default.
            ValueError: If `config.json` holds no valid config.
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
            resume: Whether to resume a run in the folder.

        Raises:
            BlockingIOError: If a process of this host trains in the folder.
            FileExistsError: If the folder holds a run and `resume` is False; if it holds other
                files but no run; if the path is a file.
            ValueError: If the run has another config. Only the path of the images may change, and
                `epochs`, which may not fall below the finished epochs. Also if a link in the
                folder leads out of it, or if a finished run has no backups.
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
            self._check_config(config)
            if self.model_path.exists() and not list_backups(self.backup_dir):
                raise ValueError(
                    f"Expected the backups of the finished run in {self} in {self.backup_dir}. "
                    "Received: none. Restore them, or start a new run from its weights with "
                    f"--init-from {self}."
                )
        elif self.path.exists() and any(path.name != _LOCK for path in self.path.iterdir()):
            raise FileExistsError(
                f"{self} is not empty, and holds no run to resume. Name another folder."
            )
        if self.is_locked():
            raise self._locked_error(files.read_text(self._lock_path))

    def _check_config(self, config: Config) -> None:
        """Checks that the run in the folder can be resumed with `config`."""
        before = self.read_config()
        changes = changed_settings(before, config)
        if before.data and config.data:  # `check_images` compares the images themselves
            for name in _DATA_SETTINGS:
                changes.pop(name, None)
        if "epochs" in changes:
            backup = newest_backup(self.backup_dir)
            done = backup.epoch if backup else 0
            if config.epochs >= done:
                del changes["epochs"]
            else:
                changes["epochs"] += f", but {done:,} are done"
        if changes:
            raise ValueError(
                f"A resumed run keeps its config: {'; '.join(changes.values())}. Omit these "
                "settings, or name another folder."
            )

    def check_images(
        self, split: "Split", config: Config | None = None, *, allow_changed: bool = False
    ) -> str:
        """Checks that the images have not changed since the run began.

        Args:
            split: Current images.
            config: Config to train. Defaults to the config of the run.
            allow_changed: Whether to accept different images of the same shape. A conditional run
                needs the same classes as well. Defaults to False.

        Returns:
            A phrase on the changes, or an empty string.

        Raises:
            ValueError: If the images have changed, since different images would be held out.
        """
        path = self.path / _DATA
        if not path.exists():
            self._check_place(config)
            return ""
        before, now = self._read_fingerprint(), _fingerprint(split)
        if _same_images(before, now):
            return ""
        changes = _describe_changes(before, now)
        if not allow_changed:
            remedy = "" if config is None else ", resume with --allow-changed-data"
            raise ValueError(
                f"Expected the {before['images']:,} images with which the run in {self} started. "
                f"Received: {now['images']:,} images, or others ({changes}). Restore the "
                f"images{remedy}, or start a new run."
            )
        self._check_fit(before, now, config)
        return changes

    def _check_place(self, config: Config | None) -> None:
        """Checks that images without a fingerprint have the same path as when the run began."""
        if config is None or not self.exists():
            return
        before = self.read_config()
        if any(getattr(before, name) != getattr(config, name) for name in _DATA_SETTINGS):
            raise ValueError(
                f"Expected {self.path / _DATA}, which describes the images of {before.data}. "
                f"Received: none. Resume with the images in {before.data}, or start a new run."
            )

    def _check_fit(
        self, before: dict[str, Any], now: dict[str, Any], config: Config | None
    ) -> None:
        """Checks that changed images fit the networks."""
        conditional = config is not None and config.conditional
        for name in ("image_shape", "class_names") if conditional else ("image_shape",):
            if name in before and before[name] != now[name]:
                raise ValueError(
                    f"Expected images as in the run in {self}, with "
                    f"{name}={before[name]}. Received: {name}={now[name]}. Start a new run."
                )

    def _read_fingerprint(self) -> dict[str, Any]:
        path = self.path / _DATA
        content = files.read_json(path)
        kinds = {"images": int, "sha256": str}
        if not isinstance(content, dict) or any(
            type(content.get(name)) is not kind for name, kind in kinds.items()
        ):
            raise ValueError(
                f"Expected {path} to hold the number and the SHA-256 of the images. Received: "
                f"{str(content)[:80]}. Restore the file, or start a new run."
            )
        return content

    def read_data_sha256(self) -> str:
        """Returns the SHA-256 of the images, or an empty string if there is no `data.json`.

        Raises:
            ValueError: If `data.json` holds no SHA-256.
        """
        return self._read_fingerprint()["sha256"] if (self.path / _DATA).exists() else ""

    def read_dataset_info(self) -> DatasetInfo:
        """Returns the dataset info of a run on your own images.

        Raises:
            FileNotFoundError: If there is no `data.json`.
            ValueError: If `data.json` holds no dataset info, as in older runs.
        """
        path = self.path / _DATA
        try:
            return DatasetInfo.from_dict(dict(files.read_json(path)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error

    def begin(self, config: Config, versions: dict[str, Any], split: "Split") -> None:
        """Writes the description of the run: `config.json`, `versions.json` and `data.json`.

        Removes partial files of an interrupted training, so the caller must hold the lock of the
        folder. If the images have changed, `data.json` lists the earlier images under `earlier`.

        Args:
            config: Config of the run.
            versions: Versions of the packages that train the run.
            split: Images of the run. Fashion-MNIST needs no `data.json`.
        """
        files.remove_partials(self.path)
        files.write_json(self.config_path, dataclasses.asdict(config))
        files.write_json(self.path / _VERSIONS, versions)
        if config.data:
            self._write_fingerprint(_fingerprint(split))

    def _write_fingerprint(self, now: dict[str, Any]) -> None:
        path = self.path / _DATA
        before = self._read_fingerprint() if path.exists() else now
        earlier = before.pop("earlier", [])
        earlier = earlier if isinstance(earlier, list) else []
        if not _same_images(before, now):
            epoch, batch = newest_position(self.backup_dir) or (0, 0)
            earlier = [*earlier, {**before, "until": {"epoch": epoch, "batch": batch}}]
        files.write_json(path, {**now, **({"earlier": earlier} if earlier else {})})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Creates the folder and locks it until the block or the process ends, even by SIGKILL.

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
            except OSError:  # some network disks do not support locks
                yield
                return
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Returns whether a process of this host currently trains in the folder."""
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
    """Opens a regular file, without following links or waiting for a pipe.

    Raises:
        ValueError: If the path is not a regular file.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if path.is_symlink() or path.exists() and not path.is_file():
            raise ValueError(
                f"Expected a regular file. Received: {path}, which is not one. Remove it."
            ) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"Expected a regular file. Received: {path}, which is not one. Remove it.")
    return open(descriptor, "r+" if flags & os.O_RDWR else "r")


def changed_settings(before: Config, now: Config) -> dict[str, str]:
    """Returns the settings that differ between two configs, with a phrase on both values."""
    names = [field.name for field in dataclasses.fields(Config)]
    return {
        name: f"{name} was {getattr(before, name)!r}, now {getattr(now, name)!r}"
        for name in names
        if getattr(before, name) != getattr(now, name)
    }


def _same_images(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Returns whether two fingerprints match; a missing shape, as in older runs, is ignored."""
    names = ("images", "sha256", "image_shape")
    return all(before[name] == now[name] for name in names if name in before)


def _describe_changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    phrases = [f"{before['images']:,} images before, {now['images']:,} now"]
    for name in ("image_shape", "class_names"):
        if name in before and before[name] != now[name]:
            phrases.append(f"{name} {before[name]} before, {now[name]} now")
    return "; ".join(phrases)


def _fingerprint(split: "Split") -> dict[str, Any]:
    import numpy as np

    from fashion_gan.data.image_view import iter_chunks

    digest = hashlib.sha256(repr(split.class_names).encode())
    for images, labels in (
        (split.train_images, split.train_labels),
        (split.test_images, split.test_labels),
    ):
        for chunk in iter_chunks(images):
            digest.update(np.ascontiguousarray(chunk).data)
        if labels is not None:
            digest.update(np.ascontiguousarray(labels).data)
    info = DatasetInfo.from_split(split)
    return {
        "images": len(split.train_images) + split.held_out,
        "sha256": digest.hexdigest(),
        "train_images": info.num_images,
        "image_shape": list(info.image_shape),
        "class_names": None if info.class_names is None else list(info.class_names),
    }
