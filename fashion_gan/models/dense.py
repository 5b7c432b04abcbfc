"""The dense pair: three layers against three layers."""

import math

import keras
from keras import layers

__all__ = ["dense"]


def dense(
    latent_dim: int = 30, image_shape: tuple[int, ...] = (28, 28, 1)
) -> tuple[keras.Model, keras.Model]:
    """The dense GAN of Hands-On Machine Learning, chapter 17.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [0, 1], the
    discriminator maps those to `(batch, 1)` probabilities of being real. Both end in
    float32 under the mixed precision policies.

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
