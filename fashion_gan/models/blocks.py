"""What the convolutional pairs without normalisation are built of."""

from typing import Any

from keras import layers

__all__ = ["bend", "residual"]


def bend(x: Any) -> Any:
    """The nonlinearity of both networks."""
    return layers.LeakyReLU(0.2)(x)


def residual(x: Any) -> Any:
    """Two convolutions beside the identity; the second one is 0 at first.

    References:
        Zhang et al. 2019, https://arxiv.org/abs/1901.09321: why this takes the place of a norm.
    """
    width = x.shape[-1]
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(bend(x))
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(bend(y))
    return layers.Add()([x, y])
