"""Caches decoded images on disk, under a key of the files they were decoded from."""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_gan import files

__all__ = ["PixelWriter", "cache_key", "open_cached", "write_cached"]

_FORMAT = "1"
_UNUSED_DAYS = 30
_BLOCK_BYTES = 2**24  # bytes that are moved at once
_PIXELS, _RECORD = "pixels.bin", "record.json"


def cache_key(*dependencies: Any) -> str:
    """Returns a cache key for the result of these values; equal values must have equal reprs."""
    digest = hashlib.sha256(_FORMAT.encode())
    for value in dependencies:
        digest.update(repr(value).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


class PixelWriter:
    """Writes images of one shape, in any order, into one array.

    Args:
        path: File to write, or None to keep the images in memory.
        count: Number of images.
        shape: Height, width and channels of an image.
    """

    def __init__(self, path: Path | None, count: int, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self._size = math.prod(shape)
        self._path = path
        if path is None:
            self._array = np.empty((count, *shape), np.uint8)
        else:
            files.check_space(path.parent, count * self._size)
            self._file = path.open("w+b")
            self._file.truncate(count * self._size)

    def __enter__(self) -> "PixelWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()

    def write(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Writes images `(n, height, width, channels)`, starting at `index`."""
        if self._path is None:
            self._array[index : index + len(pixels)] = pixels
        else:
            self._file.seek(index * self._size)
            self._file.write(pixels.tobytes())

    def finish(self, keep: NDArray[np.intp] | None, channels: int) -> NDArray[np.uint8]:
        """Drops images and channels, closes the file, and returns the array.

        Args:
            keep: Indices of the images to keep in ascending order, or None for all.
            channels: Number of leading channels to keep.
        """
        if self._path is None:
            array = self._array if keep is None else self._array[keep]
            return np.ascontiguousarray(array[..., :channels])
        if keep is not None or channels != self.shape[2]:
            self._compact(keep, channels)
        self._file.flush()
        size = self._file.seek(0, os.SEEK_END)
        shape = (size // (self._size // self.shape[2] * channels), *self.shape[:2], channels)
        return np.memmap(self._path, np.uint8, "r", shape=shape)

    def _compact(self, keep: NDArray[np.intp] | None, channels: int) -> None:
        """Moves the images to keep to the front of the file, block by block."""
        file = self._file
        total = file.seek(0, os.SEEK_END) // self._size
        indices = np.arange(total) if keep is None else keep
        block = max(_BLOCK_BYTES // self._size, 1)
        end = 0
        for start in range(0, len(indices), block):
            chosen = indices[start : start + block]
            first, last = int(chosen[0]), int(chosen[-1])
            file.seek(first * self._size)
            raw = file.read((last - first + 1) * self._size)
            images = np.frombuffer(raw, np.uint8).reshape(-1, *self.shape)[chosen - first]
            content = images[..., :channels].tobytes()
            file.seek(end)
            file.write(content)
            end += len(content)
        file.truncate(end)


def open_cached(folder: Path, key: str) -> tuple[NDArray[np.uint8], dict[str, Any]] | None:
    """Returns the memory-mapped images and the record of a key, or None if they are incomplete.

    Args:
        folder: Folder of the cache.
        key: Key from `cache_key`.
    """
    entry = folder / key
    try:
        record = json.loads(files.read_text(entry / _RECORD))
        shape = tuple(record["shape"])
        if (entry / _PIXELS).stat().st_size != math.prod(shape):
            return None
        pixels = np.memmap(entry / _PIXELS, np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):  # the cache may be read-only
        os.utime(entry)
    return pixels, record


@contextmanager
def write_cached(folder: Path, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields a path for the pixels and a dict for the record, and saves both after the block.

    If the block raises, nothing is saved. Collections that were not used for a month are removed.

    Args:
        folder: Folder of the cache.
        key: Key from `cache_key`.

    Raises:
        OSError: If the folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unused(folder)
    record: dict[str, Any] = {}
    if (folder / key).exists():  # damaged, or written meanwhile
        shutil.rmtree(folder / key, ignore_errors=True)
    with files.atomic_write(folder / key) as partial:
        partial.mkdir()
        yield partial / _PIXELS, record
        files.flush(partial / _PIXELS)
        (partial / _RECORD).write_text(json.dumps(record))


def _remove_unused(folder: Path) -> None:
    limit = time.time() - _UNUSED_DAYS * 86_400
    for entry in folder.iterdir():
        try:
            if entry.is_dir() and entry.stat().st_mtime < limit:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:
            continue
