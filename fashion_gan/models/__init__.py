"""Pairs of networks: a generator and the discriminator it is trained against."""

from collections.abc import Callable
from typing import Any

import keras

from fashion_gan.models.dcgan import dcgan
from fashion_gan.models.dense import dense
from fashion_gan.registry import lookup

__all__ = ["MODELS", "build", "dcgan", "dense"]

Pair = tuple[keras.Model, keras.Model]

MODELS: dict[str, Callable[..., Pair]] = {"dcgan": dcgan, "dense": dense}


def build(name: str, **arguments: Any) -> Pair:
    """`(generator, discriminator)` of a named pair, built and with fresh weights.

    Args:
        name: one of `MODELS`.
        arguments: passed on to the pair's own function, e.g. `latent_dim`.

    Raises:
        ValueError: for an unknown name; the message lists the names.
    """
    return lookup(MODELS, name, "name")(**arguments)
