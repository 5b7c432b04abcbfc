"""Converts arrays of images to bytes, arranges images in grids, and writes PNG files.

Images of four channels are RGBA with straight alpha. The last channel is the opacity, and the
colors are not multiplied by it.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.files import atomic_write, is_partial, write_json

__all__ = [
    "compare",
    "composite",
    "encode_png",
    "invert",
    "numbered_pngs",
    "premultiply",
    "tile",
    "to_uint8",
    "with_channels",
    "write_png",
    "write_pngs",
]

_MIN_SIDE = 28  # pixels; smaller images are hard to see in a grid
_SAMPLES = "samples.json"
"""File that marks a folder as written by `write_pngs`."""


def to_uint8(images: ArrayLike, value_range: tuple[float, float] = (0.0, 1.0)) -> NDArray[np.uint8]:
    """Converts floats in `value_range` to bytes, from `low` at 0 to `high` at 255.

    Values are rounded to the nearest byte. Values outside of the range are clipped.

    Args:
        images: Images of any shape, floats or uint8. uint8 images are returned unchanged.
        value_range: Range `(low, high)` of floats. Defaults to (0, 1).

    Raises:
        TypeError: If `images` are neither floats nor uint8.
        ValueError: If `images` contain NaN or infinity, or if `value_range` is empty.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(
            f"Expected images as floats in {value_range} or as uint8. "
            f"Received: images.dtype={images.dtype}."
        )
    low, high = value_range
    if not low < high:
        raise ValueError(f"Expected low < high. Received: value_range={value_range}.")
    finite = np.isfinite(images)
    if not finite.all():
        raise ValueError(
            f"Expected finite images. Received: NaN or infinity in {np.sum(~finite)} of "
            f"{images.size} pixels. If a generator made them, its training has diverged."
        )
    unit = (images.astype(np.float64) - low) / (high - low)
    return np.rint(255 * unit.clip(0, 1)).astype(np.uint8)


def with_channels(images: ArrayLike) -> np.ndarray:
    """Returns images `(n, h, w)` as `(n, h, w, 1)`, and images of 1, 3 or 4 channels unchanged.

    Raises:
        ValueError: If the images have another shape.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        return images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4):
        raise ValueError(
            "Expected images of shape (n, height, width) or (n, height, width, channels) with 1, 3 "
            f"or 4 channels. Received: images.shape={images.shape}."
        )
    return images


def premultiply(images: ArrayLike) -> np.ndarray:
    """Multiplies the colors of RGBA images by their alpha.

    Colors of transparent pixels are invisible. In the result they are 0, so they do not contribute
    to distances between images.

    Args:
        images: Images of any shape, uint8 or floats in [0, 1].

    Returns:
        Images of the same shape and dtype. Images of another shape than `(n, h, w, 4)` are returned
        unchanged.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] != 4:
        return images
    colors, alpha = images[..., :3], images[..., 3:]
    if images.dtype == np.uint8:
        product = (colors * alpha.astype(np.uint16) + 127) // 255
        return np.concatenate([product.astype(np.uint8), alpha], axis=-1)
    return np.concatenate([colors * alpha, alpha], axis=-1)


def composite(image: NDArray[np.uint8], background: int = 255) -> NDArray[np.uint8]:
    """Composites an RGBA image onto a uniform background.

    Args:
        image: uint8 image of shape `(height, width, channels)`.
        background: Gray level of the background. Defaults to 255, which is white.

    Returns:
        RGB image of the same size. An image without alpha is returned unchanged.
    """
    if image.shape[-1] != 4:
        return image
    colors, alpha = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    return ((colors * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)


def tile(
    images: ArrayLike,
    columns: int | None = None,
    *,
    margin: int = 1,
    background: int = 192,
    invert: bool = False,
    scale: int | None = 1,
) -> NDArray[np.uint8]:
    """Arranges images in a grid, row by row.

    Args:
        images: uint8 images `(n, h, w[, c])` with `n >= 1`: gray (`c = 1` or no such axis), RGB
            (`c = 3`) or RGBA (`c = 4`).
        columns: Largest number of images in a row. Defaults to a nearly square grid.
        margin: Number of pixels between two images. There is no margin around the grid. Defaults
            to 1.
        background: Gray level of the margins and of empty cells in the last row. It is opaque in a
            grid of RGBA images. Defaults to 192, which differs from white, black and the middle
            gray of an untrained generator.
        invert: Whether to show gray images dark on white, as Fashion-MNIST is usually printed.
            Defaults to False.
        scale: Number of times that each pixel is repeated along both sides. None enlarges images to
            at least 28 pixels a side. Defaults to 1.

    Returns:
        uint8 grid `(height, width, c)` of `rows * (scale * h + margin) - margin` by
        `columns * (scale * w + margin) - margin` pixels.

    Raises:
        TypeError: If `images` are not uint8.
        ValueError: If a shape or argument is invalid, or if `invert` is used with RGB or RGBA
            images.
    """
    images = with_channels(images)
    if images.dtype != np.uint8:
        raise TypeError(
            f"Expected uint8 images; `to_uint8` makes them. Received: images.dtype={images.dtype}."
        )
    n, h, w, c = images.shape
    columns = min(n, int(np.ceil(np.sqrt(n))) if columns is None else columns)
    if n < 1:
        raise ValueError(f"Expected at least one image. Received: images.shape={images.shape}.")
    scale = -(-_MIN_SIDE // max(min(h, w), 1)) if scale is None else scale
    if columns < 1 or scale < 1 or margin < 0 or not 0 <= background <= 255:
        raise ValueError(
            "Expected columns >= 1, scale >= 1, margin >= 0 and background in 0..255. Received: "
            f"columns={columns}, scale={scale}, margin={margin}, background={background}."
        )
    if invert and c != 1:
        raise ValueError(
            f"invert=True is for gray images. Received: images.shape={images.shape}. Omit invert."
        )
    rows = -(-n // columns)
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    h, w = scale * h, scale * w
    cell_h, cell_w = h + margin, w + margin
    cells = np.full((rows * columns, cell_h, cell_w, c), background, np.uint8)
    if c == 4:
        cells[..., 3] = 255
    cells[:n, :h, :w] = 255 - images if invert else images
    grid = cells.reshape(rows, columns, cell_h, cell_w, c).swapaxes(1, 2)
    grid = grid.reshape(rows * cell_h, columns * cell_w, c)
    return grid[: rows * cell_h - margin, : columns * cell_w - margin]


def tile_rows(
    rows: Sequence[NDArray[np.uint8]],
    columns: int,
    *,
    invert: bool = False,
    scale: int | None = 1,
) -> NDArray[np.uint8]:
    """Arranges sets of images in a grid, a row for each set.

    Args:
        rows: For each row, uint8 images `(n, h, w, c)`, of which the first `columns` are shown.
            `n` may be 0.
        columns: Number of images in a full row. Other rows end with empty cells.
        invert: Whether to show gray images dark on white. Defaults to False.
        scale: Enlargement as in `tile`. Defaults to 1.

    Returns:
        uint8 grid as from `tile`.
    """
    background = 192
    empty = np.full_like(rows[0], background, shape=(columns, *rows[0].shape[1:]))
    if invert:
        empty = 255 - empty
    empty[..., 3:] = 255  # opaque
    cells = [np.concatenate([row[:columns], empty[len(row) :]]) for row in rows]
    return tile(np.concatenate(cells), columns, background=background, invert=invert, scale=scale)


def invert(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inverts light and dark in uint8 images `(…, channels)`, except for alpha."""
    inverted = 255 - images
    if images.shape[-1] == 4:
        inverted[..., 3] = images[..., 3]
    return inverted


def compare(targets: NDArray[np.uint8], results: NDArray[np.uint8], columns: int) -> np.ndarray:
    """Arranges targets, results and the absolute differences of their pixels in rows.

    Gray images and their differences are dark on white. RGBA images have a white background.

    Args:
        targets: uint8 images `(n, height, width, channels)`.
        results: uint8 images of the same shape.
        columns: Number of images in a row. Every further `columns` images add three rows.

    Returns:
        uint8 grid `(height, width, 1 or 3)`.
    """
    pairs = [np.stack([composite(image) for image in part]) for part in (targets, results)]
    apart = np.abs(pairs[0].astype(np.int16) - pairs[1]).astype(np.uint8)
    columns = min(columns, len(targets))
    parts = [slice(start, start + columns) for start in range(0, len(targets), columns)]
    rows: list[np.ndarray] = []
    for part in parts:
        for images in (*pairs, apart):
            missing = [(0, columns - len(images[part])), (0, 0), (0, 0), (0, 0)]
            rows.append(np.pad(images[part], missing))
    cells = np.concatenate(rows)
    return tile(cells, columns, invert=cells.shape[-1] == 1)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Returns a uint8 image `(height, width, channels)` of 1, 3 or 4 channels as PNG bytes.

    Raises:
        TypeError: If `image` is not uint8.
        ValueError: If `image` has another shape.
    """
    import tensorflow as tf

    if image.dtype != np.uint8:
        raise TypeError(
            f"Expected a uint8 image; `to_uint8` makes it. Received: image.dtype={image.dtype}."
        )
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(
            "Expected an image of shape (height, width, channels) with 1, 3 or 4 channels. "
            f"Received: image.shape={image.shape}."
        )
    return bytes(tf.io.encode_png(image).numpy())


def write_png(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Writes a uint8 image as a PNG file, and overwrites an existing file atomically.

    Args:
        path: File to write.
        image: See `encode_png`, which also describes the errors.
    """
    content = encode_png(image)
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def write_pngs(
    folder: str | os.PathLike[str],
    images: NDArray[np.uint8],
    numbers: Sequence[int] | None = None,
) -> None:
    """Writes one PNG file for each image, `00000.png`, `00001.png` and so on.

    Images of an earlier call are overwritten, and its images with other numbers are deleted. The
    folder then holds only the new images. A file `samples.json` marks the folder as written by this
    function.

    Args:
        folder: Folder to write to. It is created if it does not exist.
        images: uint8 images of shape `(n, height, width, channels)` with 1, 3 or 4 channels.
        numbers: Numbers in the names of the files. Defaults to 0, 1, ….

    Raises:
        FileExistsError: If `folder` is a file, or contains other files.
    """
    folder = Path(folder)
    older = numbered_pngs(folder)
    write_json(folder / _SAMPLES, {"images": len(images)})
    numbers = range(len(images)) if numbers is None else numbers
    paths = [folder / f"{number:05d}.png" for number in numbers]
    for path, image in zip(paths, images, strict=True):
        write_png(path, image)
    for path in set(older) - set(paths):
        path.unlink()


def numbered_pngs(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the paths of the images that `write_pngs` wrote; empty if there is no folder.

    Raises:
        FileExistsError: If `folder` is a file, or contains a file that `write_pngs` did not write.
    """
    folder = Path(folder)
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise FileExistsError(
            f"Expected the name of a folder. Received: {folder}, which is a file. Name a folder, "
            "or a file that ends in .png or .npy."
        )
    paths = sorted(path for path in folder.iterdir() if not is_partial(path))
    if paths and folder / _SAMPLES not in paths:
        raise FileExistsError(
            "Expected a new folder, or one of an earlier sample, which holds samples.json. "
            f"Received: {folder}, which holds {paths[0].name}. Name another folder."
        )
    paths = [path for path in paths if path.name != _SAMPLES]
    for path in paths:
        if not (re.fullmatch(r"(\d{5}|[1-9]\d{5,})\.png", path.name) and path.is_file()):
            raise FileExistsError(
                "Expected a new folder, or one that holds only images of an earlier sample, "
                f"00000.png and so on. Received: {folder}, which holds {path.name}. Name another "
                "folder."
            )
    return paths
