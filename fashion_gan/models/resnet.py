"""The residual pair: no normalization, and a network that begins as a plain one."""

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
) -> tuple[keras.Model, keras.Model]:
    """A small pair after R3GAN.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1], the
    discriminator maps those to logits `(batch, 1)`. All blocks work at half the size of the image
    and below, which one strided convolution leads to and one transposed leads from: blocks at the
    full size would cost several times as much as all the others. Both have blocks at each stage of
    `image_stages`: 14 x 14 x 32 and 7 x 7 x 64 for images of 28 x 28, and 32 x 32 x 32,
    16 x 16 x 64, 8 x 8 x 128 and 4 x 4 x 128 for images of 64 x 64. Residual branches end
    in zeros at first, which takes the place of normalization; sizes change by bilinear
    interpolation and by means of 2 x 2. The mapping and the output that is cut off at the limits
    are those of `convnet`; what is mapped becomes `width` channels of the smallest size, and these
    as many as there are at that size. Both end in float32 under the mixed precision policies.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: Number of channels at half the size. They double with each halving, to 4 times as
            many. Images above 64 pixels begin with half as many.
        g_blocks: Number of residual blocks of the generator at each stage. They cost less than the
            discriminator's, which a step with penalties runs through several times as often.
        d_blocks: Number of residual blocks of the discriminator at each stage.
        mapping: dense layers that a latent vector goes through first.

    Raises:
        ValueError: If height or width of the images is no multiple of 4.

    References:
        Huang et al. 2024, https://arxiv.org/abs/2501.05441, section 3; Zhang et al. 2019,
        https://arxiv.org/abs/1901.09321: the initialization.
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
        image_shape[2], 6, 2, padding="same", activation="hard_tanh", dtype=head_dtype
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
    """Averages squares of 2 x 2, and what there is of them at odd edges."""
    is_odd = x.shape[1] % 2 or x.shape[2] % 2
    return layers.AveragePooling2D(2, padding="same" if is_odd else "valid")(x)
