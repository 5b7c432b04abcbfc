"""Provides the building blocks of the convolutional pairs without normalization."""

import math
from typing import Any

import keras
from keras import layers, ops

from fashion_gan.typing import Latents

__all__ = [
    "check_size",
    "cropping",
    "image_stages",
    "inward_hard_tanh",
    "leaky_relu",
    "mapping_network",
    "project",
    "project_channels",
    "residual_block",
    "widen",
]

Stage = tuple[int, int, int]
"""Height, width and channels of the features at one size."""


def leaky_relu(x: Any) -> Any:
    """Applies the activation of both networks."""
    return layers.LeakyReLU(0.2)(x)


@keras.saving.register_keras_serializable("fashion_gan")
def inward_hard_tanh(x: Any) -> Any:
    """Clips to [-1, 1], and passes gradients outside of that range if they lead back into it.

    A hard tanh has no gradient there, so a generator whose pixels are all white or all black never
    learns again. Gradient descent with this activation projects onto the range in place.
    """

    @ops.custom_gradient
    def clip(x: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            is_kept = ops.logical_or(ops.abs(x) <= 1, x * upstream > 0)
            return ops.where(is_kept, upstream, ops.zeros_like(upstream))

        return ops.clip(x, -1, 1), gradient

    return clip(x)


def mapping_network(latents: Latents, depth: int) -> Any:
    """Applies `depth` dense layers of 256 units to latents.

    Their outputs need not be normally distributed.

    Args:
        latents: Latent vectors `(batch, latent_dim)`.
        depth: Number of dense layers.

    References:
        Karras et al. 2018, https://arxiv.org/abs/1812.04948, section 2: the mapping network.
    """
    for _ in range(depth):
        latents = leaky_relu(layers.Dense(256, kernel_initializer="he_normal")(latents))
    return latents


def residual_block(x: Any) -> Any:
    """Adds the output of two convolutions to `x`. The second kernel is initialized to 0.

    References:
        Zhang et al. 2019, https://arxiv.org/abs/1901.09321: zero initialization in place of
        normalization.
    """
    width = x.shape[-1]
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(leaky_relu(x))
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(leaky_relu(y))
    return layers.Add()([x, y])


def widen(x: Any, channels: int, name: str | None = None) -> Any:
    """Projects `x` to a number of channels by a 1 x 1 convolution, if needed."""
    if x.shape[-1] == channels:
        return x
    return layers.Conv2D(channels, 1, use_bias=False, name=name)(x)


def cropping(shape: tuple[int, ...], stage: Stage) -> list[keras.Layer]:
    """Returns a list of the layer that crops features to the size of a stage, empty if not needed.

    Upsampling a size that was rounded up yields one row or column more than the larger stage has.

    Args:
        shape: Shape of the features, `(batch, height, width, channels)`.
        stage: Target stage of `image_stages`.
    """
    excess = [(0, size - wanted) for size, wanted in zip(shape[1:3], stage[:2], strict=True)]
    return [layers.Cropping2D(excess)] if any(rows for _, rows in excess) else []


def project_channels(stage: Stage, channels: int, width: int) -> int:
    """Returns the number of channels of the dense layer's output at the smallest size.

    It is halved until the layer has at most `7 * 7 * 2 * width` units, the number of units in
    `convnet` for images of 28 x 28.

    Args:
        stage: Smallest stage of `image_stages`.
        channels: Number of channels without the limit.
        width: Width of the networks.
    """
    while channels > 1 and stage[0] * stage[1] * channels > 7 * 7 * 2 * width:
        channels //= 2
    return channels


def project(
    latents: Latents, stage: Stage, channels: int, width: int, name: str | None = None
) -> Any:
    """Maps vectors to features of the smallest size by a dense layer.

    Where `project_channels` allows fewer channels than the stage has, a 1 x 1 convolution widens
    the features.

    Args:
        latents: Latent vectors, or the outputs of `mapping_network`.
        stage: Smallest stage of `image_stages`.
        channels: Largest number of channels of the dense layer's output.
        width: Width of the networks.
        name: Start of the names of the layers. Defaults to None, for names by Keras.

    Returns:
        Features of the shape of the stage.
    """
    shape = (*stage[:2], project_channels(stage, channels, width))
    dense, wider = (None, None) if name is None else (f"{name}_dense", f"{name}_wider")
    x = layers.Dense(math.prod(shape), kernel_initializer="he_normal", name=dense)(latents)
    return widen(layers.Reshape(shape)(x), stage[-1], wider)


def image_stages(image_shape: tuple[int, int, int], width: int) -> list[Stage]:
    """Returns the sizes of the features in the networks, the largest first.

    The first stage has half the height and width of the images. Each further stage has half the
    height and width of the previous stage, rounded up. There are at least two stages, and the last
    is the first whose smaller side is less than 8. The first stage has `width` channels, or half as
    many for images whose smaller side is above 64. The number of channels doubles from stage to
    stage, up to `4 * width`.

    | images    | stages for `width=32`                                                    |
    | --------- | ------------------------------------------------------------------------ |
    | 28 x 28   | 14 x 14 x 32, 7 x 7 x 64                                                 |
    | 32 x 32   | 16 x 16 x 32, 8 x 8 x 64, 4 x 4 x 128                                    |
    | 36 x 52   | 18 x 26 x 32, 9 x 13 x 64, 5 x 7 x 128                                   |
    | 64 x 64   | 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128, 4 x 4 x 128                     |
    | 128 x 128 | 64 x 64 x 16, 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128, 4 x 4 x 128       |

    Args:
        image_shape: Shape of the images, `(height, width, channels)`.
        width: Number of channels at half the size of the images.

    Raises:
        ValueError: If the height or width is not a multiple of 4.
    """
    check_size(image_shape)
    height, breadth, _ = image_shape
    channels = width if min(height, breadth) <= 64 else max(width // 2, 1)
    stages: list[Stage] = []
    while len(stages) < 2 or min(height, breadth) >= 8:
        height, breadth = -(-height // 2), -(-breadth // 2)
        stages.append((height, breadth, min(channels, 4 * width)))
        channels *= 2
    return stages


def check_size(image_shape: tuple[int, int, int]) -> None:
    """Checks that the height and width of images are multiples of 4.

    Raises:
        ValueError: If one of them is not. The message names the nearest sizes.
    """
    height, breadth, _ = image_shape
    if not (height % 4 or breadth % 4):
        return
    smaller = (max(breadth // 4, 1) * 4, max(height // 4, 1) * 4)
    larger = (-(-breadth // 4) * 4, -(-height // 4) * 4)
    sizes = dict.fromkeys(f"{w}x{h}" if w != h else f"{w}" for w, h in (smaller, larger))
    raise ValueError(
        "Expected images whose height and width are multiples of 4. Received: "
        f"image_shape={image_shape}, which is {breadth}x{height}. Resize the images: choose "
        f"--image-size {' or '.join(sizes)}."
    )
