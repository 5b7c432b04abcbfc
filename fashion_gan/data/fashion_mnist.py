"""Finds or downloads the four files of Fashion-MNIST, and reads them.

TensorFlow is imported only for a download.
"""

import gzip
import hashlib
import math
import os
import socket
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fashion_gan.data.byte_limit import check_bytes
from fashion_gan.files import atomic_write

if TYPE_CHECKING:
    from fashion_gan.typing import Images

__all__ = ["CLASS_NAMES", "Split", "find_fashion_mnist", "load_fashion_mnist", "read_idx"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes; a label is an index into this tuple."""

_BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_TIMEOUT = 10.0  # seconds without data after which a download fails
_DOWNLOADING = threading.Lock()  # guards the socket timeout, which is global to the process
_VALIDATION = 5_000

# SHA-256 of the content, not of the .gz file: Debian and Keras compress the same bytes differently.
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_IDX_HEADER = 4 + 4 * 255  # bytes of the longest header
_CHUNK = 2**24  # bytes that are read or decompressed at once
_IDX_TYPES = {8: "ubyte", 9: "byte", 11: "short", 12: "int", 13: "float", 14: "double"}


@dataclass(frozen=True, eq=False)
class Split:
    """Holds training, validation and test images, with their labels.

    Images are uint8 `(n, height, width, channels)`. They are arrays, or an `ImageView` for images
    that stay on disk. Labels are integers `(n,)`, with the names of their classes. Labels and names
    are None for unlabeled images. With `held_out=0`, the validation and test images are the
    training images, which are all images.
    """

    train_images: "Images"
    train_labels: Any
    validation_images: "Images"
    validation_labels: Any
    test_images: "Images"
    test_labels: Any
    class_names: tuple[str, ...] | None = CLASS_NAMES
    held_out: int = _VALIDATION


def read_idx(path: str | os.PathLike[str], max_bytes: int | None = None) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, plain or gzipped.

    Gzip is detected by the content, not by the name. The size in the header is checked before
    memory is allocated, and at most one byte more than this size is decompressed.

    Args:
        path: Path of the IDX file.
        max_bytes: Limit on the bytes of the array. Defaults to the limit of `check_bytes`.

    Returns:
        Read-only uint8 array with 1 to 4 axes.

    Raises:
        ValueError: If the file is not a complete IDX file of unsigned bytes, or declares more than
            the limit. The message names the file.

    References:
        The IDX format, http://yann.lecun.com/exdb/mnist/
    """
    return _parse(path, _content(path, max_bytes))


def find_fashion_mnist(folder: str | os.PathLike[str] | None = None) -> Path:
    """Finds the folder with the four files of Fashion-MNIST, each plain or as `.gz`.

    If `folder` or a non-empty environment variable `FASHION_MNIST_DIR` names a folder, only this
    folder is searched. Otherwise the order is: the cache of Keras (`datasets/fashion-mnist` in
    `$KERAS_HOME` or `~/.keras`), Debian's package dataset-fashion-mnist, and a download into the
    cache. Files on disk are not read here, but `load_fashion_mnist` verifies them. A download is
    verified before it is moved to its final name.

    Args:
        folder: Folder to search. Defaults to None, for the order above.

    Raises:
        FileNotFoundError: If no place has the files. The message lists each place, the reason, and
            how to fix it.
    """
    origin = "folder"
    if folder is None:
        folder, origin = os.environ.get("FASHION_MNIST_DIR") or None, "FASHION_MNIST_DIR"
    if folder is not None:
        place = Path(folder).expanduser()
        if fault := _lacks(place):
            raise FileNotFoundError(
                f"{origin}={os.fspath(folder)!r} {fault}. Point {origin} at a folder with "
                f"Fashion-MNIST's four files, plain or as .gz, or omit it to search the "
                f"cache of Keras, Debian's package and the network."
            )
        return place

    cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets/fashion-mnist"
    failures = []
    for place in (cache, _DEBIAN_FOLDER):
        if not (fault := _lacks(place)):
            return place
        failures.append(f"{place}: {fault}")
    try:
        _download(cache)
    except Exception as error:  # get_file raises a bare Exception on network errors
        failures.append(f"{_BASE_URL}: {error}")
        raise FileNotFoundError(
            "Fashion-MNIST was not found. Tried:\n  "
            + "\n  ".join(failures)
            + "\nRun `make data` or `apt-get install dataset-fashion-mnist`, or set "
            "FASHION_MNIST_DIR to a folder with the four files."
        ) from error
    return cache


def load_fashion_mnist(
    folder: str | os.PathLike[str] | None = None, *, verify: bool = True
) -> Split:
    """Loads Fashion-MNIST in the book's split, as read-only arrays.

    The split has 55,000 training images, the last 5,000 images of the training file for
    validation, and 10,000 test images.

    Args:
        folder: Folder with the files. Defaults to None, see `find_fashion_mnist`.
        verify: Whether to verify the SHA-256 of the content. False accepts other datasets of 28x28
            images with the same file names. Defaults to True.

    Raises:
        FileNotFoundError: If the files are not found, see `find_fashion_mnist`.
        ValueError: If a file is damaged or has another SHA-256; if the images are not 28x28; if
            images and labels differ in number; if there are no more than 5,000 images to split.
    """
    place = find_fashion_mnist(folder)
    images, labels = _read_pair(place, "train", verify)
    test_images, test_labels = _read_pair(place, "t10k", verify)
    cut = len(images) - _VALIDATION
    if cut < 1:
        raise ValueError(
            f"{place}: expected more than {_VALIDATION:,} training images, of which the last "
            f"{_VALIDATION:,} are held out for validation. Received: {len(images):,}."
        )
    return Split(
        train_images=images[:cut],
        train_labels=labels[:cut],
        validation_images=images[cut:],
        validation_labels=labels[cut:],
        test_images=test_images,
        test_labels=test_labels,
    )


def _locate(place: Path, name: str) -> Path | None:
    """Returns the path of `name` in `place`, plain or as `.gz`, or None if it is missing."""
    return next((p for p in (place / name, place / f"{name}.gz") if os.path.isfile(p)), None)


def _missing(place: Path) -> list[str]:
    return [name for name in _SHA256 if _locate(place, name) is None]


def _lacks(place: Path) -> str:
    """Returns a phrase on what `place` lacks, or an empty string if it has all files."""
    missing = _missing(place)
    if missing and not place.is_dir():
        return "is not a folder"
    return f"lacks {', '.join(missing)}" if missing else ""


def _download(place: Path) -> None:
    """Downloads the missing files, and moves each to its final name once it is verified."""
    import keras

    with _DOWNLOADING:
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_TIMEOUT)  # get_file has no timeout argument
        try:
            for name in _missing(place):
                url = f"{_BASE_URL}/{name}.gz"
                with atomic_write(place.resolve() / f"{name}.gz") as partial:
                    keras.utils.get_file(partial.name, url, cache_subdir=partial.parent)
                    if fault := _differs(name, _content(partial)):
                        raise ValueError(f"{name}.gz {fault}")
        finally:
            socket.setdefaulttimeout(timeout)


def _differs(name: str, content: bytearray) -> str:
    """Returns a phrase on how `content` differs from the original file `name`, or an empty one."""
    found, wanted = hashlib.sha256(content).hexdigest(), _SHA256[name]
    return f"has content of SHA-256 {found}, expected {wanted}" if found != wanted else ""


def _read_pair(place: Path, prefix: str, verify: bool) -> tuple[np.ndarray, np.ndarray]:
    """Reads images `(n, 28, 28, 1)` and labels `(n,)` of one part, "train" or "t10k"."""
    arrays = []
    for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
        path = _locate(place, name) or place / name
        content = _content(path)
        array = _parse(path, content)
        if verify and (fault := _differs(name, content)):
            raise ValueError(
                f"{path} {fault}. Delete or reinstall it, or pass verify=False to read "
                f"other data of this format."
            )
        arrays.append(array)
    images, labels = arrays
    if images.shape[1:] != (28, 28):
        raise ValueError(
            f"{place}: expected {prefix} images as (n, 28, 28). Received: shape={images.shape}."
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{place}: expected one {prefix} label for each of {len(images)} images. "
            f"Received: labels of shape={labels.shape}."
        )
    return images[..., np.newaxis], labels


def _content(path: str | os.PathLike[str], max_bytes: int | None = None) -> bytearray:
    """Returns an IDX file's decompressed content, up to one byte beyond its declared size.

    If the header is invalid, only the first bytes are read.

    Raises:
        ValueError: If the header declares more than the limit, or the gzip file is broken.
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if zipped else file
        try:
            content = bytearray(stream.read(_IDX_HEADER))
            start, declared = _declared_bytes(content)
            check_bytes(path, declared, max_bytes)
            end = start + declared + 1
            while chunk := stream.read(min(_CHUNK, max(end - len(content), 0))):
                content += chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip file ({error}). Download it again.") from error
    return content


def _declared_bytes(content: bytearray) -> tuple[int, int]:
    """Returns the lengths of an IDX file's header and data, both 0 where `_parse` raises."""
    axes = content[3] if len(content) > 3 and content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * axes
    if not 1 <= axes <= 4 or len(content) < start:
        return 0, 0
    return start, math.prod(struct.unpack(f">{axes}I", content[4:start]))


def _parse(path: str | os.PathLike[str], content: bytearray) -> np.ndarray:
    """Parses 0, 0, type, number of axes, the size of each as a big-endian uint32, and the data."""
    if any(content[:2]):
        raise ValueError(
            f"{path}: not an IDX file: expected two zero bytes first. "
            f"Received: {bytes(content[:2])!r}."
        )
    start = 4 + 4 * content[3] if len(content) > 3 else 4
    if len(content) < start:
        raise ValueError(
            f"{path}: truncated IDX header: expected {start} bytes. Received: {len(content)}."
        )
    code, axes = content[2:4]
    if code != 8:
        raise ValueError(
            f"{path}: expected IDX data of type 0x08 (ubyte). "
            f"Received: 0x{code:02x} ({_IDX_TYPES.get(code, 'unknown')})."
        )
    shape = struct.unpack(f">{axes}I", content[4:start])
    if not 1 <= axes <= 4 or 0 in shape:
        raise ValueError(f"{path}: expected 1 to 4 axes, none empty. Received: shape={shape}.")
    wanted, came = math.prod(shape), len(content) - start
    if came != wanted:
        raise ValueError(
            f"{path}: {'truncated' if came < wanted else 'overlong'} IDX data: expected {wanted} "
            f"bytes for shape={shape}. Received: {came if came < wanted else 'more'}."
        )
    array = np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    array.flags.writeable = False
    return array
