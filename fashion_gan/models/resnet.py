"""Provides the residual pair without normalization."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from fashion_gan.models.blocks import (
    cropping,
    image_stages,
    leaky_relu,
    mapping_network,
    project,
    residual_block,
    widen,
)
from fashion_gan.models.minibatch import MinibatchStdDev

__all__ = ["resnet"]


def resnet(
    latent_dim: int = 64,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 32,
    g_blocks: int = 4,
    d_blocks: int = 2,
    mapping: int = 2,
    output: Callable[[Any], Any] | str = "hard_tanh",
) -> tuple[keras.Model, keras.Model]:
    """Builds a small pair after R3GAN.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1]. The
    discriminator maps images to logits `(batch, 1)`. Both outputs are float32 under the mixed
    precision policies.

    Both networks have residual blocks at each stage of `image_stages`: 14 x 14 x 32 and 7 x 7 x 64
    for images of 28 x 28, and 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128 and 4 x 4 x 128 for images of
    64 x 64. The largest stage has half the size of the images, since blocks at the full size would
    cost several times as much as all others. One strided convolution leads from the images to it,
    and one transposed convolution leads from it to the images.

    The last kernel of each residual branch is initialized to 0, which replaces normalization. The
    generator upsamples by bilinear interpolation, and the discriminator averages squares of 2 x 2.
    The mapping network and the hard tanh at the end are those of `convnet`. A dense layer projects
    the mapped latents to `width` channels at the smallest size, and a convolution to the channels
    of that stage.

    Args:
        latent_dim: Size of a latent vector. Defaults to 64.
        image_shape: Shape of the images, `(height, width, channels)`. Height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        width: Number of channels at half the size of the images. It doubles with each stage, up to
            `4 * width`. Images above 64 pixels start with half as many. Defaults to 32.
        g_blocks: Number of residual blocks of the generator at each stage. They cost less than
            blocks of the discriminator, which a step with penalties runs several times as often.
            Defaults to 4.
        d_blocks: Number of residual blocks of the discriminator at each stage. Defaults to 2.
        mapping: Number of dense layers in the mapping network. Defaults to 2.

        output: Activation of the last layer of the generator, with values in [-1, 1]. Defaults to
            `"hard_tanh"`. `inward_hard_tanh` has the same values, but pixels at a limit keep
            learning.

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the height or width of the images is not a multiple of 4.

    References:
        Huang et al. 2024, https://arxiv.org/abs/2501.05441, section 3; Zhang et al. 2019,
        https://arxiv.org/abs/1901.09321: initialization.
    """
    stages = image_stages(image_shape, width)
    head_dtype = keras.config.dtype_policy().variable_dtype

    latents = keras.Input((latent_dim,))
    x = project(mapping_network(latents, mapping), stages[-1], width, width)
    for stage in reversed(stages):
        if stage != stages[-1]:
            x = layers.UpSampling2D(interpolation="bilinear")(widen(x, stage[-1]))
            for layer in cropping(x.shape, stage):
                x = layer(x)
        for _ in range(g_blocks):
            x = residual_block(x)
    x = layers.Conv2DTranspose(
        image_shape[2], 6, 2, padding="same", activation=output, dtype=head_dtype
    )(leaky_relu(x))
    generator = keras.Model(latents, x, name="generator")

    images = keras.Input(image_shape)
    x = layers.Conv2D(stages[0][-1], 6, 2, padding="same", kernel_initializer="he_normal")(images)
    for stage in stages:
        if stage != stages[0]:
            x = _halve(widen(x, stage[-1]))
        for _ in range(d_blocks):
            x = residual_block(x)
    x = MinibatchStdDev()(x)
    x = layers.DepthwiseConv2D(stages[-1][:2])(leaky_relu(x))
    logits = layers.Dense(1, dtype=head_dtype)(layers.Flatten()(x))
    return generator, keras.Model(images, logits, name="discriminator")


def _halve(x: Any) -> Any:
    """Averages squares of 2 x 2 pixels, and incomplete squares at odd edges."""
    is_odd = x.shape[1] % 2 or x.shape[2] % 2
    return layers.AveragePooling2D(2, padding="same" if is_odd else "valid")(x)
