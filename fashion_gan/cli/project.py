"""Implements the command `fashion-gan project`, which finds the latents of given images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_gan.cli.options import (
    RUN,
    add_class,
    add_command,
    add_no_ema,
    add_which,
    report,
    start_tensorflow,
)
from fashion_gan.cli.parser import non_negative_int, positive_int
from fashion_gan.files import atomic_write
from fashion_gan.registry import check_suffix

if TYPE_CHECKING:
    import numpy as np

    from fashion_gan.data.decoding import ImageOptions

__all__ = ["add_commands"]

_COLUMNS = 12  # images in a row of the grid
_SHOWN = 120  # images in the grid


def add_commands(commands: Any) -> None:
    """Adds `project`."""
    parser = add_command(
        commands,
        "project",
        _project,
        "find the latents whose images are nearest to given images",
        examples=(
            "fashion-gan project logs/photos photo.png",
            "fashion-gan project dense_modern shoe.jpg --invert --out shoe-projection.png",
        ),
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image file of any size, or a folder, .zip, .parquet, .npz, .npy or IDX file",
    )
    add_class(parser)
    parser.add_argument(
        "--invert",
        action="store_true",
        help="invert the images first, if they are dark on white and the generator draws light "
        "images on black",
    )
    parser.add_argument(
        "--starts",
        type=positive_int,
        default=8,
        metavar="N",
        help="number of latents from which the search for an image starts (default 8)",
    )
    parser.add_argument(
        "--steps",
        type=non_negative_int,
        default=60,
        metavar="N",
        help="number of steps of Adam from each start (default 60)",
    )
    parser.add_argument(
        "--refinements",
        type=non_negative_int,
        default=40,
        metavar="N",
        help="number of Gauss-Newton steps after the steps of Adam (default 40)",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="seed of the latents from which the search starts (default 0)",
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--out",
        metavar="FILE.png",
        help="picture of targets, results and errors; the latents are written to FILE.npy; "
        "existing files are overwritten (default RUN-projection.png)",
    )


def _project(options: argparse.Namespace) -> None:
    out = Path(options.out or f"{options.run.removesuffix('.keras').rstrip('/')}-projection.png")
    check_suffix(out, (".png",))
    start_tensorflow(options)
    import numpy as np

    from fashion_gan import images, latents
    from fashion_gan.runs.builder import ProgressBar
    from fashion_gan.runs.checkpoints import find_source

    source = find_source(options.run)
    gan = source.load(options.which, report)
    label = None if options.label is None else source.class_index(options.label)
    chosen = source.image_options(gan.image_shape)
    targets = np.concatenate([_read_images(path, chosen) for path in options.images])
    if options.invert:
        targets = images.invert(targets)
    found = latents.project(
        gan,
        targets,
        label,
        starts=options.starts,
        steps=options.steps,
        refinements=options.refinements,
        seed=options.seed,
        use_ema=options.use_ema,
        progress=ProgressBar("step"),
    )
    with atomic_write(out.with_suffix(".npy")) as partial:
        np.save(partial, found.latents)
    results = images.with_channels(images.to_uint8(found.images, gan.value_range))
    images.write_png(out, images.compare(targets[:_SHOWN], results[:_SHOWN], _COLUMNS))
    for index, error in enumerate(found.errors[:_SHOWN]):
        named = "" if found.labels is None else f", class {source.class_name(found.labels[index])}"
        print(f"image {index}: error {error:.3f}{named}")
    print(
        f"mean error of {len(targets)} images: {found.errors.mean():.3f} "
        "(root mean square, for pixels from 0 to 1)"
    )
    print(
        f"targets, results and errors: {out}; latents {found.latents.shape}: "
        f"{out.with_suffix('.npy')}"
    )


def _read_images(path: str, options: "ImageOptions") -> "np.ndarray":
    """Returns the images of a file or folder, uint8 `(n, height, width, channels)`."""
    from fashion_gan import data
    from fashion_gan.data.listing import SUFFIXES

    if Path(path).suffix.lower() in SUFFIXES and Path(path).is_file():
        return data.load_image(path, options)[None]
    return data.load_images(path, options, use_cache=False).images[:]
