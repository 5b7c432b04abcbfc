"""Decodes image files of any format, mode and size into uint8 arrays of one shape."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, UnidentifiedImageError

__all__ = [
    "CHANNELS",
    "FORMATS",
    "RESAMPLES",
    "RESIZES",
    "Decoded",
    "ImageOptions",
    "decode_array",
    "decode_file",
    "no_pixel_limit",
    "oriented_size",
    "parse_size",
    "read_header",
]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
"""Allowed Pillow formats. Other formats can start programs, as EPS starts Ghostscript."""

RESIZES = ("crop", "pad", "stretch")
RESAMPLES = ("lanczos", "nearest")
CHANNELS = ("auto", "1", "3", "4")

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112  # EXIF tag
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DRAFT_MARGIN = 4  # smallest ratio of a decoded JPEG's sides to those of the result


def parse_size(text: str) -> tuple[int, int]:
    """Returns `(height, width)` of a size such as `64` or `WIDTHxHEIGHT`.

    Args:
        text: Size in pixels.

    Raises:
        ValueError: If `text` is not a size, or not positive.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:[xX×]([1-9][0-9]{0,4}))?", text)
    if not found:
        raise ValueError(
            "Expected a size in pixels, such as 64 or WIDTHxHEIGHT such as 64x48. "
            f"Received: image_size={text!r}."
        )
    width = int(found[1])
    return int(found[2] or width), width


@dataclass(frozen=True)
class ImageOptions:
    """Sets the size and format to which every image of a collection is converted.

    Args:
        image_size: Size as `64` or `WIDTHxHEIGHT`. Empty to keep the common size of all images.
        resize: Method for images of another aspect ratio than `image_size`: `"crop"` crops to the
            center, `"pad"` adds background, `"stretch"` distorts.
        resample: Resampling filter: `"lanczos"`, which is antialiased, or `"nearest"` for pixel
            art.
        channels: Number of channels: `"1"` for gray, `"3"` for RGB, `"4"` for RGB and straight
            alpha, or `"auto"` for gray if all images are gray and for RGB otherwise.
        background: Color, as a name or `#rrggbb`, behind transparent images and of the borders
            that `"pad"` adds. With four channels, transparent pixels get this color.

    Raises:
        ValueError: If an option is invalid.
    """

    image_size: str = ""
    resize: str = "crop"
    resample: str = "lanczos"
    channels: str = "auto"
    background: str = "white"

    def __post_init__(self) -> None:
        choices: dict[str, Sequence[str]] = {
            "resize": RESIZES,
            "resample": RESAMPLES,
            "channels": CHANNELS,
        }
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"Expected one of {known}. Received: {name}={value!r}.")
        if self.image_size:
            parse_size(self.image_size)
        self.color  # noqa: B018 - raises

    @property
    def size(self) -> tuple[int, int] | None:
        """Returns the height and width, or None to keep the size of the images."""
        return parse_size(self.image_size) if self.image_size else None

    @property
    def num_channels(self) -> int | None:
        """Returns the number of channels, or None to choose it by the images."""
        return None if self.channels == "auto" else int(self.channels)

    @property
    def color(self) -> tuple[int, int, int]:
        """Returns the red, green and blue of the background."""
        try:
            red, green, blue = ImageColor.getrgb(self.background)[:3]
        except ValueError:
            raise ValueError(
                "Expected a color, such as white or #ffffff. "
                f"Received: background={self.background!r}."
            ) from None
        return red, green, blue


@dataclass(frozen=True)
class Decoded:
    """Holds a decoded image.

    Attributes:
        pixels: Array uint8 `(height, width, channels)`, with 3 channels if the options name no
            number. None if the size of the image differs from the required size.
        size: Height and width in the file, after EXIF orientation.
        gray: Whether all channels are equal.
        changes: Changes of pixels and format, as phrases that complete "204 images: …". A new size
            is no such change, since `size` and `pixels` tell it.
    """

    pixels: NDArray[np.uint8] | None
    size: tuple[int, int]
    gray: bool
    changes: tuple[str, ...]


@contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Lifts Pillow's limit on pixels, for code that checks sizes against a limit of bytes."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def read_header(file: str | IO[bytes]) -> Image.Image:
    """Opens an image and reads only its header.

    Args:
        file: Path or binary stream. The format is detected by the content, not by the name.

    Raises:
        ValueError: If the file is not an image of `FORMATS`, or its header is damaged.
        OSError: If the file cannot be opened.
    """
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError("it is not an image of a known format") from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # Pillow's plugins raise many types for damaged files
        raise ValueError(str(error) or type(error).__name__) from error


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Returns the height and width of an image after EXIF orientation."""
    return _turned(image.size[::-1], _orientation(image))


def decode_file(
    image: Image.Image, options: ImageOptions, required: tuple[int, int] | None = None
) -> Decoded:
    """Decodes an image whose header has been read.

    Args:
        image: Image from `read_header`.
        options: Size and format of the resulting image.
        required: Height and width that the image must have if the options name no size. Defaults
            to None, for any size.

    Raises:
        ValueError: If the image is damaged.
    """
    orientation = _orientation(image)
    size = _turned(image.size[::-1], orientation)
    if options.size is None and required not in (None, size):
        return Decoded(None, size, False, ())
    try:
        return _decode(image, options, size, orientation)
    except Exception as error:  # Pillow's decoders raise many types for damaged files
        raise ValueError(str(error) or type(error).__name__) from error


def decode_array(pixels: NDArray[np.uint8], options: ImageOptions) -> Decoded:
    """Resizes and converts an image in memory.

    Args:
        pixels: Array uint8 `(height, width, channels)` with 1, 3 or 4 channels.
        options: Size and format of the resulting image.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return _decode(image, options, pixels.shape[:2], 1)


def _decode(
    image: Image.Image, options: ImageOptions, size: tuple[int, int], orientation: int
) -> Decoded:
    changes = []
    if getattr(image, "is_animated", False):
        changes.append("first frame of an animation or of several pages")
    target = options.size
    if target is not None:
        turned = _turned(target, orientation)
        _draft(image, turned, options)
    image.load()
    if image.mode in _DEEP_MODES:
        image = _with_8_bits(image)
        changes.append("more than 8 bits a channel rounded to 8")
    if orientation in _TRANSPOSES and target is None:
        image = image.transpose(_TRANSPOSES[orientation])
    image = _with_known_mode(image)
    if target is not None:
        image = _resized(image, turned, options)
        if orientation in _TRANSPOSES:
            image = image.transpose(_TRANSPOSES[orientation])
    if orientation in _TRANSPOSES:
        changes.append("turned upright by the orientation in EXIF")
    image, transparent = _with_channels(image, options)
    if transparent and options.num_channels != 4:
        changes.append(f"transparency composited on {options.background}")
    pixels = np.asarray(image, np.uint8)
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    if options.num_channels == 4:
        pixels = pixels.copy()
        pixels[pixels[..., 3] == 0, :3] = options.color
    gray = pixels.shape[2] == 1
    if options.num_channels is None and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    elif pixels.shape[2] >= 3:
        first = pixels[..., 0]
        gray = np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])
    return Decoded(pixels, size, gray, tuple(changes))


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, or 1 if it is missing or damaged."""
    if image.format == "JPEG" and not image.info.keys() & {"exif", "xmp"}:
        return 1  # faster than parsing empty metadata
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata does not affect the pixels
        return 1
    return value if value in _TRANSPOSES else 1


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Converts a height and width between file and EXIF orientation, in either direction."""
    return size[::-1] if orientation >= 5 else size


def _draft(image: Image.Image, target: tuple[int, int], options: ImageOptions) -> None:
    """Sets a large JPEG to be decoded at a half, a quarter or an eighth of its size."""
    if options.resample == "nearest":
        return
    height, width = (_DRAFT_MARGIN * side for side in target)
    scale = min(image.width / width, image.height / height)
    if options.resize == "pad":
        scale = max(image.width / width, image.height / height)
    if scale >= 2:
        image.draft(image.mode, (int(image.width / scale), int(image.height / scale)))


def _with_8_bits(image: Image.Image) -> Image.Image:
    """Converts a gray image of 16-bit, 32-bit or float values to 8 bits.

    Raises:
        ValueError: If the values are neither 16-bit integers nor floats from 0 to 1 or to 255.
    """
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    of_floats = 1.0 if high <= 1 else 255.0
    top = of_floats if image.mode == "F" else 65_535.0
    if not 0 <= low <= high <= top:
        raise ValueError(f"its values run from {low:g} to {high:g}, not from 0 to {top:g}")
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))


def _with_known_mode(image: Image.Image) -> Image.Image:
    """Converts an image to mode L, RGB or RGBA."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("LA", "La", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    return image.convert("RGB")


def _resized(image: Image.Image, target: tuple[int, int], options: ImageOptions) -> Image.Image:
    """Resizes an image to the target height and width."""
    height, width = target
    if image.size == (width, height):
        return image
    nearest = options.resample == "nearest"
    filter_ = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    if options.resize == "stretch":
        return image.resize((width, height), filter_)
    if options.resize == "crop":
        scale = min(image.width / width, image.height / height)
        across, down = width * scale, height * scale
        left, top = (image.width - across) / 2, (image.height - down) / 2
        box = (left, top, min(left + across, image.width), min(top + down, image.height))
        return image.resize((width, height), filter_, box=box)
    scale = max(image.width / width, image.height / height)
    inner = max(round(image.width / scale), 1), max(round(image.height / scale), 1)
    image = image.resize(inner, filter_)
    if image.mode == "RGBA":
        fill: Any = (*options.color, 0)
    elif image.mode == "L" and len(set(options.color)) > 1:
        image, fill = image.convert("RGB"), options.color
    else:
        fill = options.color[0] if image.mode == "L" else options.color
    padded = Image.new(image.mode, (width, height), fill)
    padded.paste(image, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return padded


def _with_channels(image: Image.Image, options: ImageOptions) -> tuple[Image.Image, bool]:
    """Converts an image to its final channels, and returns whether any pixel is transparent."""
    number = options.num_channels
    transparent = image.mode == "RGBA" and np.asarray(image.getchannel("A")).min() < 255
    if number == 4:
        return image.convert("RGBA"), transparent
    if image.mode == "RGBA":
        canvas = Image.new("RGBA", image.size, (*options.color, 255))
        canvas.alpha_composite(image)
        image = canvas.convert("RGB")
    mode = "L" if number == 1 else "RGB"
    if number is not None and image.mode != mode:
        image = image.convert(mode)
    return image, transparent
