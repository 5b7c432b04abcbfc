"""The residual pair: no normalization, and a network that begins as a plain one."""

from typing import Any

import keras
from keras import layers

from fashion_gan.models.blocks import leaky_relu, mapping_network, quarter_size, residual_block
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
    full size would cost several times as much as all the others. Both halve or double the size,
    and the channels with it, until the smaller side is less than 8 or odd. Residual branches end
    in zeros at first, which takes the place of normalization; sizes change by bilinear
    interpolation and by means of 2 x 2. The mapping and the output that is cut off at the limits
    are those of `convnet`; what is mapped becomes `width` channels of the smallest size, and these
    as many as there are at that size. Both end in float32 under the mixed precision policies.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: channels at half the size; they double with each halving, to 4 times as many.
        g_blocks: residual blocks of the generator at each size. They cost less than the
            discriminator's, which a step with penalties runs through several times as often.
        d_blocks: of the discriminator, likewise.
        mapping: dense layers that a latent vector goes through first.

    Raises:
        ValueError: if the height or width of the images is no multiple of 4.

    References:
        Huang et al. 2024, https://arxiv.org/abs/2501.05441, section 3; Zhang et al. 2019,
        https://arxiv.org/abs/1901.09321: the initialisation.
    """
    quarter_size(image_shape)
    height, breadth, channels = image_shape
    halvings = 2
    while min(height, breadth) >> halvings >= 8 and not (height | breadth) >> halvings & 1:
        halvings += 1
    widths = [width * min(2**level, 4) for level in range(halvings)]
    small = (height >> halvings, breadth >> halvings)
    head_dtype = keras.config.dtype_policy().variable_dtype

    latents = keras.Input((latent_dim,))
    x = mapping_network(latents, mapping)
    x = layers.Dense(small[0] * small[1] * width, kernel_initializer="he_normal")(x)
    x = _widen(layers.Reshape((*small, width))(x), widths[-1])
    for level in reversed(range(halvings)):
        if level < halvings - 1:
            x = layers.UpSampling2D(interpolation="bilinear")(_widen(x, widths[level]))
        for _ in range(g_blocks):
            x = residual_block(x)
    x = layers.Conv2DTranspose(
        channels, 6, 2, padding="same", activation="hard_tanh", dtype=head_dtype
    )(leaky_relu(x))
    generator = keras.Model(latents, x, name="generator")

    images = keras.Input(image_shape)
    x = layers.Conv2D(width, 6, 2, padding="same", kernel_initializer="he_normal")(images)
    for level in range(halvings):
        if level:
            x = layers.AveragePooling2D(2)(_widen(x, widths[level]))
        for _ in range(d_blocks):
            x = residual_block(x)
    x = MinibatchStdDev()(x)
    x = layers.DepthwiseConv2D(small)(leaky_relu(x))
    logits = layers.Dense(1, dtype=head_dtype)(layers.Flatten()(x))
    return generator, keras.Model(images, logits, name="discriminator")


def _widen(x: Any, width: int) -> Any:
    """Another number of channels, if it is another."""
    if x.shape[-1] == width:
        return x
    return layers.Conv2D(width, 1, use_bias=False)(x)
