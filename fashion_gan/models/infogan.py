"""Provides the pair of Lucic et al.'s comparison of GANs, which has published results."""

import keras
from keras import layers

from fashion_gan.models.blocks import check_size

__all__ = ["infogan"]


def infogan(
    latent_dim: int = 64, image_shape: tuple[int, int, int] = (28, 28, 1)
) -> tuple[keras.Model, keras.Model]:
    """Builds the networks of InfoGAN's size with which Lucic et al. compared losses.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [0, 1]. The
    discriminator maps images to logits `(batch, 1)`. Both outputs are float32 under the mixed
    precision policies.

    Args:
        latent_dim: Size of a latent vector. Defaults to 64.
        image_shape: Shape of the images, `(height, width, channels)`. Height and width must be
            multiples of 4. Defaults to (28, 28, 1).

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the height or width of the images is not a multiple of 4.

    References:
        Chen et al. 2016, https://arxiv.org/abs/1606.03657, appendix C; Lucic et al. 2018,
        https://arxiv.org/abs/1711.10337, section 5.
    """
    head_dtype = keras.config.dtype_policy().variable_dtype
    check_size(image_shape)
    small = (image_shape[0] // 4, image_shape[1] // 4, 128)
    generator = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(1024),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(small[0] * small[1] * small[2]),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Reshape(small),
            layers.Conv2DTranspose(64, 4, 2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(
                image_shape[2], 4, 2, padding="same", activation="sigmoid", dtype=head_dtype
            ),
        ],
        name="generator",
    )
    discriminator = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Conv2D(64, 4, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 4, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1024),
            layers.LeakyReLU(0.2),
            layers.Dense(1, dtype=head_dtype),
        ],
        name="discriminator",
    )
    return generator, discriminator
