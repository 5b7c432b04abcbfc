"""Converts arrays of images to bytes, grids, PNG files and animations."""

from fashion_gan.images.animation import animate, write_film
from fashion_gan.images.arrays import (
    compare,
    composite,
    encode_png,
    invert,
    numbered_pngs,
    premultiply,
    tile,
    tile_rows,
    to_uint8,
    with_channels,
    write_png,
    write_pngs,
)

__all__ = [
    "animate",
    "compare",
    "composite",
    "encode_png",
    "invert",
    "numbered_pngs",
    "premultiply",
    "tile",
    "tile_rows",
    "to_uint8",
    "with_channels",
    "write_film",
    "write_png",
    "write_pngs",
]
