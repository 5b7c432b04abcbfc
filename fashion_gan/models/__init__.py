"""Provides pairs of networks: a generator and its discriminator."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from fashion_gan.models.blocks import inward_hard_tanh
from fashion_gan.models.conditioning import OneHot, conditional
from fashion_gan.models.convnet import convnet
from fashion_gan.models.dcgan import dcgan
from fashion_gan.models.dense import dense
from fashion_gan.models.fastgan import fastgan
from fashion_gan.models.infogan import infogan
from fashion_gan.models.minibatch import MinibatchStdDev
from fashion_gan.models.projected import imagenet_projector, projected_discriminator
from fashion_gan.models.resnet import resnet
from fashion_gan.registry import lookup

__all__ = [
    "MODELS",
    "MinibatchStdDev",
    "OneHot",
    "build_networks",
    "conditional",
    "dcgan",
    "dense",
    "fastgan",
    "imagenet_projector",
    "infogan",
    "inward_hard_tanh",
    "convnet",
    "projected_discriminator",
    "resnet",
]

Networks = tuple[keras.Model, keras.Model]

MODELS: dict[str, Callable[..., Networks]] = {
    "dcgan": dcgan,
    "dense": dense,
    "infogan": infogan,
    "convnet": convnet,
    "fastgan": fastgan,
    "resnet": resnet,
}


def build_networks(name: str, *, num_classes: int | None = None, **arguments: Any) -> Networks:
    """Builds the generator and the discriminator of a named pair, with fresh weights.

    Args:
        name: Name of a pair in `MODELS`.
        num_classes: Number of classes of a conditional pair, see `conditional`. Defaults to None,
            which builds an unconditional pair.
        arguments: Arguments of the pair's own function, such as `latent_dim`.

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the name or an argument is unknown. The message lists the names.
    """
    make = lookup(MODELS, name, "name")
    known = inspect.signature(make).parameters
    for argument in arguments:
        if argument not in known:
            raise ValueError(f"The pair {name!r} takes {list(known)}. Received: {argument}.")
    if num_classes is None:
        return make(**arguments)
    latent_dim = arguments.pop("latent_dim", known["latent_dim"].default)
    return conditional(*make(latent_dim=latent_dim + num_classes, **arguments), num_classes)
