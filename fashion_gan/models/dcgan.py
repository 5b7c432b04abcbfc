"""Provides the DCGAN pair: strided convolutions, with batch normalization in the generator."""

import math

import keras
from keras import layers

from fashion_gan.models.blocks import cropping, image_stages, project_channels

__all__ = ["dcgan"]


def dcgan(
    latent_dim: int = 100,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 64,
    dropout: float = 0.4,
) -> tuple[keras.Model, keras.Model]:
    """Builds the DCGAN of Hands-On Machine Learning, chapter 17.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1]. The
    discriminator maps images to probabilities of being real, `(batch, 1)`. Both outputs are float32
    under the mixed precision policies. Networks for other sizes than 28 x 28 have one convolution
    for each stage of `image_stages`.

    Args:
        latent_dim: Size of a latent vector. Defaults to 100.
        image_shape: Shape of the images, `(height, width, channels)`. Height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        width: Number of channels at half the size of the images. It doubles with each stage, up to
            `4 * width`. Images above 64 pixels start with half as many. Defaults to 64.
        dropout: Dropout rate of the discriminator. Choose 0 with gradient penalties. Defaults to
            0.4.

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the height or width of the images is not a multiple of 4.

    References:
        Radford et al. 2015, https://arxiv.org/abs/1511.06434.
        Géron 2019, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2nd ed.
    """
    head_dtype = keras.config.dtype_policy().variable_dtype
    stages = image_stages(image_shape, width)
    smallest = (*stages[-1][:2], project_channels(stages[-1], stages[-1][-1], width))
    generator = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(math.prod(smallest)),
            layers.Reshape(smallest),
            layers.BatchNormalization(),
        ],
        name="generator",
    )
    for stage in reversed(stages[:-1]):
        generator.add(layers.Conv2DTranspose(stage[-1], 5, 2, padding="same", activation="selu"))
        for layer in cropping(generator.output_shape, stage):
            generator.add(layer)
        generator.add(layers.BatchNormalization())
    generator.add(
        layers.Conv2DTranspose(
            image_shape[2], 5, 2, padding="same", activation="tanh", dtype=head_dtype
        )
    )
    discriminator = keras.Sequential([layers.Input(image_shape)], name="discriminator")
    for stage in stages:
        discriminator.add(layers.Conv2D(stage[-1], 5, 2, padding="same"))
        discriminator.add(layers.LeakyReLU(0.2))
        discriminator.add(layers.Dropout(dropout))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, activation="sigmoid", dtype=head_dtype))
    return generator, discriminator
