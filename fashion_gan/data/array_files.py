"""Reads images from `.npy`, `.npz` and IDX files, and detects their layout and value range."""

import io
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fashion_gan.data.byte_limit import check_bytes
from fashion_gan.data.fashion_mnist import read_idx

__all__ = ["find_idx_files", "read_array_file", "read_idx_pairs", "to_bytes"]

_IMAGES = ("images", "x_train", "x", "arr_0")
_LABELS = ("labels", "y_train", "y", "arr_1")
_NPY_HEADER = 12 + 10_000  # bytes of the longest header that NumPy reads
_IDX_IMAGES = "images-idx3"

Arrays = tuple[NDArray[np.uint8], list[str] | None, list[str]]
"""Images `(n, height, width, channels)`, the class name of each image or None, and notes."""


def read_array_file(path: Path, max_bytes: int | None = None) -> Arrays:
    """Reads images, and labels if there are any, from a `.npy` or `.npz` file.

    Sizes in the headers are checked before memory is allocated. A `.npy` file of uint8 is
    memory-mapped if it needs no conversion.

    Args:
        path: Path of the file.
        max_bytes: Limit on the bytes of pixels. Defaults to the limit of `check_bytes`.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged or holds no images; if the layout or range of the images
            is ambiguous; if the labels are not one class for each image; if a header declares more
            than the limit.
    """
    names = _array_names(path)
    if names is None:
        images, notes = to_bytes(_load_npy(path, max_bytes), path)
        return images, None, notes
    chosen = [next((name for name in group if name in names), None) for group in (_IMAGES, _LABELS)]
    if chosen[0] is None:
        raise ValueError(f"Expected one of {_IMAGES} in {path}. Received: {names}.")
    arrays = _load_npz(path, [name for name in chosen if name is not None], max_bytes)
    images, notes = to_bytes(arrays[0], path)
    labels = _class_names(arrays[1], len(images), path) if len(arrays) > 1 else None
    return images, labels, notes


def find_idx_files(path: Path) -> list[Path]:
    """Returns the IDX files of images that a path names or a folder contains.

    Args:
        path: File or folder.
    """
    if path.is_dir():
        return sorted(p for p in path.iterdir() if _IDX_IMAGES in p.name and p.is_file())
    with open(path, "rb") as file:
        start = file.read(4)
    return [path] if start[:2] in (b"\0\0", b"\x1f\x8b") or "idx" in path.name else []


def read_idx_pairs(
    paths: Sequence[Path], max_bytes: int | None = None
) -> tuple[NDArray[np.uint8], list[str] | None, list[str] | None]:
    """Reads images from IDX files, and their labels from files in the same folder.

    Args:
        paths: Files of images. The labels of `train-images-idx3` are in `train-labels-idx1`.
        max_bytes: Limit on the bytes of a file. Defaults to the limit of `check_bytes`.

    Returns:
        Images `(n, height, width, 1)`; the class name of each image, or None; and the part of each
        image, "train" or "test", or None.

    Raises:
        OSError: If a file cannot be opened.
        ValueError: If a file is not an IDX file; if the images differ in size; if only some files
            have labels; if labels and images differ in number.
    """
    images: list[np.ndarray] = []
    labels: list[str] = []
    parts: list[str] = []
    for path in paths:
        array, _ = to_bytes(read_idx(path, max_bytes), path)
        images.append(array)
        parts += len(array) * ["test" if path.name.startswith(("t10k", "test")) else "train"]
        labels_path = path.with_name(path.name.replace(_IDX_IMAGES, "labels-idx1"))
        if labels_path != path and labels_path.exists():
            labels += _class_names(read_idx(labels_path, max_bytes), len(array), labels_path)
    if len({array.shape[1:] for array in images}) > 1:
        shapes = ", ".join(f"{p.name} of {a.shape}" for p, a in zip(paths, images, strict=True))
        raise ValueError(f"Expected images of one size. Received: {shapes}. Name one of the files.")
    pixels = images[0] if len(images) == 1 else np.concatenate(images)
    if labels and len(labels) != len(pixels):
        raise ValueError(
            f"Expected labels for all IDX files of images, or for none. Received: {len(labels):,} "
            f"labels for {len(pixels):,} images of {paths[0].parent}. Add or remove labels."
        )
    return pixels, labels or None, parts if {"train", "test"} == set(parts) else None


def to_bytes(images: np.ndarray, place: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Returns images as uint8 `(n, height, width, channels)`, and notes on the conversions.

    Detects floats from 0 to 1, from -1 to 1 or from 0 to 255, integers from 0 to 255 or to 65,535,
    and channels-first layouts.

    Args:
        images: Array with 3 or 4 axes.
        place: Path of the file, for messages.

    Raises:
        ValueError: If the layout or the range is ambiguous. The message shows a line of code that
            converts the array.
    """
    notes: list[str] = []
    if images.ndim not in (3, 4) or not images.size:
        raise ValueError(_layout_error(images, place))
    if images.ndim == 3:
        images = images[..., np.newaxis]
    elif images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
        notes.append("The channels of the array come first; they were moved last.")
    elif images.shape[3] not in (1, 3, 4):
        raise ValueError(_layout_error(images, place))
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255), [
            *notes,
            "Booleans were taken as 0 and 255.",
        ]
    if images.dtype.kind not in "iuf":
        raise ValueError(
            f"Expected images of numbers. Received: {place} with dtype={images.dtype}. Convert "
            "them with images.astype(numpy.uint8)."
        )
    if images.dtype == np.uint8 and images[:1_000].max() > 1:  # reads little of a mapped array
        return images, notes
    low, high = images.min(), images.max()
    kind = images.dtype.kind
    if images.dtype == np.uint8 and (high > 1 or low == high):
        return images, notes
    if kind == "f" and 0 <= low <= high <= 1:
        return np.rint(255 * images).astype(np.uint8), notes
    if kind == "f" and -1 <= low < 0 < high <= 1:
        notes.append("Floats from -1 to 1 were scaled to 0 to 255.")
        return np.rint((images.astype(np.float64) + 1) * 127.5).astype(np.uint8), notes
    if low >= 0 and 2 < high <= 255:
        notes.append(f"{images.dtype} from 0 to 255 was rounded to uint8.")
        return np.rint(images).astype(np.uint8), notes
    if images.dtype == np.uint16:
        notes.append("uint16 from 0 to 65,535 was scaled to 0 to 255.")
        return np.rint(images / 257).astype(np.uint8), notes
    raise ValueError(
        "Expected images of uint8 from 0 to 255, or floats from 0 to 1 or from -1 to 1. Received: "
        f"{place} with dtype={images.dtype} and values from {low} to {high}. Convert them, such as "
        "by numpy.rint(255 * (images - low) / (high - low)).astype(numpy.uint8)."
    )


def _layout_error(images: np.ndarray, place: Path) -> str:
    hint = "Save images as (n, height, width, channels) with 1, 3 or 4 channels."
    if images.ndim == 2 and images.size:
        side = math.isqrt(images.shape[1])
        shape = f"(-1, {side}, {side})" if side**2 == images.shape[1] else "(-1, height, width)"
        hint = f"Give the rows a shape: numpy.save(path, images.reshape{shape})."
    return (
        "Expected images of shape (n, height, width) or (n, height, width, channels). Received: "
        f"{place} of shape {images.shape}. {hint}"
    )


def _class_names(labels: np.ndarray, num_images: int, place: Path) -> list[str]:
    """Returns the class name of each image from integers, one-hot rows or text."""
    one_hot = labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "iufb"
    if one_hot and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    if labels.shape == (num_images, 1):
        labels = labels[:, 0]
    whole = labels.dtype.kind in "iu" and labels.size and labels.min() >= 0
    if labels.shape != (num_images,) or not (whole or labels.dtype.kind in "US"):
        raise ValueError(
            f"Expected a class for each of {num_images} images, as an integer of at least 0, a "
            f"name or a one-hot row. Received: labels in {place} of dtype {labels.dtype} and shape "
            f"{labels.shape}. Save one label for each image."
        )
    text = labels.astype("U") if labels.dtype.kind != "S" else np.char.decode(labels, "utf-8")
    return [str(name) for name in text]


def _array_names(path: Path) -> list[str] | None:
    """Returns the names of the arrays of a `.npz` file, or None for any other file."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"PK\3\4", b"PK\5\6"):
            return None
        with _naming(path), zipfile.ZipFile(file) as archive:
            return list(_entries(archive))


def _load_npy(path: Path, max_bytes: int | None) -> np.ndarray:
    """Memory-maps the array of a `.npy` file.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged, declares more than the limit, or holds pickled objects.
            Objects are never unpickled.
    """
    with open(path, "rb") as file:
        with _naming(path):
            start, declared = _npy_lengths(file)
        check_bytes(path, declared, max_bytes)
        with _naming(path):
            _check_length(declared, os.fstat(file.fileno()).st_size - start, exact=False)
            if declared:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)


def _load_npz(path: Path, names: Sequence[str], max_bytes: int | None) -> list[np.ndarray]:
    """Reads the named arrays of a `.npz` file.

    The sizes in the archive's directory and in the arrays' headers are checked before memory is
    allocated. Arrays with other names are not read.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged, declares more than the limit, or holds pickled objects.
            Objects are never unpickled.
    """
    with open(path, "rb") as file:
        with _naming(path):
            archive = zipfile.ZipFile(file)
            entries = [_entries(archive)[name] for name in names]
            lengths = [_entry_lengths(archive, entry) for entry in entries]
        check_bytes(path, sum(max(pair) for pair in lengths), max_bytes)
        arrays = []
        with _naming(path):
            for entry, (declared, length) in zip(entries, lengths, strict=True):
                _check_length(declared, length, exact=True)
                with archive.open(entry) as stream:
                    arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
        return arrays


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}


def _entry_lengths(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Returns the bytes of an array as its own header and the archive's directory declare them.

    Raises:
        ValueError: If the entry is damaged, or compressed by a method that NumPy does not use.
            Only for NumPy's methods does zipfile limit the bytes that it decompresses at once.
    """
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is neither stored nor deflated")
    with archive.open(entry) as stream:
        start, declared = _npy_lengths(stream)
    return declared, entry.file_size - start


def _npy_lengths(stream: IO[bytes]) -> tuple[int, int]:
    """Returns the bytes of a `.npy` file's header, and the bytes of data that it declares.

    Raises:
        ValueError: If the header is damaged, or declares Python objects or an impossible shape.
    """
    header = io.BytesIO(stream.read(_NPY_HEADER))
    version = np.lib.format.read_magic(header)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(header)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(header)
    else:
        raise ValueError(f"it is of version {version} of the format, which is not for images")
    if dtype.hasobject:
        raise ValueError("Object arrays are pickled, and nothing is unpickled")
    if len(shape) > 32 or not all(0 <= size < 2**63 for size in shape):
        raise ValueError("its header declares an impossible shape")
    return header.tell(), math.prod(shape) * dtype.itemsize


def _check_length(declared: int, length: int, *, exact: bool) -> None:
    if length < declared or exact and length > declared:
        raise ValueError(f"its header declares {declared} bytes, and {length} follow")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Converts any error into a one-line `ValueError` that names the file."""
    try:
        yield
    except Exception as error:  # NumPy, zipfile and tokenize raise many types for damaged files
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
