"""Implements the command `fashion-gan inspect`, which previews your own training images."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from fashion_gan.cli.options import (
    add_command,
    add_setting,
    settings_from_options,
    start_tensorflow,
)
from fashion_gan.runs.config import Config

__all__ = ["add_commands"]

_GRID = 64  # images in the grid
_IMAGES = "a folder of images, or a .zip, .parquet, .npz, .npy or IDX file"
_SETTINGS = ("skip_corrupt", "image_size", "resize", "resample", "channels", "background")


def add_commands(commands: Any) -> None:
    """Adds `inspect`."""
    parser = add_command(
        commands,
        "inspect",
        _inspect,
        "check your own images before training, and draw a grid of them",
        examples=(
            "fashion-gan inspect photos --image-size 64",
            "fashion-gan inspect sprites.zip --image-size 32 --resample nearest --channels 4",
        ),
        details="The command prints the number of images, their sizes, classes, duplicates, the "
        "files it skips, the changes it makes and the length of a training. The flags are those of "
        "fashion-gan train.",
    )
    parser.add_argument("data", metavar="IMAGES", help=_IMAGES)
    for name in (*_SETTINGS, "held_out"):
        add_setting(parser, _field(name))
    parser.add_argument(
        "--out",
        metavar="FILE.png",
        help=f"grid of {_GRID} training images as the networks see them (default: NAME-grid.png "
        "in the current folder)",
    )


def _inspect(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    import numpy as np

    from fashion_gan import images
    from fashion_gan.runs.builder import describe_length, load_split
    from fashion_gan.runs.presets import PRESETS, default_preset

    settings = {"data": options.data, **settings_from_options(options)}
    train = load_split(Config(**settings), announce=print).train_images
    preset = default_preset({**settings, "channels": str(train.shape[-1])})
    config = dataclasses.replace(PRESETS[preset], **settings)
    print(f"training       {describe_length(config, len(train))} (preset {preset})")
    chosen = np.random.default_rng(0).permutation(len(train))[:_GRID]
    out = options.out or f"{Path(options.data).resolve().stem}-grid.png"
    images.write_png(out, images.tile(train[np.sort(chosen)], scale=None))
    print(f"grid           {len(chosen)} training images: {out}")


def _field(name: str) -> "dataclasses.Field[Any]":
    return next(field for field in dataclasses.fields(Config) if field.name == name)
