"""Provides the convolutional pair without normalization, which is fast on a CPU."""

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
)
from fashion_gan.models.minibatch import MinibatchStdDev

__all__ = ["convnet", "convnet_discriminator"]


def convnet(
    latent_dim: int = 64,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 32,
    g_blocks: int = 2,
    d_blocks: int = 2,
    mapping: int = 2,
    output: Callable[[Any], Any] | str = "hard_tanh",
) -> tuple[keras.Model, keras.Model]:
    """Builds a pair with the architecture of DCGAN, for training with gradient penalties.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1]. The
    discriminator maps images to logits `(batch, 1)`. Both outputs are float32 under the mixed
    precision policies. The differences to DCGAN are:

    - There is no batch normalization and no dropout, since the penalties stabilize training.
    - Weights have He initialization, which preserves the scale of signals without normalization.
    - Kernel sizes are multiples of their strides, which avoids checkerboard artifacts.
    - The discriminator sees the standard deviation over groups of its batch.
    - A mapping network of dense layers separates kinds of images before the convolutions.
    - The generator ends in a hard tanh. Many pixels of real images are exactly at a limit of the
      range, which a tanh never reaches.

    Strided convolutions connect the stages of `image_stages`: 14 x 14 x 32 and 7 x 7 x 64 for
    images of 28 x 28, and 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128 and 4 x 4 x 128 for images of
    64 x 64. Residual blocks are where they are cheap. The generator has them at its two smallest
    stages. The discriminator has them at the smallest stage only, since a step with penalties runs
    the discriminator most often.

    Args:
        latent_dim: Size of a latent vector. Defaults to 64.
        image_shape: Shape of the images, `(height, width, channels)`. Height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        width: Number of channels at half the size of the images. It doubles with each stage, up to
            `4 * width`. Images above 64 pixels start with half as many. Defaults to 32.
        g_blocks: Number of residual blocks of the generator at each of its two smallest stages.
            Defaults to 2.
        d_blocks: Number of residual blocks of the discriminator. Defaults to 2.
        mapping: Number of dense layers in the mapping network. Defaults to 2.
        output: Activation of the last layer of the generator, with values in [-1, 1]. Defaults to
            `"hard_tanh"`. `inward_hard_tanh` has the same values, but pixels at a limit keep
            learning.

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the height or width of the images is not a multiple of 4.

    References:
        Radford et al. 2015, https://arxiv.org/abs/1511.06434: architecture. Odena et al. 2016,
        https://distill.pub/2016/deconv-checkerboard: kernel sizes. He et al. 2015,
        https://arxiv.org/abs/1502.01852: initialization. Karras et al. 2018,
        https://arxiv.org/abs/1812.04948: mapping network.
    """
    stages = image_stages(image_shape, width)
    he = {"padding": "same", "kernel_initializer": "he_normal"}
    head_dtype = keras.config.dtype_policy().variable_dtype

    latents = keras.Input((latent_dim,))
    x = project(mapping_network(latents, mapping), stages[-1], stages[-1][-1], width)
    for stage in reversed(stages):
        if stage != stages[-1]:
            x = layers.Conv2DTranspose(stage[-1], 4, 2, **he)(leaky_relu(x))
            for layer in cropping(x.shape, stage):
                x = layer(x)
        if stage in stages[-2:]:
            for _ in range(g_blocks):
                x = residual_block(x)
    x = layers.Conv2DTranspose(
        image_shape[2], 6, 2, padding="same", activation=output, dtype=head_dtype
    )(leaky_relu(x))
    generator = keras.Model(latents, x, name="generator")
    return generator, convnet_discriminator(image_shape, width, d_blocks)


def convnet_discriminator(
    image_shape: tuple[int, int, int], width: int, d_blocks: int
) -> keras.Model:
    """Builds the discriminator of `convnet`, which takes the same arguments."""
    stages = image_stages(image_shape, width)
    he = {"padding": "same", "kernel_initializer": "he_normal"}
    images = keras.Input(image_shape)
    x = layers.Conv2D(stages[0][-1], 6, 2, **he)(images)
    for stage in stages[1:]:
        x = layers.Conv2D(stage[-1], 4, 2, **he)(leaky_relu(x))
    for _ in range(d_blocks):
        x = residual_block(x)
    x = MinibatchStdDev()(leaky_relu(x))
    logits = layers.Dense(1, dtype=keras.config.dtype_policy().variable_dtype)(layers.Flatten()(x))
    return keras.Model(images, logits, name="discriminator")
