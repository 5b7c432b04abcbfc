"""What the convolutional pairs without normalisation are built of."""

from typing import Any

from keras import layers

__all__ = ["bend", "mapped", "residual"]


def bend(x: Any) -> Any:
    """The nonlinearity of both networks."""
    return layers.LeakyReLU(0.2)(x)


def mapped(latents: Any, depth: int) -> Any:
    """The outcome of so many dense layers of 256 units, which need not be normally distributed.

    References:
        Karras et al. 2018, https://arxiv.org/abs/1812.04948, section 2: the mapping network.
    """
    for _ in range(depth):
        latents = bend(layers.Dense(256, kernel_initializer="he_normal")(latents))
    return latents


def residual(x: Any) -> Any:
    """Two convolutions beside the identity; the second one is 0 at first.

    References:
        Zhang et al. 2019, https://arxiv.org/abs/1901.09321: why this takes the place of a norm.
    """
    width = x.shape[-1]
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(bend(x))
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(bend(y))
    return layers.Add()([x, y])
