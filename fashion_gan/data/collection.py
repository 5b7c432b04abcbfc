"""Reads your own images from a folder, an archive or an array file into one array."""

import functools
import hashlib
import io
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_gan import files
from fashion_gan.data import array_files, decoding, image_cache
from fashion_gan.data.byte_limit import check_bytes
from fashion_gan.data.decoding import Decoded, ImageOptions
from fashion_gan.data.listing import SUFFIXES, Listing, list_folder, list_parquet, list_zip
from fashion_gan.registry import printable

__all__ = ["Collection", "load_image", "load_images"]

_CHUNK = 64  # images that a thread decodes at once
_SMALL_FILE = 2**15  # average bytes of a file, below which threads would slow each other down
_LARGE = 16_000_000  # pixels above which images are decoded one at a time
_MAX_SIDE = 512  # pixels; larger images are photos, for which the user must choose a size
_ARRAYS = (".npy", ".npz")

Progress = Callable[[int, int], None]


@dataclass(eq=False)
class Collection:
    """Holds images of one shape, with their labels and a record of how they were read.

    Attributes:
        images: Images uint8 `(n, height, width, channels)`, possibly memory-mapped.
        labels: Class of each image int32 `(n,)`, or None without classes.
        class_names: Names of the classes, or None without classes.
        parts: Part of each image, "train", "validation" or "test". None if the layout has no parts.
        found: Number of images found, including unreadable ones.
        skipped: Names of the skipped files, by reason.
        changes: Number of images for each kind of change beyond copying pixels.
        notes: Sentences on how layout and values were interpreted.
        duplicates: Number of images whose pixels equal those of an earlier image.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32] | None = None
    class_names: tuple[str, ...] | None = None
    parts: tuple[str, ...] | None = None
    found: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    duplicates: int = 0

    def describe(self) -> Iterator[str]:
        """Yields lines on the images found, skipped and changed."""
        count, height, width, channels = self.images.shape
        kind = {1: "gray", 3: "RGB", 4: "RGB with transparency"}[channels]
        yield f"images         {count:,} of {width}x{height}, {kind}"
        for why, names in self.skipped.items():
            several = f"{len(names):,}, such as " if len(names) > 1 else ""
            yield printable(f"skipped        {why}: {several}{names[0]}")
        for change, number in self.changes.items():
            yield printable(f"changed        {_count_images(number)}: {change}")
        for note in self.notes:
            yield printable(f"note           {note}")
        if self.labels is not None and self.class_names is not None:
            counts = np.bincount(self.labels, minlength=len(self.class_names))
            pairs = zip(self.class_names, counts, strict=True)
            shown = [f"{name} {number:,}" for name, number in pairs]
            rest = f" and {len(shown) - 12:,} more" if len(shown) > 12 else ""
            yield printable(f"classes        {len(shown):,}: {', '.join(shown[:12])}{rest}")
        if self.duplicates:
            yield f"duplicates     {_count_images(self.duplicates)} equal to an earlier one"


def _count_images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def load_images(
    path: str | os.PathLike[str],
    options: ImageOptions | None = None,
    *,
    skip_corrupt: bool = False,
    max_bytes: int | None = None,
    use_cache: bool = True,
    progress: Progress | None = None,
) -> Collection:
    """Reads a collection of images of any format into one array.

    Decoded images are cached, see `files.cache_dir`, and read from the cache until the files
    change. Sizes in headers are checked before memory is allocated.

    Args:
        path: Folder of image files, whose sub-folders are classes, or the parts `train`, `val` and
            `test`; a `.zip` of such a folder; a `.parquet` file; a `.npy` or `.npz` file; an IDX
            file; or a folder of parquet or IDX files.
        options: Size and format of the resulting images. Defaults to `ImageOptions()`.
        skip_corrupt: Whether to skip unreadable files, with a warning that names them. Defaults to
            False.
        max_bytes: Limit on the bytes of pixels. Defaults to the limit of `check_bytes`.
        use_cache: Whether to use the cache. Defaults to True.
        progress: Function that is called with the numbers of decoded images and of all images.
            Defaults to None.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ImportError: If pyarrow, which parquet files need, is not installed.
        ValueError: If there are no images or damaged images; if the images differ in size and the
            options name no size; if the layout or the values are ambiguous; if a header declares
            more than the limit.
    """
    place, options = Path(path), options or ImageOptions()
    if not place.exists():
        raise FileNotFoundError(f"{path} does not exist. Name a folder or file of images.")
    with decoding.no_pixel_limit():
        listing = _find_listing(place, max_bytes)
        if listing is None:
            return _load_arrays(place, options, max_bytes)
        decode = functools.partial(_decode, listing, options, skip_corrupt, max_bytes, progress)
        if use_cache:
            pixels, record = _through_cache(listing, options, skip_corrupt, decode)
        else:
            pixels, record = decode(None)
    check_bytes(place, pixels.nbytes, max_bytes)
    return _to_collection(listing, pixels, record)


def load_image(
    source: str | os.PathLike[str] | bytes,
    options: ImageOptions | None = None,
    *,
    max_bytes: int | None = None,
) -> NDArray[np.uint8]:
    """Reads one image of any format, mode and size.

    Args:
        source: Path of an image file, or its content as bytes.
        options: Size and format of the resulting image. Defaults to `ImageOptions()`.
        max_bytes: Limit on the bytes of pixels. Defaults to the limit of `check_bytes`.

    Returns:
        Image uint8 `(height, width, channels)`, with 3 channels if the options name no number.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is not an image, is damaged, or declares more than the limit.
    """
    name = "the image" if isinstance(source, bytes) else os.fspath(source)
    stream = source if isinstance(source, bytes) else name
    try:
        with decoding.no_pixel_limit(), decoding.read_header(_stream(stream)) as image:
            width, height = image.size
            check_bytes(name, 4 * width * height, max_bytes)
            pixels = decoding.decode_file(image, options or ImageOptions()).pixels
    except ValueError as error:
        reason = printable(" ".join(str(error).split()))
        raise ValueError(f"{name} cannot be read as an image: {reason}. Name another.") from error
    assert pixels is not None  # noqa: S101 - no size is required
    return pixels


def _find_listing(place: Path, max_bytes: int | None) -> Listing | None:
    """Returns the listing of a folder or an archive, or None for array files."""
    if place.is_dir():
        if array_files.find_idx_files(place):
            return None
        parquet = sorted(place.glob("*.parquet"))
        return list_parquet(parquet, place) if parquet else list_folder(place)
    suffix = place.suffix.lower()
    if suffix == ".zip":
        return list_zip(place, max_bytes)
    if suffix == ".parquet":
        return list_parquet([place], place)
    if suffix in _ARRAYS or array_files.find_idx_files(place):
        return None
    if suffix in SUFFIXES:
        with decoding.read_header(str(place)) as image:
            width, height = image.size
        raise ValueError(
            f"Expected a folder of images. Received: {place}, one image of {width}x{height}. Pass "
            "its folder. Cut a sheet of sprites into one file for each image first."
        )
    raise ValueError(
        f"Expected a folder of images, or a .zip, .parquet, .npz, .npy or IDX file. Received: "
        f"{place}. Unpack or convert it."
    )


def _load_arrays(place: Path, options: ImageOptions, max_bytes: int | None) -> Collection:
    names: list[str] | None
    notes: list[str] = []
    parts: list[str] | None = None
    if place.suffix.lower() in _ARRAYS:
        images, names, notes = array_files.read_array_file(place, max_bytes)
    else:
        paths = array_files.find_idx_files(place)
        images, names, parts = array_files.read_idx_pairs(paths, max_bytes)
    changes: Counter[str] = Counter()
    count, *shape = images.shape
    plain = options.size in (None, tuple(shape[:2])) and options.num_channels in (None, shape[2])
    if not plain or shape[2] == 4:
        results = [decoding.decode_array(image, options) for image in images]
        changes.update(_resizing(Counter(result.size for result in results), options))
        for result in results:
            changes.update(result.changes)
        images = np.stack([result.pixels for result in results if result.pixels is not None])
        if options.num_channels is None and all(result.gray for result in results):
            images = images[..., :1]
    labels, class_names = _as_labels(names)
    duplicates = count - len({image.tobytes() for image in images}) if images.nbytes < 2**30 else 0
    return Collection(
        images,
        labels,
        class_names,
        None if parts is None else tuple(parts),
        count,
        changes=dict(changes),
        notes=notes,
        duplicates=duplicates,
    )


def _through_cache(
    listing: Listing,
    options: ImageOptions,
    skip_corrupt: bool,
    decode: Callable[[Path | None], tuple[NDArray[np.uint8], dict[str, Any]]],
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Returns the images and the record of a listing from the cache, and fills it if needed."""
    folder = files.cache_dir() / "images"
    key = image_cache.cache_key(
        os.fspath(listing.place.resolve()), listing.names, listing.key, options
    )
    cached = image_cache.open_cached(folder, key)
    if cached is None or cached[1]["broken"] and not skip_corrupt:
        try:
            with image_cache.write_cached(folder, key) as (path, record):
                record.update(decode(path)[1])
        except OSError as error:
            warnings.warn(
                f"The decoded images cannot be cached in {folder} ({error.strerror or error}). "
                "They "
                "are decoded again the next time. Free space, or set KERAS_HOME.",
                stacklevel=4,
            )
            return decode(None)
        cached = image_cache.open_cached(folder, key)
    return cached or decode(None)  # another process may have removed it


def _decode(
    listing: Listing,
    options: ImageOptions,
    skip_corrupt: bool,
    max_bytes: int | None,
    progress: Progress | None,
    path: Path | None,
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Decodes all images of a listing to a file, or to memory if `path` is None.

    Returns:
        The array of images, and a record for JSON with `shape`, `changes`, `duplicates` and
        `broken`, the names of unreadable files with the reasons.
    """
    names, place = listing.names, listing.place
    required, gray = _first_size(listing, options)
    if options.size is None and max(required) > _MAX_SIDE:
        raise ValueError(
            f"Expected images of at most {_MAX_SIDE} pixels a side, or --image-size. Received: "
            f"{names[0]} of {required[1]}x{required[0]} in {place}. Choose a size, such as "
            "--image-size 64."
        )
    channels = options.num_channels or 3
    size = options.size or required
    declared = len(names) * size[0] * size[1] * (1 if gray else channels)
    check_bytes(f"{place} with {len(names)} images like {names[0]}", declared, max_bytes)
    broken: dict[int, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    changes: Counter[str] = Counter()
    digests: set[bytes] = set()
    all_gray = options.num_channels is None

    with image_cache.PixelWriter(path, len(names), (*size, channels)) as writer:
        for start, results in _decoded_chunks(listing, options, required, max_bytes):
            pixels = np.zeros((len(results), *size, channels), np.uint8)
            for index, result in enumerate(results):
                if isinstance(result, str):
                    broken[start + index] = result
                    continue
                sizes[result.size] += 1
                if result.pixels is None:
                    continue
                pixels[index] = result.pixels
                all_gray = all_gray and result.gray
                changes.update(result.changes)
                digests.add(hashlib.blake2b(result.pixels.data, digest_size=16).digest())
            writer.write(start, pixels)
            if progress is not None:
                progress(start + len(results), len(names))
        _check_broken(listing, broken, skip_corrupt)
        if options.size is None and len(sizes) > 1:
            raise ValueError(_sizes_error(place, sizes))
        keep = [index for index in range(len(names)) if index not in broken]
        channels = 1 if all_gray else channels
        images = writer.finish(np.array(keep, np.intp) if broken else None, channels)
    return images, {
        "shape": [len(keep), *size, channels],
        "broken": {names[index]: why for index, why in sorted(broken.items())},
        "changes": _resizing(sizes, options) | changes,
        "duplicates": len(keep) - len(digests),
    }


def _resizing(sizes: Counter[tuple[int, int]], options: ImageOptions) -> dict[str, int]:
    """Returns the number of resized images, with a phrase that names their original sizes."""
    if options.size is None:
        return {}
    height, width = options.size
    others = {size: count for size, count in sizes.items() if size != options.size}
    if not others:
        return {}
    low, high = (f"{w}x{h}" for h, w in (min(others, key=_area), max(others, key=_area)))
    origin = low if len(others) == 1 else f"{len(others):,} sizes, {low} to {high},"
    distorted = any(h * width != w * height for h, w in others)
    method = f" ({options.resize})" if distorted else ""
    return {f"resized from {origin} to {width}x{height}{method}": sum(others.values())}


def _area(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * size[1], size[0]


def _to_collection(
    listing: Listing, pixels: NDArray[np.uint8], record: dict[str, Any]
) -> Collection:
    broken = record["broken"]
    if broken:
        shown = ", ".join(list(broken)[:10]) + (" and others" if len(broken) > 10 else "")
        warnings.warn(f"Skipped, because they cannot be read: {shown}", stacklevel=5)
    kept = [name not in broken for name in listing.names]

    def among_kept(values: Sequence[str] | None) -> list[str] | None:
        if values is None:
            return None
        return [value for value, keep in zip(values, kept, strict=True) if keep]

    labels, class_names = _as_labels(among_kept(listing.labels))
    parts = among_kept(listing.parts)
    skipped = dict(listing.skipped)
    if broken:
        skipped["files that cannot be read"] = list(broken)
    return Collection(
        pixels,
        labels,
        class_names,
        None if parts is None else tuple(parts),
        len(listing.names),
        skipped,
        record["changes"],
        list(listing.notes),
        record["duplicates"],
    )


def _as_labels(
    names: Sequence[str] | None,
) -> tuple[NDArray[np.int32] | None, tuple[str, ...] | None]:
    """Returns labels and class names, sorted as numbers if all names are numbers."""
    if names is None:
        return None, None
    known = set(names)
    numeric = all(name.isascii() and name.isdigit() for name in known)
    ordered = sorted(known, key=int) if numeric else sorted(known)
    index = {name: i for i, name in enumerate(ordered)}
    return np.array([index[name] for name in names], np.int32), tuple(ordered)


def _first_size(listing: Listing, options: ImageOptions) -> tuple[tuple[int, int], bool]:
    """Returns the size of the first image with a readable header, and whether it is gray.

    Images with a side of more than `_MAX_SIDE` pixels are not rotated upright, since that may
    decode them.
    """
    for index in range(len(listing.names)):
        try:
            with decoding.read_header(_stream(listing.read(index))) as image:
                size, gray = image.size[::-1], image.mode in ("1", "L", "I;16")
                if max(size) <= _MAX_SIDE:  # the orientation of a PNG may follow its pixels
                    size = decoding.oriented_size(image)
                return size, gray
        except (OSError, ValueError):
            if options.size is not None:
                break
    return options.size or (1, 1), False


def _stream(source: str | bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _decoded_chunks(
    listing: Listing,
    options: ImageOptions,
    required: tuple[int, int],
    max_bytes: int | None,
) -> Iterator[tuple[int, list[Decoded | str]]]:
    """Yields the index of each chunk's first image, and its decoded images or error messages."""
    large = threading.Lock()

    def decode_one(index: int) -> Decoded | str:
        try:
            with decoding.read_header(_stream(listing.read(index))) as image:
                width, height = image.size
                name = os.path.join(listing.place, listing.names[index])
                check_bytes(name, 4 * width * height, max_bytes)
                if width * height <= _LARGE:
                    return decoding.decode_file(image, options, required)
                with large:
                    return decoding.decode_file(image, options, required)
        except (OSError, ValueError) as error:
            return " ".join(str(error).split())

    def decode_chunk(start: int) -> list[Decoded | str]:
        stop = min(start + _CHUNK, len(listing.names))
        return [decode_one(index) for index in range(start, stop)]

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    small = listing.num_bytes < _SMALL_FILE * len(listing.names)
    workers = 1 if small else cores  # small files cost mostly Python time, which threads share
    with ThreadPoolExecutor(workers) as pool:
        starts = iter(range(0, len(listing.names), _CHUNK))
        pending: list[tuple[int, Future[list[Decoded | str]]]] = []
        try:
            for start in starts:
                pending.append((start, pool.submit(decode_chunk, start)))
                if len(pending) > 2 * (workers or 1):
                    first, future = pending.pop(0)
                    yield first, future.result()
            for first, future in pending:
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_broken(listing: Listing, broken: dict[int, str], skip_corrupt: bool) -> None:
    if broken and (not skip_corrupt or len(broken) == len(listing.names)):
        index = min(broken)
        remedy = "Remove them, or skip them with --skip-corrupt."
        if len(broken) == len(listing.names):
            remedy = "Name a folder of images."
        raise ValueError(
            f"Expected images. Received: {len(broken):,} of {len(listing.names):,} files of "
            f"{listing.place} that cannot be read, such as {listing.names[index]}: "
            f"{broken[index]}. {remedy}"
        )


def _sizes_error(place: Path, sizes: Counter[tuple[int, int]]) -> str:
    shown = [f"{number:,} of {w}x{h}" for (h, w), number in sizes.most_common(5)]
    others = sum(sizes.values()) - sum(number for _, number in sizes.most_common(5))
    rest = f" and {others:,} of other sizes" if others else ""
    median = np.median([min(size) for size in sizes.elements()])
    side = max((side for side in (32, 64, 128) if side <= median), default=16)
    return (
        f"Expected images of one size. Received: {', '.join(shown)}{rest} in {place}. Choose one: "
        f"--image-size {side}, with --resize crop, pad or stretch."
    )
