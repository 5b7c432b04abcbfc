"""Files and folders that appear complete or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "BACKUP",
    "METRICS",
    "MODEL",
    "MONITOR",
    "SAMPLES",
    "SCORES",
    "atomic_write",
    "create_dir_or_undo",
    "flush",
    "is_partial",
    "unique_dir",
    "write_json",
]

# Names in the folder of a run that callbacks share with `runs.directory.RunDirectory`.
BACKUP, METRICS, MODEL = "backup", "metrics.jsonl", "model.keras"
MONITOR, SAMPLES, SCORES = "monitor.json", "samples", "scores.json"

_PREFIX = ".partial-"


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path, whose file or folder replaces `path` when the block ends.

    The temporary path lies beside `path`, in a folder of its own that no other process uses. It has
    the lower-case ending of `path`, since many writers derive the format from it. A file is flushed
    to the disk before it is renamed. If the block raises, what it wrote is removed, and an older
    `path` stays as it is.

    Args:
        path: File or folder to write. Missing parent folders are created. An older file is
            replaced; a folder that holds something is not.

    Raises:
        OSError: If `path` cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder, so that what is created within has the usual permissions, and neither a pattern
    # such as *.png nor TensorBoard's search for event files matches it.
    scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
    try:
        partial = scratch / f"partial{path.suffix.lower()}"
        yield partial
        if partial.is_file():
            flush(partial)
        os.replace(partial, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    scratch.rmdir()


def flush(path: Path) -> None:
    """Flushes a file or the entries of a folder to the disk.

    A folder that cannot be opened or flushed is left to the system: Windows opens no folder, and
    some network disks flush none.

    Args:
        path: File or folder to flush.

    Raises:
        OSError: If a file cannot be flushed.
    """
    if not path.is_dir():
        with path.open("rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_partial(path: Path) -> bool:
    """Returns whether `atomic_write` created a path, as its temporary folder or within one."""
    return path.name.startswith(_PREFIX) or path.parent.name.startswith(_PREFIX)


def write_json(
    path: str | os.PathLike[str], content: Any, *, indent: int | None = 1, sort_keys: bool = False
) -> None:
    """Writes a JSON file with `atomic_write`.

    Args:
        path: File to write.
        content: Value that `json.dumps` accepts.
        indent: Number of spaces per level, or `None` for a single line. Defaults to 1.
        sort_keys: Whether to sort the keys. Defaults to False.
    """
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=indent, sort_keys=sort_keys) + "\n")


@contextmanager
def create_dir_or_undo(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Creates a folder, and removes it again if the block raises and left it empty.

    Args:
        folder: Folder to create. Missing parent folders are created and removed with it.
    """
    folder = Path(folder)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the folder holds something
            for path in new:
                path.rmdir()
        raise


@contextmanager
def unique_dir(parent: str | os.PathLike[str], name: str) -> Iterator[Path]:
    """Creates `parent/name`, or `parent/name-2` and so on if it exists, and yields its path.

    The folder is removed at the end if it is still empty.

    Args:
        parent: Folder to create it in.
        name: Name of the new folder.
    """
    number = 1
    while True:
        folder = Path(parent) / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
    try:
        yield folder
    finally:
        with suppress(OSError):  # the folder holds something
            folder.rmdir()
