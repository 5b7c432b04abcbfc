"""Provides functions on latent vectors: paths between them, and projection of images."""

from fashion_gan.latents.paths import directions, interpolate, loop, traverse, truncate
from fashion_gan.latents.projection import Projection, project

__all__ = [
    "Projection",
    "directions",
    "interpolate",
    "loop",
    "project",
    "traverse",
    "truncate",
]
