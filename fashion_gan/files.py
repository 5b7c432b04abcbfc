"""Writes files and folders atomically, and reads files with checks of type and size."""

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "AVERAGES",
    "BACKUP",
    "BEST",
    "CLUSTERS",
    "METRICS",
    "MODEL",
    "MONITOR",
    "SAMPLES",
    "SCORES",
    "atomic_write",
    "cache_dir",
    "create_dir_or_undo",
    "check_no_links_out",
    "check_space",
    "flush",
    "is_partial",
    "read_bytes",
    "read_json",
    "read_text",
    "remove_partials",
    "unique_dir",
    "write_bytes",
    "write_json",
]

# Names in the folder of a run that callbacks share with `runs.directory.RunDirectory`.
AVERAGES, BACKUP, SAMPLES = "averages", "backup", "samples"
BEST, MODEL = "best.keras", "model.keras"
CLUSTERS, METRICS, MONITOR, SCORES = "clusters.png", "metrics.jsonl", "monitor.json", "scores.json"

READ_LIMIT = 256 * 2**20
"""Largest size in bytes of a file that `read_bytes` reads."""

_PREFIX = ".partial-"


def cache_dir() -> Path:
    """Returns the cache folder, `fashion_gan` in `$KERAS_HOME`, whose files can be recreated.

    `$KERAS_HOME` defaults to `~/.keras`.
    """
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "fashion_gan"


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path whose file or folder replaces `path` when the block ends.

    The temporary path is in the same folder as `path`, in a sub-folder that no other process uses.
    It has the lower-case suffix of `path`, since many writers derive the format from the suffix. A
    file is flushed to disk before it is renamed. If the block raises, its output is removed, and an
    existing `path` does not change.

    Args:
        path: File or folder to write. Missing parent folders are created. An existing file is
            replaced. A folder that is not empty is not replaced.

    Raises:
        OSError: If `path` cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # With a sub-folder, files get the usual permissions, and neither a pattern such as *.png nor
    # TensorBoard's search for event files matches them.
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
    shutil.rmtree(scratch, ignore_errors=True)


def flush(path: Path) -> None:
    """Flushes a file or the entries of a folder to the disk.

    Errors for folders are ignored, since Windows cannot open folders, and some network disks cannot
    flush them.

    Args:
        path: File or folder to flush.

    Raises:
        OSError: If a file cannot be flushed.
    """
    if not path.is_dir():
        with path.open("rb+") as file:  # Windows flushes only files that are open for writing
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


def remove_partials(folder: str | os.PathLike[str]) -> None:
    """Removes leftovers of interrupted calls of `atomic_write` in a folder, at any depth.

    Args:
        folder: Folder in which no process is writing.
    """
    for path in Path(folder).rglob(f"{_PREFIX}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file with `atomic_write`, if the disk has enough space.

    Args:
        path: File to write.
        content: Content of the file.

    Raises:
        OSError: If the file cannot be written, or the disk has too little space.
    """
    with atomic_write(path) as partial:
        check_space(partial.parent, len(content))
        partial.write_bytes(content)


def check_space(folder: str | os.PathLike[str], num_bytes: int) -> None:
    """Checks that a disk has enough space, before a write fills it.

    Args:
        folder: Folder on the disk.
        num_bytes: Number of bytes to write.

    Raises:
        OSError: If the disk has too little space.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise OSError(
            errno.ENOSPC, f"No space left on device: {num_bytes:,} bytes needed, {free:,} free"
        )


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


def read_bytes(path: str | os.PathLike[str], limit: int = READ_LIMIT) -> bytes:
    """Reads a regular file up to a size limit, without waiting for a pipe.

    Args:
        path: File to read. Links are followed, see `check_no_links_out`.
        limit: Largest size in bytes. Defaults to 256 MiB.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the path is not a regular file, or the file is larger than the limit.
    """
    path = Path(path)
    _check_regular(path, path.stat(), limit)  # first, since opening a device can have effects
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check_regular(path, status, limit)
        content = file.read(min(status.st_size, limit) + 1)
    if len(content) > limit:
        raise ValueError(f"Expected at most {limit:,} bytes. Received: more in {path}. Remove it.")
    return content


def _check_regular(path: Path, status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(
            f"Expected a regular file. Received: {path}, which is "
            f"{'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe, socket or device'}. "
            "Remove it."
        )
    if status.st_size > limit:
        raise ValueError(
            f"Expected at most {limit:,} bytes. Received: {status.st_size:,} in {path}. Remove it."
        )


def read_text(path: str | os.PathLike[str], limit: int = READ_LIMIT) -> str:
    """Reads UTF-8 text from a regular file, see `read_bytes`.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the path is not a regular file; if the file is too large or not UTF-8.
    """
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected UTF-8 in {path}. Received: {error}.") from error


def read_json(path: str | os.PathLike[str], limit: int = READ_LIMIT) -> Any:
    """Reads JSON from a regular file, see `read_bytes`.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the path is not a regular file; if the file is too large, not JSON, or nested
            too deeply.
    """
    try:
        return json.loads(read_text(path, limit))
    except RecursionError:
        raise ValueError(f"Expected JSON in {path}. Received: thousands of levels.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"Expected JSON in {path}. Received: {error}.") from error


def check_no_links_out(folder: str | os.PathLike[str]) -> None:
    """Checks that no symbolic link in a folder, at any depth, leads out of the folder.

    Args:
        folder: Folder to check. It may itself be a link.

    Raises:
        ValueError: If a link leads out. The message names the link and its target.
    """
    root = Path(folder).resolve()
    for parent, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(parent, name)
            if not path.is_symlink():
                continue
            try:
                inside = path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # a loop of links
                inside = False
            if not inside:
                raise ValueError(
                    f"Expected links that stay within {folder}. Received: "
                    f"{path.relative_to(root)}, which leads to {os.readlink(path)}. Remove the "
                    "link, or put the file itself there."
                )


@contextmanager
def create_dir_or_undo(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Creates a folder, and removes it again if the block raises and the folder is empty.

    Args:
        folder: Folder to create. Missing parent folders are created and removed as well.
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

    The folder is removed at the end if it is still empty, and so is a parent that was created.

    Args:
        parent: Parent folder.
        name: Name of the new folder.
    """
    number, has_parent = 1, Path(parent).exists()
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
            if not has_parent:
                Path(parent).rmdir()
