"""Provides augmentations that add noise, or hide a part of each image."""

from typing import Any

import keras
from keras import ops

from fashion_gan.augmentations.base import Augmentation, StrengthAugmentation
from fashion_gan.typing import Images, Tensor

__all__ = [
    "Cutout",
    "InstanceNoise",
]


@keras.saving.register_keras_serializable("fashion_gan")
class InstanceNoise(Augmentation):
    """Adds Gaussian noise to every pixel, less with each step.

    The distributions of reals and fakes then overlap, so that the discriminator cannot saturate
    early.

    Args:
        stddev: Standard deviation at the first step, in units of the images.
        steps: Number of steps over which it falls linearly to 0. Defaults to 0, which keeps it.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: If an argument is negative, or unless `0 <= p <= 1`.

    References:
        Sønderby et al. 2017, https://arxiv.org/abs/1610.04490, section 3; Arjovsky and Bottou 2017,
        https://arxiv.org/abs/1701.04862, section 3.
    """

    def __init__(self, stddev: float = 0.1, steps: int = 0, p: float = 1.0) -> None:
        super().__init__(p)
        if not 0 <= stddev < float("inf") or steps < 0:
            raise ValueError(
                f"Expected stddev >= 0 and steps >= 0. Received: stddev={stddev}, steps={steps}."
            )
        self.stddev = stddev
        self.steps = steps

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the images with noise."""
        remaining = 1.0
        if self.steps:
            remaining = ops.maximum(1 - ops.cast(step, images.dtype) / self.steps, 0)
        noise = random.normal(ops.shape(images)[0], images.shape[1:])
        return images + self.stddev * remaining * noise


@keras.saving.register_keras_serializable("fashion_gan")
class Cutout(StrengthAugmentation):
    """Covers a square of each image with the darkest shade.

    Args:
        strength: Side of the square, as a fraction of height and width. Its center is anywhere.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.5, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the partly covered images."""
        centers = random.uniform(ops.shape(images)[0], (2,))

        def covered(axis: int) -> Any:
            size = images.shape[axis]
            side = int(self.strength * size + 0.5)
            # The center falls on any pixel; with an even side, half a pixel before it.
            first = ops.floor(centers[:, axis - 1] * (size + 1 - side % 2)) - side // 2
            offset = ops.arange(size, dtype=first.dtype)[None] - first[:, None]
            return ops.logical_and(offset >= 0, offset < side)

        square = ops.logical_and(covered(1)[:, :, None], covered(2)[:, None, :])
        if len(images.shape) == 4:
            square = square[..., None]
        return ops.where(square, ops.cast(low, images.dtype), images)
