"""Provides geometric augmentations: mirroring, translation, scaling and rotation."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.augmentations.base import Augmentation, StrengthAugmentation
from fashion_gan.typing import Images, Tensor

__all__ = [
    "Mirror",
    "Rotation",
    "Scale",
    "Translation",
]


@keras.saving.register_keras_serializable("fashion_gan")
class Mirror(Augmentation):
    """Flips half of the images from left to right.

    Args:
        p: Probability of a choice between both directions. Defaults to 1. Below 1, images that
            are not flipped remain the more frequent ones, so that the generator learns them.

    Raises:
        ValueError: Unless `0 <= p <= 1`.
    """

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the images, half of them flipped."""
        uniform = random.uniform(ops.shape(images)[0], (1,) * (len(images.shape) - 1))
        return ops.where(uniform < 0.5, ops.flip(images, axis=2), images)


@keras.saving.register_keras_serializable("fashion_gan")
class Scale(StrengthAugmentation):
    """Enlarges or shrinks each image around its center, with linear interpolation.

    Pixels beyond the border get the darkest shade.

    Args:
        strength: Largest change in both directions, in doublings. Sizes are multiplied by
            `2**-strength` to `2**strength`.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.25, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns larger or smaller images."""
        uniform = _precise(random.uniform(ops.shape(images)[0], (1,)))
        factor = 2 ** (self.strength * (2 * uniform - 1))
        scaled = images - low
        for axis, equation in ((1, "bij,bj...->bi..."), (2, "bij,bhj...->bhi...")):
            pixels = ops.arange(images.shape[axis], dtype=factor.dtype)
            center = (images.shape[axis] - 1) / 2
            source = center + (pixels - center) / factor
            weights = ops.relu(1 - ops.abs(source[:, :, None] - pixels))
            scaled = ops.einsum(equation, ops.cast(weights, images.dtype), scaled)
        return scaled + low


@keras.saving.register_keras_serializable("fashion_gan")
class Rotation(StrengthAugmentation):
    """Rotates each image around its center, with linear interpolation.

    Pixels beyond the border get the darkest shade.

    Args:
        strength: Largest angle in both directions, as a fraction of half a turn.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.125, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the images, rotated clockwise by angles that may be negative."""
        uniform = _precise(random.uniform(ops.shape(images)[0], (1, 1)))
        angle = self.strength * math.pi * (2 * uniform - 1)
        height, width, *channels = images.shape[1:]
        pixels = ops.reshape(images - low, (-1, height, width, math.prod(channels)))
        rotated = _rotate(pixels, ops.cos(angle), ops.sin(angle))
        return ops.reshape(rotated, (-1, *images.shape[1:])) + low


@keras.saving.register_keras_serializable("fashion_gan")
class Translation(StrengthAugmentation):
    """Shifts each image by whole pixels and fills the border with the nearest pixels.

    Args:
        strength: Largest shift, as a fraction of height and width.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.125, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the shifted images."""
        uniform = random.uniform(ops.shape(images)[0], (2,))
        shifted = images
        for axis, equation in ((1, "bij,bj...->bi..."), (2, "bij,bhj...->bhi...")):
            size = images.shape[axis]
            limit = int(self.strength * size + 0.5)
            shift = ops.floor(uniform[:, axis - 1] * (2 * limit + 1)) - limit
            # As a product with a matrix: a gather would have a slow gradient.
            rows = ops.arange(size, dtype=shift.dtype)
            source = ops.clip(rows[None, :] - shift[:, None], 0, size - 1)
            source = ops.equal(source[:, :, None], rows[None, None, :])
            shifted = ops.einsum(equation, ops.cast(source, images.dtype), shifted)
        return shifted


def _precise(numbers: Tensor) -> Tensor:
    """Casts numbers from which positions are computed to float32, or leaves them in float64."""
    return ops.cast(numbers, keras.backend.result_type(numbers.dtype, "float32"))


def _rotate(images: Images, cosine: Tensor, sine: Tensor) -> Images:
    """Rotates images `(batch, height, width, channels)` clockwise, with zeros around them.

    The gradient gathers, as the rotation does. Scattering, the gradient of gathering, is slower,
    and on GPUs it adds in any order.

    Args:
        images: Images to rotate.
        cosine: Cosine of the angle of each image, `(batch, 1, 1)`.
        sine: Sine of the angle of each image, `(batch, 1, 1)`.
    """

    @tf.custom_gradient
    def rotate(images: Images) -> tuple[Images, Callable[[Images], Images]]:
        def transposed(upstream: Images) -> Images:
            return _gather_rotated(upstream, cosine, sine, transpose=True)

        return _gather_rotated(images, cosine, sine), transposed

    return rotate(images)


def _gather_rotated(
    images: Images, cosine: Tensor, sine: Tensor, transpose: bool = False
) -> Images:
    """Multiplies images by the matrix of a rotation with linear interpolation, or its transpose.

    A pixel of a rotated image has four neighbors in the image. A pixel of the image is a neighbor
    of at most nine pixels of the rotated one, which lie within the root of 2.
    """
    height, width, channels = images.shape[1:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y = ops.arange(height, dtype=sine.dtype)[:, None] - middle_y
    x = ops.arange(width, dtype=sine.dtype)[None, :] - middle_x
    y, x = _turn(y, x, cosine, sine if transpose else -sine)
    reach, neighbors = (math.sqrt(2), 3) if transpose else (1.0, 2)
    first_row, first_column = ops.ceil(y + middle_y - reach), ops.ceil(x + middle_x - reach)
    pixels = ops.reshape(images, (-1, channels))
    first_pixel = ops.arange(ops.shape(images)[0])[:, None, None] * height * width
    total: Any = 0.0
    for down, right in itertools.product(range(neighbors), repeat=2):
        row, column = first_row + down, first_column + right
        away = row - middle_y - y, column - middle_x - x
        away_y, away_x = _turn(*away, cosine, -sine) if transpose else away
        weight = ops.relu(1 - ops.abs(away_y)) * ops.relu(1 - ops.abs(away_x))
        inside_y = ops.logical_and(row >= 0, row < height)
        inside_x = ops.logical_and(column >= 0, column < width)
        weight = ops.where(ops.logical_and(inside_y, inside_x), weight, 0.0)
        row, column = ops.clip(row, 0, height - 1), ops.clip(column, 0, width - 1)
        pixel = first_pixel + ops.cast(row * width + column, first_pixel.dtype)
        total += ops.cast(weight, images.dtype)[..., None] * ops.take(pixels, pixel, axis=0)
    return total


def _turn(y: Tensor, x: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Turns points clockwise around (0, 0), where y points down."""
    return cosine * y + sine * x, cosine * x - sine * y
