"""Provides the dense pair, with three dense layers in each network."""

import math

import keras
from keras import layers

__all__ = ["dense"]


def dense(
    latent_dim: int = 30, image_shape: tuple[int, ...] = (28, 28, 1)
) -> tuple[keras.Model, keras.Model]:
    """Builds the dense GAN of Hands-On Machine Learning, chapter 17.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [0, 1]. The
    discriminator maps images to probabilities of being real, `(batch, 1)`. Both outputs are float32
    under the mixed precision policies.

    Args:
        latent_dim: Size of a latent vector. Defaults to 30.
        image_shape: Shape of the images, `(height, width[, channels])`. Defaults to (28, 28, 1).

    Returns:
        The pair `(generator, discriminator)`.

    References:
        Géron 2019, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2nd ed.
    """
    head_dtype = keras.config.dtype_policy().variable_dtype
    generator = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(100, activation="selu"),
            layers.Dense(150, activation="selu"),
            layers.Dense(math.prod(image_shape), activation="sigmoid", dtype=head_dtype),
            layers.Reshape(image_shape, dtype=head_dtype),
        ],
        name="generator",
    )
    discriminator = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Flatten(),
            layers.Dense(150, activation="selu"),
            layers.Dense(100, activation="selu"),
            layers.Dense(1, activation="sigmoid", dtype=head_dtype),
        ],
        name="discriminator",
    )
    return generator, discriminator
