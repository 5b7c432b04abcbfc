"""Selects images of an array without copying it, such as an array in a file on disk."""

import math
import mmap
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from fashion_gan.typing import Images

__all__ = ["ImageView", "fits_memory", "iter_chunks", "sample_in_memory"]

MAX_IN_MEMORY = 2**30
"""Largest size in bytes of memory-mapped images that are read at once, not by batches."""

_CHUNK = 1_024  # images that are read at once


class ImageView:
    """Selects images of an array, and copies only the images that are read.

    Indexing works as for an array: an integer returns an image, and a slice, an array of integers
    or a mask returns a new array. For an array of integers, images are read in the order in which
    they are stored.

    Args:
        array: Images `(n, height, width[, channels])`, as a `numpy.memmap` or an array in memory.
        indices: Integers `(m,)`. Indices of the images, in the order of the view. Defaults to all
            images.
    """

    def __init__(self, array: np.ndarray, indices: np.ndarray | None = None) -> None:
        self.array = array
        self.indices = np.arange(len(array)) if indices is None else np.asarray(indices)
        self.shape = (len(self.indices), *array.shape[1:])
        self.dtype, self.ndim = array.dtype, array.ndim
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * array.dtype.itemsize

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = self.indices[key]
        if np.ndim(rows) == 0:
            return self._read(np.array([rows]))[0]
        chosen = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        for first in range(0, len(rows), _CHUNK):
            part = order[first : first + _CHUNK]
            chosen[part] = self._read(rows[part])
        return chosen

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """Returns images of the array by their indices, read from the file of a memory map.

        Pages of a memory map that are read count as memory of the process. Reads from the file do
        not.
        """
        array = self.array
        if not (_is_whole_map(array) and hasattr(os, "pread")):
            return np.asarray(array[rows])
        size = array.dtype.itemsize * math.prod(array.shape[1:])
        with open(str(array.filename), "rb", buffering=0) as file:
            descriptor, start = file.fileno(), array.offset
            content = bytearray().join(
                os.pread(descriptor, size, start + int(r) * size) for r in rows
            )
        return np.frombuffer(content, array.dtype).reshape(-1, *array.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Expected a copy of the images. Received: copy=False. Omit it.")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


def _is_whole_map(array: np.ndarray) -> TypeGuard[np.memmap]:
    """Returns whether an array is a whole memory map, rather than a part or a copy of one."""
    return (
        isinstance(array, np.memmap)
        and isinstance(array.base, mmap.mmap)
        and array.mode == "r"
        and array.flags.c_contiguous
    )


def fits_memory(images: "Images") -> bool:
    """Returns whether images are in memory, or few enough to be read into memory."""
    stored = images.array if isinstance(images, ImageView) else images
    return not isinstance(stored, np.memmap) or images.nbytes <= MAX_IN_MEMORY


def sample_in_memory(images: "Images") -> np.ndarray:
    """Returns all images, or the first images that fit into memory if not all of them fit."""
    if fits_memory(images):
        return np.asarray(images)
    return np.array(images[: max(MAX_IN_MEMORY * len(images) // images.nbytes, 1)])


def iter_chunks(images: "Images") -> Iterator[np.ndarray]:
    """Yields all images in order, as arrays of a few hundred images."""
    for first in range(0, len(images), _CHUNK):
        yield np.asarray(images[first : first + _CHUNK])
