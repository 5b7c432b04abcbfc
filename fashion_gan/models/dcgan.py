"""The convolutional pair: strides in place of pooling, batch norm in the generator."""

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
    """The DCGAN of Hands-On Machine Learning, chapter 17.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1], the
    discriminator maps those to `(batch, 1)` probabilities of being real. Both end in
    float32 under the mixed precision policies. Images of another size than 28 x 28 have the stages
    of `image_stages`, with one convolution to each.

    Args:
        latent_dim: size of a latent vector.
        image_shape: `(height, width, channels)`; height and width are multiples of 4.
        width: Number of channels at half the size. They double with each halving, to 4 times as
            many. Images above 64 pixels begin with half as many.
        dropout: in the discriminator; with gradient penalties it is better left out.

    Raises:
        ValueError: If height or width of the images is no multiple of 4.

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
