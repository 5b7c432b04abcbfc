"""The plain convolutional pair: no normalization, and quick on a CPU."""

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

__all__ = ["convnet"]


def convnet(
    latent_dim: int = 64,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 32,
    g_blocks: int = 2,
    d_blocks: int = 2,
    mapping: int = 2,
) -> tuple[keras.Model, keras.Model]:
    """A pair of DCGAN's outline, for training with gradient penalties.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1], the
    discriminator maps those to logits `(batch, 1)`. What DCGAN needs to stay stable, batch norm
    and dropout, is left out, for penalties do it; weights begin at He's scale, so that signals
    keep their size without a norm; kernels are multiples of their strides, which makes no
    checkerboards; and the discriminator sees how far a batch varies. Kinds of images are
    set apart before there are any: by dense layers, the mapping. The output is cut off at the
    limits, for many pixels of real images are at one, which a tanh only comes near to. Both end in
    float32 under the mixed precision policies.

    Strided convolutions lead from each stage of `image_stages` to the next: 14 x 14 x 32 and
    7 x 7 x 64 for images of 28 x 28, and 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128 and 4 x 4 x 128
    for images of 64 x 64. Residual blocks lie where they are cheap: at the two smallest stages in
    the generator, at the smallest one alone in the discriminator, through which a step with
    penalties runs most often.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: Number of channels at half the size. They double with each halving, to 4 times as
            many. Images above 64 pixels begin with half as many.
        g_blocks: Number of residual blocks of the generator at each of its two smallest stages.
        d_blocks: Number of residual blocks of the discriminator.
        mapping: dense layers that a latent vector goes through first.

    Raises:
        ValueError: If height or width of the images is no multiple of 4.

    References:
        Radford et al. 2015, https://arxiv.org/abs/1511.06434: the outline. Odena et al. 2016,
        https://distill.pub/2016/deconv-checkerboard: the kernels. He et al. 2015,
        https://arxiv.org/abs/1502.01852: the scale. Karras et al. 2018,
        https://arxiv.org/abs/1812.04948: the mapping.
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
        image_shape[2], 6, 2, padding="same", activation="hard_tanh", dtype=head_dtype
    )(leaky_relu(x))
    generator = keras.Model(latents, x, name="generator")

    images = keras.Input(image_shape)
    x = layers.Conv2D(stages[0][-1], 6, 2, **he)(images)
    for stage in stages[1:]:
        x = layers.Conv2D(stage[-1], 4, 2, **he)(leaky_relu(x))
    for _ in range(d_blocks):
        x = residual_block(x)
    x = MinibatchStdDev()(leaky_relu(x))
    logits = layers.Dense(1, dtype=head_dtype)(layers.Flatten()(x))
    return generator, keras.Model(images, logits, name="discriminator")
