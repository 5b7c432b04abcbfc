"""The folder of a run: what its files are called, whose it is, and how far the run has come."""

import dataclasses
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_gan.config import Config

try:
    import fcntl
except ImportError:  # Windows has none: there a folder cannot be locked
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "CONFIG",
    "METRICS",
    "MODEL",
    "MONITOR",
    "SAMPLES",
    "SCORES",
    "check_free",
    "differences",
    "is_run",
    "is_running",
    "occupied",
    "read_config",
]

CONFIG, MODEL, METRICS = "config.json", "model.keras", "metrics.jsonl"
MONITOR, SCORES, SAMPLES = "monitor.json", "scores.json", "samples"
_LOCK = ".lock"


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return (Path(folder) / CONFIG).exists()


def read_config(folder: str | os.PathLike[str], default: Config | None = None) -> Config:
    """The config of a run folder, or `default` if no run has begun there.

    Raises:
        FileNotFoundError: if no run has begun there, and there is no default.
        ValueError: if its `config.json` is not one.
    """
    path = Path(folder) / CONFIG
    if default is not None and not path.exists():
        return default
    try:
        return Config.from_dict(dict(json.loads(path.read_text())))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no config of a run: {error}") from error


def check_free(folder: Path, config: Config, resume: bool) -> None:
    """Make sure that a run of this config may begin in a folder, or go on there.

    Raises:
        BlockingIOError: if a process of this host trains there.
        FileExistsError: if it holds something that is not to be resumed.
        ValueError: if the run to be resumed has another config, of which only `epochs` may grow.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name a folder for the run.")
    if is_run(folder):
        if not resume:
            raise FileExistsError(
                f"{folder} is not empty. Go on with the run in it by --resume, or name another "
                "folder."
            )
        _check_same(config, read_config(folder))
    elif folder.exists() and any(path.name != _LOCK for path in folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty, and there is no run in it to go on with. Name another folder."
        )
    if is_running(folder):
        raise _taken(folder, (folder / _LOCK).read_text())


def differences(before: Config, now: Config) -> dict[str, str]:
    """The settings that differ between two configs, each with both its values in words."""
    pairs = {
        field.name: (getattr(before, field.name), getattr(now, field.name))
        for field in dataclasses.fields(now)
    }
    return {
        name: f"{name} was {then!r}, now {value!r}"
        for name, (then, value) in pairs.items()
        if value != then
    }


def _check_same(config: Config, before: Config) -> None:
    changes = differences(before, config)
    if config.epochs > before.epochs:
        del changes["epochs"]
    elif "epochs" in changes:
        changes["epochs"] += ": it may only grow"
    if changes:
        raise ValueError(
            f"A resumed run keeps its config: {'; '.join(changes.values())}. Leave out what "
            "changes it, or name another folder."
        )


def _taken(folder: Path, by: str) -> BlockingIOError:
    return BlockingIOError(
        f"A training is under way in {folder} ({by.strip() or 'just begun'}). Wait until it ends, "
        "or name another folder."
    )


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process alone; it is free again even after SIGKILL.

    Raises:
        BlockingIOError: if another process holds it.
    """
    if fcntl is None:
        yield
        return
    with (folder / _LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _taken(folder, file.read()) from None
        except OSError:  # a disk of another host that cannot lock
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def is_running(folder: str | os.PathLike[str]) -> bool:
    """Whether a process of this host trains in a run folder now."""
    path = Path(folder) / _LOCK
    if fcntl is None or not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
