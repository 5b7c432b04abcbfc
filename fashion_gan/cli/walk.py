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
        "draw the images between latents, on a way that ends as it began",
        examples=("fashion-gan walk logs/emoji --seeds 3,17,42 --frames 60 --out walk.gif",),
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--seeds",
        type=seed_list,
        default=_SEEDS,
        metavar="LIST",
        help=f"seeds of the latents to pass, such as 3,17,42 or 0-3 (default {_SEEDS})",
    )
    parser.add_argument(
        "--frames", type=positive_int, default=60, metavar="N", help="frames in all (default 60)"
    )
    parser.add_argument(
        "--truncation",
        type=positive_float,
        metavar="SD",
        help="draw numbers of a latent again that are beyond: images become better and more alike",
    )
    add_class(parser)
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--fps",
        type=frames_per_second,
        default=20.0,
        metavar="N",
        help="frames in a second of a film, 0.1 to 100 (default 20)",
    )
    parser.add_argument(
        "--scale",
        type=positive_int,
        metavar="N",
        help=f"pixels of a film as squares of N (default: about {_WIDTH} pixels in all)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="FILE.gif or FILE.webp for a film, FILE.png for all frames side by side, a row from "
        "each seed to the next; an older one is replaced (default RUN-walk.gif)",
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
    print(f"{len(frames)} frames past {len(points)} latents: {out}")
