"""The convolutional pair: strides in place of pooling, batch norm in the generator."""

import keras
from keras import layers

from fashion_gan.models.blocks import quarter_size

__all__ = ["dcgan"]


def dcgan(
    latent_dim: int = 100,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 64,
    dropout: float = 0.4,
) -> tuple[keras.Model, keras.Model]:
    """The DCGAN of Hands-On Machine Learning, chapter 17.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1], the
    discriminator maps those to `(batch, 1)` probabilities of being real. Both end in
    float32 under the mixed precision policies.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: channels at half the size; at a quarter of it there are twice as many.
        dropout: in the discriminator; with gradient penalties it is better left out.

    Raises:
        ValueError: if the height or width of the images is no multiple of 4.

    References:
        Radford et al. 2015, https://arxiv.org/abs/1511.06434.
        Géron 2019, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2nd ed.
    """
    head_dtype = keras.config.dtype_policy().variable_dtype
    small = (*quarter_size(image_shape), 2 * width)
    generator = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(small[0] * small[1] * small[2]),
            layers.Reshape(small),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(width, 5, 2, padding="same", activation="selu"),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(
                image_shape[2], 5, 2, padding="same", activation="tanh", dtype=head_dtype
            ),
        ],
        name="generator",
    )
    discriminator = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Conv2D(width, 5, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(dropout),
            layers.Conv2D(2 * width, 5, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid", dtype=head_dtype),
        ],
        name="discriminator",
    )
    return generator, discriminator
