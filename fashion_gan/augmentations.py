"""Differentiable augmentations: the discriminator sees reals and fakes changed alike.

With few images, they keep the discriminator from memorizing the reals. Both sides change in the
same way and the gradient passes, so that the generator does not learn the change.

References:
    Zhao et al. 2020, https://arxiv.org/abs/2006.10738, and the authors' code, the source of the
    default strengths.
"""

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from fashion_gan.registry import resolve_all
from fashion_gan.typing import Images, Tensor

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Brightness",
    "Contrast",
    "Cutout",
    "InstanceNoise",
    "Translation",
    "get_all",
]


class Augmentation(ABC):
    """Changes the images that the discriminator sees, in both phases of a train step."""

    @abstractmethod
    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the augmented images, through which the generator's gradient passes.

        Args:
            images: Floats `(batch, height, width[, channels])`.
            random: `StepRandom` from which to draw.
            step: Number of train steps so far, an integer scalar.
            low: Lower end of the value range, the darkest shade.
        """

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, by default all attributes."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Augmentation":
        """Returns the augmentation that `get_config()` describes."""
        return cls(**config)


class _StrengthAugmentation(Augmentation):
    """Has one number, the strength, from 0 for no change to 1."""

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"Expected 0 <= strength <= 1. Received: strength={strength}.")
        self.strength = strength


@keras.saving.register_keras_serializable("fashion_gan")
class InstanceNoise(Augmentation):
    """Adds Gaussian noise to every pixel, less with each step.

    The distributions of reals and fakes then overlap, so that the discriminator cannot saturate
    early.

    Args:
        stddev: Standard deviation at the first step, in units of the images.
        steps: Number of steps over which it falls linearly to 0. Defaults to 0, which keeps it.

    Raises:
        ValueError: for a negative argument.

    References:
        Sønderby et al. 2017, https://arxiv.org/abs/1610.04490, section 3; Arjovsky and Bottou 2017,
        https://arxiv.org/abs/1701.04862, section 3.
    """

    def __init__(self, stddev: float = 0.1, steps: int = 0) -> None:
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
class Translation(_StrengthAugmentation):
    """Shifts each image by whole pixels and fills the border with the darkest shade.

    Args:
        strength: Largest shift, as a fraction of height and width.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.125) -> None:
        super().__init__(strength)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns the shifted images."""
        uniform = random.uniform(ops.shape(images)[0], (2,))
        shifted = images - low
        for axis, equation in ((1, "bij,bj...->bi..."), (2, "bij,bhj...->bhi...")):
            size = images.shape[axis]
            limit = int(self.strength * size + 0.5)
            shift = ops.floor(uniform[:, axis - 1] * (2 * limit + 1)) - limit
            # As a product with a matrix: a gather would have a slow gradient.
            rows = ops.arange(size, dtype=shift.dtype)
            source = ops.equal(rows[None, :, None] - shift[:, None, None], rows[None, None, :])
            shifted = ops.einsum(equation, ops.cast(source, images.dtype), shifted)
        return shifted + low


@keras.saving.register_keras_serializable("fashion_gan")
class Cutout(_StrengthAugmentation):
    """Covers a square of each image with the darkest shade.

    Args:
        strength: Side of the square, as a fraction of height and width. Its center is anywhere.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

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


@keras.saving.register_keras_serializable("fashion_gan")
class Brightness(_StrengthAugmentation):
    """Adds one random number to all pixels of an image.

    Args:
        strength: Largest absolute number, in units of the images.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns brighter or darker images."""
        uniform = random.uniform(ops.shape(images)[0], (1,) * (len(images.shape) - 1))
        return images + self.strength * (2 * uniform - 1)


@keras.saving.register_keras_serializable("fashion_gan")
class Contrast(_StrengthAugmentation):
    """Moves all pixels of an image towards its mean or away from it.

    Args:
        strength: Differences to the mean are multiplied by `1 - strength` to `1 + strength`.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

    def augment(self, images: Images, random: Any, step: Tensor, low: float) -> Images:
        """Returns images with more or less contrast."""
        uniform = random.uniform(ops.shape(images)[0], (1,) * (len(images.shape) - 1))
        factor = 1 + self.strength * (2 * uniform - 1)
        mean = ops.mean(images, axis=tuple(range(1, len(images.shape))), keepdims=True)
        return mean + factor * (images - mean)


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "instance_noise": InstanceNoise,
    "translation": Translation,
    "cutout": Cutout,
    "brightness": Brightness,
    "contrast": Contrast,
}


def get_all(identifiers: Any) -> list[Augmentation]:
    """Resolves none, one or several augmentations: objects, names, configs or dicts with a name.

    Raises:
        ValueError: for anything else; the message lists the names.
    """
    return resolve_all(identifiers, Augmentation, AUGMENTATIONS, "augmentation")
