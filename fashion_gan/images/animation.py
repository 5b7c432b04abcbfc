"""Writes animations, such as the image grids of a run."""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fashion_gan.files import atomic_write
from fashion_gan.images.arrays import composite
from fashion_gan.registry import check_suffix

__all__ = ["FILMS", "animate", "write_film"]

FILMS = (".gif", ".png", ".webp")
"""Suffixes of the formats of animations."""

_PIXELS = 2**28  # largest number of pixels of all frames, which are in memory at the same time


def animate(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    frames_per_second: float = 5.0,
    scale: int = 2,
) -> int:
    """Writes a GIF, animated PNG or WebP of the images `epoch_0000.png`, … of a folder.

    PNG and WebP keep transparency. A GIF has no partially transparent pixels, so its images get a
    white background.

    Args:
        folder: Folder of the images, such as `samples` of a run or `png_dir` of an `ImageGrid`.
        out: Path of the animation. Its suffix selects the format. An existing file is overwritten
            atomically.
        frames_per_second: Number of epochs per second, 0.1 to 100. The last frame is shown for two
            seconds. Defaults to 5.
        scale: Side of the square that each pixel becomes. Defaults to 2.

    Returns:
        The number of images. A GIF merges equal consecutive images into one frame.

    Raises:
        FileNotFoundError: If there are fewer than two such images.
        ValueError: If the suffix is unknown, if a number is out of range, if a file is not a PNG,
            or if all frames together have more than 2**28 pixels.
    """
    out = Path(out)
    check_suffix(out, FILMS)
    _check_speed(frames_per_second, scale)
    files = [p for p in Path(folder).glob("*.png") if re.fullmatch(r"epoch_\d+", p.stem)]
    files.sort(key=lambda file: int(file.stem.removeprefix("epoch_")))
    if len(files) < 2:
        raise FileNotFoundError(
            f"Expected at least two files epoch_0000.png and so on in {folder}. Received: "
            f"{len(files)}."
        )
    _check_pixels(files, scale)
    frames = []
    for file in files:
        with _open_png(file) as image:
            known = image.mode in ("L", "RGB", "RGBA")
            pixels = np.asarray(image if known else image.convert("RGB"))
        frames.append(pixels[..., np.newaxis] if pixels.ndim == 2 else pixels)
    times = [1000 / frames_per_second] * (len(frames) - 1) + [2000]
    _write(out, frames, times, scale)
    return len(frames)


def write_film(
    out: str | os.PathLike[str],
    frames: NDArray[np.uint8],
    *,
    frames_per_second: float = 20.0,
    scale: int = 1,
) -> None:
    """Writes frames as a looping GIF, animated PNG or WebP.

    PNG and WebP keep transparency. A GIF has no partially transparent pixels, so its images get a
    white background.

    Args:
        out: Path of the animation. Its suffix selects the format. An existing file is overwritten.
        frames: uint8 frames `(n, height, width, channels)` of 1, 3 or 4 channels.
        frames_per_second: Number of frames per second, 0.1 to 100. Defaults to 20.
        scale: Side of the square that each pixel becomes. Defaults to 1.

    Raises:
        ValueError: If the suffix is unknown, if a number is out of range, or if all frames together
            have more than 2**28 pixels.
    """
    out = Path(out)
    check_suffix(out, FILMS)
    _check_speed(frames_per_second, scale)
    pixels = len(frames) * frames.shape[1] * frames.shape[2] * scale**2
    if pixels > _PIXELS:
        raise ValueError(
            f"Expected an animation of at most {_PIXELS:,} pixels. Received: {len(frames)} frames "
            "with "
            f"scale={scale}, which makes {pixels:,}. Choose fewer frames or a smaller scale."
        )
    _write(out, list(frames), [1000 / frames_per_second] * len(frames), scale)


def _check_speed(frames_per_second: float, scale: int) -> None:
    if not 0.1 <= frames_per_second <= 100 or scale < 1:  # a GIF counts hundredths of a second
        raise ValueError(
            "Expected 0.1 to 100 frames a second, and a scale of at least 1. "
            f"Received: frames_per_second={frames_per_second}, scale={scale}."
        )


def _write(
    out: Path, frames: Sequence[NDArray[np.uint8]], times: Sequence[float], scale: int
) -> None:
    """Writes frames with their durations in milliseconds."""
    shown = []
    for frame in frames:
        opaque = composite(frame) if out.suffix.lower() == ".gif" else frame
        image = Image.fromarray(opaque[..., 0] if opaque.shape[2] == 1 else opaque)
        size = (image.width * scale, image.height * scale)
        shown.append(image.resize(size, Image.Resampling.NEAREST))
    with atomic_write(out) as partial:
        shown[0].save(partial, save_all=True, append_images=shown[1:], duration=times, loop=0)


def _check_pixels(files: list[Path], scale: int) -> None:
    """Checks the number of pixels of an animation by the headers of its images."""
    pixels = 0
    for file in files:
        with _open_png(file) as image:
            declared = image.width * image.height
        if declared > _PIXELS:
            raise ValueError(
                f"Expected an animation of at most {_PIXELS:,} pixels. Received: {file}, which "
                "declares "
                f"{declared:,}. Remove it."
            )
        pixels += declared
    if pixels * scale**2 > _PIXELS:
        largest = math.isqrt(_PIXELS // pixels)
        remedy = f"The largest scale that fits is {largest}." if largest else "Remove some images."
        raise ValueError(
            f"Expected an animation of at most {_PIXELS:,} pixels. Received: {len(files)} images "
            "of "
            f"{pixels:,} pixels together, and scale={scale}, which makes {pixels * scale**2:,}. "
            f"{remedy}"
        )


def _open_png(file: Path) -> PngImageFile:
    """Opens a PNG file and reads its header.

    `Image.open` raises its own error for large images, and also reads other formats.
    """
    try:
        return PngImageFile(file)
    except (SyntaxError, ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read as a PNG ({error}). Remove it.") from error
