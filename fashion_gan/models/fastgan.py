"""Provides a pair whose generator learns color images in few steps, after FastGAN."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from fashion_gan.models.blocks import Stage, cropping, image_stages, project
from fashion_gan.models.convnet import convnet_discriminator

__all__ = ["fastgan"]


def fastgan(
    latent_dim: int = 64,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    width: int = 32,
    d_blocks: int = 2,
    output: Callable[[Any], Any] | str = "hard_tanh",
) -> tuple[keras.Model, keras.Model]:
    """Builds a pair with a generator after FastGAN and the discriminator of `convnet`.

    The generator maps `(batch, latent_dim)` to images `(batch, *image_shape)` in [-1, 1]. The
    discriminator maps images to logits `(batch, 1)`. Both outputs are float32 under the mixed
    precision policies.

    Each stage of the generator enlarges the features by repeating pixels, and applies a
    convolution, batch normalization and a gated linear unit. The sizes are those of `image_stages`
    and the full size. The names of the layers number the stages from the smallest. The features of
    the smallest stage gate the channels of the two largest (skip-layer excitation).

    | images    | stages for `width=64`                                               |
    | --------- | ------------------------------------------------------------------- |
    | 16 x 16   | 16 x 16 x 64, 8 x 8 x 128, 4 x 4 x 256                              |
    | 32 x 32   | 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128, 4 x 4 x 256                |
    | 64 x 64   | 64 x 64 x 16, 32 x 32 x 32, 16 x 16 x 64, 8 x 8 x 128, 4 x 4 x 256  |

    Args:
        latent_dim: Size of a latent vector. Defaults to 64.
        image_shape: Shape of the images, `(height, width, channels)`. Height and width must be
            multiples of 4. Defaults to (28, 28, 1).
        width: A quarter of the number of channels at the smallest stage. The number halves with
            each larger stage down to `width // 4`, so that all stages cost about the same.
            Defaults to 32.
        d_blocks: Number of residual blocks of the discriminator. Defaults to 2.
        output: Activation of the last layer of the generator, with values in [-1, 1]. Defaults to
            `"hard_tanh"`. See `convnet`.

    Returns:
        The pair `(generator, discriminator)`.

    Raises:
        ValueError: If the height or width of the images is not a multiple of 4.

    References:
        Liu et al. 2021, https://arxiv.org/abs/2101.04775. Here the generator has no noise, and the
        discriminator does not reconstruct images. Sauer et al. 2021,
        https://arxiv.org/abs/2111.01007, train such a generator with projected discriminators.
    """
    stages = _stages(image_shape, width)
    names = [f"stage_{number}" for number in range(len(stages), 0, -1)]
    head_dtype = keras.config.dtype_policy().variable_dtype

    latents = keras.Input((latent_dim,))
    height, breadth, channels = stages[-1]
    shape = (height, breadth, 2 * channels)
    x = project(latents, shape, 2 * channels, width, names[-1])
    smallest = x = ops.glu(_normalize(x, names[-1]))
    for i in reversed(range(len(stages) - 1)):
        x = layers.UpSampling2D()(x)
        for layer in cropping(x.shape, stages[i]):
            x = layer(x)
        conv = layers.Conv2D(
            2 * stages[i][-1], 3, padding="same", use_bias=False, name=f"{names[i]}_conv"
        )
        x = ops.glu(_normalize(conv(x), names[i]))
        if i < 2:
            x = layers.Multiply()([x, _gates(smallest, stages[i][-1], names[i])])
    to_pixels = layers.Conv2D(
        image_shape[2],
        3,
        padding="same",
        activation=output,
        dtype=head_dtype,
        name="pixels_conv",
    )
    generator = keras.Model(latents, to_pixels(x), name="generator")
    return generator, convnet_discriminator(image_shape, width, d_blocks)


def _stages(image_shape: tuple[int, int, int], width: int) -> list[Stage]:
    """Returns the sizes of the features, with the full size of the images first."""
    sizes = [image_shape[:2], *(stage[:2] for stage in image_stages(image_shape, width))]
    halvings = range(len(sizes) - 1, -1, -1)
    return [
        (*size, max(4 * width // 2**count, width // 4, 1))
        for size, count in zip(sizes, halvings, strict=True)
    ]


def _normalize(x: Any, name: str) -> Any:
    """Applies batch normalization, over the whole batch if several replicas share it."""
    return layers.BatchNormalization(momentum=0.9, synchronized=True, name=f"{name}_norm")(x)


def _gates(x: Any, channels: int, name: str) -> Any:
    """Computes factors in (0, 1) `(batch, 1, 1, channels)` from features.

    A side of 8 or more is pooled to at most 7 first, so that the kernel stays small.
    """
    x = layers.AveragePooling2D([max(size // 4, 1) for size in x.shape[1:3]])(x)
    x = layers.Conv2D(channels, x.shape[1:3], activation="silu", name=f"{name}_squeeze")(x)
    return layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_gate")(x)
