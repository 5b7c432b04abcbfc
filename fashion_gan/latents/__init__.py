"""Latent vectors: ways from one to another, and the one that draws a given image."""

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
