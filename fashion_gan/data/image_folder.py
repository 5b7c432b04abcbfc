"""Images of one's own: from a folder, an archive or an IDX file, and split for a training."""

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_gan.data.fashion_mnist import Split, read_idx
from fashion_gan.images import with_channels

__all__ = ["Collection", "load_images", "read_samples", "split_images"]

LEAST, HELD_OUT = 200, 100
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
_IMAGES = ("images", "x_train", "x", "arr_0")
_LABELS = ("labels", "y_train", "y", "arr_1")


class Collection(NamedTuple):
    """Images uint8 `(n, h, w, c)`; labels int32 `(n,)` and the names of their classes, or None."""

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None


def load_images(path: str, skip_corrupt: bool = False) -> Collection:
    """Read images of one size, and their classes where these are known.

    Args:
        path: a folder of PNG, JPEG, GIF or BMP files, whose sub-folders, if it has any, are the
            classes; a `.npz` with `images` or `x_train`, and `labels` or `y_train` if there are
            labels; a `.npy` of images; or an IDX file of images, with labels in the file beside it
            whose name has `labels-idx1` for `images-idx3`.
        skip_corrupt: leave out files of a folder that cannot be read, with a warning that names
            them.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if it holds no images, or of several sizes, or broken ones, or others than uint8
            and floats from 0 to 1; if the labels are not one integer for each.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"There are no images in {path}: it does not exist.")
    if place.is_dir():
        return _read_folder(place, skip_corrupt)
    names: tuple[str, ...] | None = None
    if place.suffix in (".npz", ".npy"):
        images, labels = _labeled_arrays(place)
    else:
        images = read_idx(place)
        beside = place.with_name(place.name.replace("images-idx3", "labels-idx1"))
        labels = read_idx(beside) if beside != place and beside.exists() else None
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


def _read_folder(folder: Path, skip_corrupt: bool) -> Collection:
    import tensorflow as tf

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not files:
        raise ValueError(f"Expected images ({', '.join(_SUFFIXES)}) below {folder}. Found none.")
    images, kept, broken = [], [], []
    for file in files:
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
            f"{broken[0]}. Remove them, or leave them out with --skip-corrupt."
        )
    if broken:
        warnings.warn(f"Left out: {', '.join(map(str, broken))}", stacklevel=3)
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


def _labeled_arrays(place: Path) -> tuple[np.ndarray, np.ndarray | None]:
    arrays = _load_arrays(place)
    if "" in arrays:
        return arrays[""], None
    images, labels = (
        next((arrays[name] for name in names if name in arrays), None)
        for names in (_IMAGES, _LABELS)
    )
    if images is None:
        raise ValueError(f"Expected one of {_IMAGES} in {place}. Received: {list(arrays)}.")
    return images, None if labels is None else np.squeeze(labels)


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


def read_samples(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Images `(n, h, w, c)` from a `.npy` file of uint8, or from the PNG files of a folder.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if the array is damaged or not of uint8 images, or the folder holds no PNG, or a
            broken one, or PNG of several sizes.
    """
    path = Path(path)
    if path.is_dir():
        return _read_png_folder(path)
    arrays = _load_arrays(path)
    if "" not in arrays:
        raise ValueError(
            f"Expected a .npy file of images. Received: {path}, an archive with "
            f"{', '.join(arrays) or 'nothing'}. Save the images alone by numpy.save."
        )
    array = arrays[""]
    if array.dtype != np.uint8:
        raise ValueError(f"Expected uint8 images. Received: {path} with dtype={array.dtype}.")
    return with_channels(array)


def _read_png_folder(folder: Path) -> NDArray[np.uint8]:
    import tensorflow as tf

    files = sorted(folder.glob("*.png"))
    if not files:
        below = any(path.is_dir() for path in folder.iterdir())
        hint = ", but sub-folders: name one of them" if below else ""
        raise ValueError(f"Expected PNG files in {folder}. Found none{hint}.")
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


def _load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by their names, or that of a `.npy` file by the name "".

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is damaged, or holds pickled objects, which are never unpickled.
    """
    with open(path, "rb") as file:
        try:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"": content}
            return {name: content[name] for name in content.files}
        except Exception as error:  # NumPy, zipfile and tokenize know a dozen kinds of damage
            raise ValueError(f"{path} cannot be read: {error}") from error
