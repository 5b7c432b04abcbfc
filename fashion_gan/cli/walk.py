"""Implements the command `fashion-gan walk`, which animates or tiles a latent path."""

import argparse
from pathlib import Path
from typing import Any

from fashion_gan.cli.options import (
    RUN,
    add_class,
    add_command,
    add_no_ema,
    add_which,
    report,
    start_tensorflow,
)
from fashion_gan.cli.parser import frames_per_second, positive_float, positive_int, seed_list
from fashion_gan.registry import check_suffix

__all__ = ["add_commands"]

_SEEDS = "0-3"
_WIDTH = 256  # width in pixels to which an animation is enlarged


def add_commands(commands: Any) -> None:
    """Adds `walk`."""
    parser = add_command(
        commands,
        "walk",
        _walk,
        "animate the images between latents, in a loop",
        examples=(
            "fashion-gan walk logs/photos --seeds 3,17,42 --frames 60 --out walk.gif",
            "fashion-gan walk resnet_conditional --class sandal --out sandals.png",
        ),
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--seeds",
        type=seed_list,
        default=_SEEDS,
        metavar="LIST",
        help=f"seeds of the latents on the path, such as 3,17,42 or 0-3 (default {_SEEDS})",
    )
    parser.add_argument(
        "--frames",
        type=positive_int,
        default=60,
        metavar="N",
        help="total number of frames (default 60)",
    )
    parser.add_argument(
        "--truncation",
        type=positive_float,
        metavar="LIMIT",
        help="largest absolute value in a latent; larger numbers are redrawn, so images become "
        "better and less diverse (default: no limit)",
    )
    add_class(parser)
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--fps",
        type=frames_per_second,
        default=20.0,
        metavar="N",
        help="frames per second of an animation, 0.1 to 100 (default 20)",
    )
    parser.add_argument(
        "--scale",
        type=positive_int,
        metavar="N",
        help=f"factor by which an animation is enlarged (default: to a side of about {_WIDTH} "
        "pixels)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="FILE.gif or FILE.webp for an animation, FILE.png for a grid of all frames with a row "
        "for each seed; an existing file is overwritten (default RUN-walk.gif)",
    )


def _walk(options: argparse.Namespace) -> None:
    out = options.out or f"{options.run.removesuffix('.keras').rstrip('/')}-walk.gif"
    suffix = check_suffix(out, (".gif", ".webp", ".png"))
    start_tensorflow(options)
    import numpy as np

    from fashion_gan import images, latents
    from fashion_gan.runs.checkpoints import find_source

    source = find_source(options.run)
    gan = source.load(options.which, report)
    largest = np.inf if options.truncation is None else options.truncation
    points = [latents.truncate(1, gan.latent_dim, largest, seed)[0] for seed in options.seeds]
    way = latents.loop(points, options.frames)
    labels: Any = None
    repeats = 1
    if options.label is not None:
        labels = source.class_index(options.label)
    elif gan.num_classes is not None:
        labels, repeats = np.tile(np.arange(gan.num_classes), len(way)), gan.num_classes
    drawn = gan.sample(latents=way.repeat(repeats, axis=0), labels=labels, use_ema=options.use_ema)
    pixels = images.with_channels(images.to_uint8(drawn, gan.value_range))
    columns = 1 if suffix == ".png" else None
    frames = np.stack(
        [
            images.tile(frame, columns, invert=pixels.shape[-1] == 1)
            for frame in pixels.reshape(len(way), repeats, *pixels.shape[1:])
        ]
    )
    if suffix == ".png":
        images.write_png(Path(out), images.tile(frames, -(-len(frames) // len(points))))
    else:
        scale = options.scale or max(1, _WIDTH // max(frames.shape[1:3]))
        images.write_film(out, frames, frames_per_second=options.fps, scale=scale)
    print(f"{len(frames)} frames along {len(points)} latents: {out}")
