"""The plain convolutional pair: no normalisation, and quick on a CPU."""

import keras
from keras import layers

from fashion_gan.models.blocks import bend, residual
from fashion_gan.models.minibatch import MinibatchDeviation
from fashion_gan.models.sizes import quarter

__all__ = ["plain"]


def plain(
    latent_dim: int = 64,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 32,
    g_blocks: int = 4,
) -> tuple[keras.Model, keras.Model]:
    """A pair of DCGAN's outline, for training with gradient penalties.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1], the
    discriminator maps those to logits `(batch, 1)`. What DCGAN needs to stay stable, batch norm
    and dropout, is left out, for penalties do it; weights begin at He's scale, so that signals
    keep their size without a norm; kernels are multiples of their strides, which makes no
    checkerboards; and the discriminator sees how far a batch varies. The discriminator, through
    which a step with penalties runs most often, is as small as DCGAN's; the generator has residual
    blocks between its transposed convolutions, which pay more than they cost. Both end in float32
    under the mixed precision policies.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: channels at half the size; at a quarter of it there are twice as many.
        g_blocks: residual blocks of the generator at each of these two sizes.

    Raises:
        ValueError: if the height or width of the images is no multiple of 4.

    References:
        Radford et al. 2015, https://arxiv.org/abs/1511.06434: the outline. Odena et al. 2016,
        https://distill.pub/2016/deconv-checkerboard: the kernels. He et al. 2015,
        https://arxiv.org/abs/1502.01852: the scale.
    """
    small = (*quarter(image_shape), 2 * width)
    he = {"padding": "same", "kernel_initializer": "he_normal"}
    head_dtype = keras.config.dtype_policy().variable_dtype
    latents = keras.Input((latent_dim,))
    x = layers.Dense(small[0] * small[1] * small[2], kernel_initializer="he_normal")(latents)
    x = layers.Reshape(small)(x)
    for _ in range(g_blocks):
        x = residual(x)
    x = layers.Conv2DTranspose(width, 4, 2, **he)(bend(x))
    for _ in range(g_blocks):
        x = residual(x)
    images = layers.Conv2DTranspose(
        image_shape[2], 6, 2, padding="same", activation="tanh", dtype=head_dtype
    )(bend(x))
    generator = keras.Model(latents, images, name="generator")
    discriminator = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Conv2D(width, 6, 2, **he),
            layers.LeakyReLU(0.2),
            layers.Conv2D(2 * width, 4, 2, **he),
            layers.LeakyReLU(0.2),
            layers.Conv2D(2 * width, 3, **he),
            layers.LeakyReLU(0.2),
            MinibatchDeviation(),
            layers.Flatten(),
            layers.Dense(1, dtype=head_dtype),
        ],
        name="discriminator",
    )
    return generator, discriminator
