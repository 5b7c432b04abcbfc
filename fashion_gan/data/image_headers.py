"""Sizes of images by the headers of their files alone.

Each function reads the fields that TensorFlow's decoder of the format allocates by.
"""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

__all__ = ["ImageSize", "read_image_size"]


class ImageSize(NamedTuple):
    """Bytes of an image once it is decoded, and bytes in use while it is being decoded."""

    pixels: int
    decoding: int


def read_image_size(path: str | os.PathLike[str]) -> ImageSize | None:
    """Returns the size that a PNG, JPEG, GIF or BMP file declares.

    The content decides on the format, not the name. Channels count as they are decoded, a palette
    as three.

    Returns:
        Size of the image, or None for other formats and for a header without a size.
    """
    with open(path, "rb") as stream:
        start = stream.read(8)
        stream.seek(0)
        for signature, read in _READERS.items():
            if start.startswith(signature):
                try:
                    return read(stream)
                except struct.error:  # the file ends within the header
                    return None
    return None


def _read_png(stream: BinaryIO) -> ImageSize | None:
    kind, width, height, color = struct.unpack(">12x4sIIxB", stream.read(26))
    if kind != b"IHDR":
        return None
    pixels = width * height * {0: 1, 2: 3, 3: 3, 4: 2}.get(color, 4)
    return ImageSize(pixels, pixels)


def _read_jpeg(stream: BinaryIO) -> ImageSize | None:
    stream.seek(2)
    while stream.read(1) == b"\xff":
        while (marker := stream.read(1)) == b"\xff":  # padding
            pass
        (code,) = struct.unpack("B", marker)
        if code == 0x01 or 0xD0 <= code <= 0xD7:  # markers without a segment
            continue
        if code in (0xD8, 0xD9, 0xDA):  # the image starts again, ends, or its scan begins
            return None
        (length,) = struct.unpack(">H", stream.read(2))
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width, channels = struct.unpack(">xHHB", stream.read(6))
            pixels = width * height * min(channels, 3)
            return ImageSize(pixels, pixels)
        stream.seek(max(length - 2, 0), os.SEEK_CUR)
    return None


def _read_gif(stream: BinaryIO) -> ImageSize | None:
    """Returns the size of a GIF by its frames.

    TensorFlow returns one frame, of the largest width and height of all frames whatever the canvas,
    but holds all of them while it decodes.
    """
    (flags,) = struct.unpack("10xB2x", stream.read(13))
    _skip_palette(stream, flags)
    widths, heights, total = [0], [0], 0
    while (block := stream.read(1)) in (b",", b"!"):
        if block == b",":
            fields = stream.read(9)
            if len(fields) < 9:
                break
            width, height, flags = struct.unpack("<4xHHB", fields)
            widths.append(width)
            heights.append(height)
            total += width * height
            _skip_palette(stream, flags)
        stream.read(1)  # the size of the first code, or the kind of the extension
        while length := stream.read(1):
            if length == b"\0":
                break
            stream.seek(length[0], os.SEEK_CUR)
    pixels = 3 * max(widths) * max(heights)
    return ImageSize(pixels, max(pixels, total)) if total else None


def _skip_palette(stream: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        stream.seek(3 * 2 ** ((flags & 7) + 1), os.SEEK_CUR)


def _read_bmp(stream: BinaryIO) -> ImageSize:
    width, height, bits = struct.unpack("<18xii2xH", stream.read(30))
    pixels = abs(width) * abs(height) * max(bits // 8, 1)
    return ImageSize(pixels, pixels)


_READERS: dict[bytes, Callable[[BinaryIO], ImageSize | None]] = {
    b"\x89PNG\r\n\x1a\n": _read_png,
    b"\xff\xd8\xff": _read_jpeg,
    b"GIF8": _read_gif,
    b"BM": _read_bmp,
}
