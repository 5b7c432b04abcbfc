"""Provides color augmentations, which do not change the alpha channel of RGBA images."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from fashion_gan.augmentations.base import StrengthAugmentation
from fashion_gan.typing import Images, Tensor

__all__ = [
    "Brightness",
    "Contrast",
    "Hue",
    "Saturation",
]


@keras.saving.register_keras_serializable("fashion_gan")
class Brightness(StrengthAugmentation):
    """Adds one random number to all colors of an image.

    Args:
        strength: Largest absolute number, in units of the images.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.5, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns brighter or darker images."""
        uniform = random.uniform(ops.shape(images)[0], (1,) * (len(images.shape) - 1))
        return _with_colors(images, lambda colors: colors + self.strength * (2 * uniform - 1))


@keras.saving.register_keras_serializable("fashion_gan")
class Contrast(StrengthAugmentation):
    """Moves all colors of an image towards their mean or away from it.

    Args:
        strength: Differences to the mean are multiplied by `1 - strength` to `1 + strength`.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.5, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns images with more or less contrast."""
        uniform = random.uniform(ops.shape(images)[0], (1,) * (len(images.shape) - 1))
        factor = 1 + self.strength * (2 * uniform - 1)

        def change(colors: Images) -> Images:
            mean = ops.mean(colors, axis=tuple(range(1, len(colors.shape))), keepdims=True)
            return mean + factor * (colors - mean)

        return _with_colors(images, change)


@keras.saving.register_keras_serializable("fashion_gan")
class Saturation(StrengthAugmentation):
    """Moves the colors of each pixel towards their mean, which is gray, or away from it.

    Args:
        strength: Differences to the mean are multiplied by `1 - strength` to `1 + strength`.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 1.0, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns images with stronger or weaker colors."""
        uniform = random.uniform(ops.shape(images)[0], (1, 1, 1))
        factor = 1 + self.strength * (2 * uniform - 1)

        def change(colors: Images) -> Images:
            mean = ops.mean(colors, axis=-1, keepdims=True)
            return mean + factor * (colors - mean)

        return _with_colors(images, change) if _has_colors(images) else images


@keras.saving.register_keras_serializable("fashion_gan")
class Hue(StrengthAugmentation):
    """Rotates the colors of an image around the axis of grays, all by one angle.

    Args:
        strength: Largest angle in both directions, as a fraction of half a turn. A third of a turn
            makes red green, green blue and blue red.
        p: Probability that an image is changed. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= strength <= 1` and `0 <= p <= 1`.
    """

    def __init__(self, strength: float = 0.125, p: float = 1.0) -> None:
        super().__init__(strength, p)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns images with rotated hues."""
        angle = self.strength * math.pi * (2 * random.uniform(ops.shape(images)[0], (1, 1, 1)) - 1)

        def change(colors: Images) -> Images:
            mean = ops.mean(colors, axis=-1, keepdims=True)
            across = (ops.roll(colors, 1, axis=-1) - ops.roll(colors, -1, axis=-1)) / math.sqrt(3)
            return mean + ops.cos(angle) * (colors - mean) + ops.sin(angle) * across

        return _with_colors(images, change) if _has_colors(images) else images


def _has_colors(images: Images) -> bool:
    """Returns whether images are RGB or RGBA, rather than gray."""
    return len(images.shape) == 4 and images.shape[-1] in (3, 4)


def _with_colors(images: Images, change: Callable[[Images], Images]) -> Images:
    """Returns the images with other colors and unchanged alpha."""
    if len(images.shape) < 4 or images.shape[-1] != 4:
        return change(images)
    return ops.concatenate([change(images[..., :3]), images[..., 3:]], axis=-1)
