"""What the convolutional pairs without normalization are built of."""

from typing import Any

from keras import layers

from fashion_gan.typing import Latents

__all__ = ["leaky_relu", "mapping_network", "quarter_size", "residual_block"]


def leaky_relu(x: Any) -> Any:
    """The nonlinearity of both networks."""
    return layers.LeakyReLU(0.2)(x)


def mapping_network(latents: Latents, depth: int) -> Any:
    """The outcome of so many dense layers of 256 units, which need not be normally distributed.

    References:
        Karras et al. 2018, https://arxiv.org/abs/1812.04948, section 2: the mapping network.
    """
    for _ in range(depth):
        latents = leaky_relu(layers.Dense(256, kernel_initializer="he_normal")(latents))
    return latents


def residual_block(x: Any) -> Any:
    """Two convolutions beside the identity; the second one is 0 at first.

    References:
        Zhang et al. 2019, https://arxiv.org/abs/1901.09321: why this takes the place of a norm.
    """
    width = x.shape[-1]
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(leaky_relu(x))
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(leaky_relu(y))
    return layers.Add()([x, y])


def quarter_size(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns a quarter of the height and of the width.

    Raises:
        ValueError: if one of them is no multiple of 4.
    """
    height, width, _ = image_shape
    if height % 4 or width % 4:
        raise ValueError(
            "These networks halve and double images twice, so that height and width are multiples "
            f"of 4. Received: image_shape={image_shape}."
        )
    return height // 4, width // 4
