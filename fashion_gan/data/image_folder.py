"""Images of your own: from a folder, an archive or an IDX file, and split for a training."""

import io
import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_gan.data.byte_limit import check_bytes
from fashion_gan.data.fashion_mnist import Split, read_idx
from fashion_gan.data.image_headers import read_image_size
from fashion_gan.images import with_channels

__all__ = ["Collection", "load_images", "read_samples", "split_images"]

LEAST, HELD_OUT = 200, 100
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
_IMAGES = ("images", "x_train", "x", "arr_0")
_LABELS = ("labels", "y_train", "y", "arr_1")
_METADATA = 2**20  # bytes that an image file may hold beyond the pixels it declares
_NPY_HEADER = 12 + 10_000  # bytes of the longest header that NumPy reads


class Collection(NamedTuple):
    """Images uint8 `(n, h, w, c)`; labels int32 `(n,)` and the names of their classes, or None."""

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None


def load_images(path: str, skip_corrupt: bool = False, max_bytes: int | None = None) -> Collection:
    """Reads images of one size, and their classes where these are known.

    Sizes in the headers of the files are checked before memory is taken.

    Args:
        path: a folder of PNG, JPEG, GIF or BMP files, whose sub-folders, if it has any, are the
            classes; a `.npz` with `images` or `x_train`, and `labels` or `y_train` if there are
            labels; a `.npy` of images; or an IDX file of images, with labels in the file beside it
            whose name has `labels-idx1` for `images-idx3`.
        skip_corrupt: leave out files of a folder that cannot be read, with a warning that names
            them.
        max_bytes: Limit on the bytes of pixels. Defaults to that of `check_bytes`.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if it holds no images, or of several sizes, or broken ones, or others than uint8
            and floats from 0 to 1; if the labels are not one integer for each; if a header declares
            more than the limit.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"There are no images in {path}: it does not exist.")
    if place.is_dir():
        return _read_folder(place, skip_corrupt, max_bytes)
    names: tuple[str, ...] | None = None
    if place.suffix in (".npz", ".npy"):
        images, labels = _labeled_arrays(place, max_bytes)
    else:
        images = read_idx(place, max_bytes)
        beside = place.with_name(place.name.replace("images-idx3", "labels-idx1"))
        labels = read_idx(beside, max_bytes) if beside != place and beside.exists() else None
    images = _as_bytes(images, place)
    if labels is not None:
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise ValueError(
                f"Expected an integer of at least 0 for each of {len(images)} images in {path}. "
                f"Received: labels of dtype {labels.dtype} and shape {labels.shape}."
            )
        known, labels = np.unique(labels, return_inverse=True)
        names, labels = tuple(map(str, known)), labels.astype(np.int32)
    return Collection(images, labels, names)


def split_images(collection: Collection, seed: int = 0) -> Split:
    """A tenth of the images, 100 to 5,000, is held out to compare with; the others train.

    Raises:
        ValueError: for fewer than 200 images.
    """
    images, labels, names = collection
    if len(images) < LEAST:
        raise ValueError(
            f"Expected at least {LEAST} images, since {HELD_OUT} are held out to measure by. "
            f"Received: {len(images)}."
        )
    order = np.random.default_rng(seed).permutation(len(images))
    held_out, train = np.split(order, [max(HELD_OUT, min(len(images) // 10, 5_000))])

    def part(chosen: np.ndarray) -> tuple[np.ndarray, Any]:
        return images[chosen], None if labels is None else labels[chosen]

    return Split(*part(train), *part(held_out), *part(held_out), class_names=names)


def _read_folder(folder: Path, skip_corrupt: bool, max_bytes: int | None) -> Collection:
    import tensorflow as tf

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not files:
        raise ValueError(f"Expected images ({', '.join(_SUFFIXES)}) below {folder}. Found none.")
    sized = _check_headers(folder, files, max_bytes)
    images, kept = [], []
    broken = [file for file in files if file not in sized]
    for file in sized:
        try:
            image = tf.io.decode_image(file.read_bytes(), expand_animations=False).numpy()
        except tf.errors.OpError:
            broken.append(file)
            continue
        images.append(image[..., : {2: 1, 4: 3}.get(image.shape[-1])])  # without transparency
        kept.append(file)
    if broken and not skip_corrupt:
        raise ValueError(
            f"{len(broken)} of {len(files)} files cannot be read as images, the first of them "
            f"{min(broken)}. Remove them, or leave them out with --skip-corrupt."
        )
    if broken:
        warnings.warn(f"Left out: {', '.join(map(str, sorted(broken)))}", stacklevel=3)
    first = images[0].shape if images else ()
    for file, image in zip(kept, images, strict=True):
        if image.shape != first:
            raise ValueError(
                f"Expected images of one size and kind. Received: {kept[0]} of shape {first}, and "
                f"{file} of shape {image.shape}. Resize them first."
            )
    if not images:
        raise ValueError(f"None of the {len(files)} files below {folder} can be read as an image.")
    classes = [file.relative_to(folder).parts[0] for file in kept if file.parent != folder]
    if not classes:
        return Collection(np.stack(images), None, None)
    if len(classes) != len(kept):
        raise ValueError(
            f"Expected all images of {folder} in sub-folders, one for each class, or none. "
            f"Received: {len(kept) - len(classes)} beside them."
        )
    names = tuple(sorted(set(classes)))
    labels = np.array([names.index(name) for name in classes], np.int32)
    return Collection(np.stack(images), labels, names)


def _check_headers(folder: Path, files: list[Path], max_bytes: int | None) -> list[Path]:
    """Checks the sizes that image files declare, and returns the files that declare one.

    Images of a folder need one size, so that the largest counts for each file.
    """
    sizes = {file: size for file in files if (size := read_image_size(file))}
    for file, size in sizes.items():
        check_bytes(file, max(size.decoding, file.stat().st_size - _METADATA), max_bytes)
    if len(sizes) > 1:
        largest = max(sizes, key=lambda file: sizes[file].pixels)
        check_bytes(
            f"{folder} with {len(sizes)} files like {largest.relative_to(folder)}",
            len(sizes) * sizes[largest].pixels,
            max_bytes,
        )
    return list(sizes)


def _labeled_arrays(place: Path, max_bytes: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    names = _array_names(place)
    if names is None:
        return _load_npy(place, max_bytes), None
    chosen = [next((name for name in group if name in names), None) for group in (_IMAGES, _LABELS)]
    if chosen[0] is None:
        raise ValueError(f"Expected one of {_IMAGES} in {place}. Received: {names}.")
    arrays = _load_npz(place, [name for name in chosen if name is not None], max_bytes)
    return arrays[0], np.squeeze(arrays[1]) if len(arrays) > 1 else None


def _as_bytes(images: np.ndarray, place: Path) -> np.ndarray:
    if images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 1:
        images = np.rint(255 * images).astype(np.uint8)
    if images.dtype != np.uint8 or not images.size:
        raise ValueError(
            f"Expected images of uint8, or floats from 0 to 1. Received: {place} with "
            f"{images.dtype} of shape {images.shape}."
        )
    try:
        return with_channels(images)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def read_samples(path: str | os.PathLike[str], max_bytes: int | None = None) -> NDArray[np.uint8]:
    """Reads images from a `.npy` file of uint8, or from the PNG files of a folder.

    Sizes in the headers of the files are checked before memory is taken.

    Args:
        path: File or folder.
        max_bytes: Limit on the bytes of pixels. Defaults to that of `check_bytes`.

    Returns:
        Images of shape `(n, height, width, channels)`.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the array is damaged or not of uint8 images, if the folder holds no PNG, a
            broken one or PNG of several sizes, or if a header declares more than the limit.
    """
    path = Path(path)
    if path.is_dir():
        return _read_png_folder(path, max_bytes)
    names = _array_names(path)
    if names is not None:
        raise ValueError(
            f"Expected a .npy file of images. Received: {path}, an archive with "
            f"{', '.join(names) or 'nothing'}. Save the images alone by numpy.save."
        )
    array = _load_npy(path, max_bytes)
    if array.dtype != np.uint8:
        raise ValueError(f"Expected uint8 images. Received: {path} with dtype={array.dtype}.")
    return with_channels(array)


def _read_png_folder(folder: Path, max_bytes: int | None) -> NDArray[np.uint8]:
    import tensorflow as tf

    files = sorted(folder.glob("*.png"))
    if not files:
        below = any(path.is_dir() for path in folder.iterdir())
        hint = ", but sub-folders: name one of them" if below else ""
        raise ValueError(f"Expected PNG files in {folder}. Found none{hint}.")
    sized = _check_headers(folder, files, max_bytes)
    for file in files:
        if file not in sized:
            raise ValueError(f"{file} cannot be read as a PNG. Remove it.")
    decoded = []
    for file in files:
        try:
            decoded.append(tf.io.decode_png(file.read_bytes()).numpy())
        except tf.errors.OpError as error:
            raise ValueError(f"{file} cannot be read as a PNG. Remove it.") from error
    for file, image in zip(files, decoded, strict=True):
        if image.shape != decoded[0].shape:
            raise ValueError(
                f"Expected PNG files of one size. Received: {files[0]} of shape "
                f"{decoded[0].shape}, and {file} of shape {image.shape}."
            )
    return np.stack(decoded)


def _array_names(path: Path) -> list[str] | None:
    """Returns the names of the arrays of a `.npz` file, or None for any other file."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"PK\3\4", b"PK\5\6"):
            return None
        with _naming(path), zipfile.ZipFile(file) as archive:
            return list(_entries(archive))


def _load_npy(path: Path, max_bytes: int | None) -> np.ndarray:
    """Reads the array of a `.npy` file.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, declares more than the limit, or holds pickled objects, which
            are never unpickled.
    """
    with open(path, "rb") as file:
        with _naming(path):
            start, declared = _npy_lengths(file)
        check_bytes(path, declared, max_bytes)
        with _naming(path):
            _check_length(declared, os.fstat(file.fileno()).st_size - start, exact=False)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)


def _load_npz(path: Path, names: Sequence[str], max_bytes: int | None) -> list[np.ndarray]:
    """Reads arrays of a `.npz` file.

    The sizes in the archive's directory and in the arrays' headers are checked before memory is
    taken. Arrays of other names are not read.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, declares more than the limit, or holds pickled objects, which
            are never unpickled.
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
    """Returns the bytes of an array by its own header, and by the archive's directory.

    Raises:
        ValueError: If the entry is damaged, or compressed by another method than NumPy's. zipfile
            limits what it decompresses at once for these methods alone.
    """
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is neither stored nor deflated")
    with archive.open(entry) as stream:
        start, declared = _npy_lengths(stream)
    return declared, entry.file_size - start


def _npy_lengths(stream: IO[bytes]) -> tuple[int, int]:
    """Returns the bytes of a `.npy` file's header, and the bytes of data that it declares.

    Raises:
        ValueError: If it is damaged, or declares Python objects or an impossible shape.
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
    """Turns any error into a `ValueError` of one line that names the file."""
    try:
        yield
    except Exception as error:  # NumPy, zipfile and tokenize know a dozen kinds of damage
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
