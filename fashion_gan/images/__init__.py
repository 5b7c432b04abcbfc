"""Arrays of images: conversion to bytes, grids, PNG files and animations."""

from fashion_gan.images.animation import animate
from fashion_gan.images.arrays import (
    composite,
    numbered_pngs,
    premultiply,
    tile,
    to_uint8,
    with_channels,
    write_png,
    write_pngs,
)

__all__ = [
    "animate",
    "composite",
    "numbered_pngs",
    "premultiply",
    "tile",
    "to_uint8",
    "with_channels",
    "write_png",
    "write_pngs",
]
