"""Arrays of images: conversion to bytes, grids, PNG files and animations."""

from fashion_gan.images.animation import animate
from fashion_gan.images.arrays import (
    numbered_pngs,
    tile,
    to_uint8,
    with_channels,
    write_png,
    write_pngs,
)

__all__ = [
    "animate",
    "numbered_pngs",
    "tile",
    "to_uint8",
    "with_channels",
    "write_png",
    "write_pngs",
]
