"""Provides the base classes of augmentations, with a probability and a strength."""

from abc import ABC, abstractmethod
from typing import Any

from keras import ops

from fashion_gan.typing import Images, Tensor

__all__ = [
    "Augmentation",
    "StrengthAugmentation",
]


_CHOICE = 2**16  # purpose of the random numbers that choose the images to change


class Augmentation(ABC):
    """Changes the images that the discriminator sees, in both phases of a train step.

    Args:
        p: Probability that an image is changed, drawn for each image. Defaults to 1.

    Raises:
        ValueError: Unless `0 <= p <= 1`.
    """

    p = 1.0

    def __init__(self, p: float = 1.0) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Expected 0 <= p <= 1. Received: p={p}.")
        self.p = p

    def __call__(
        self, images: Images, random: Any, step: Tensor, low: float, factor: Any = 1.0
    ) -> Images:
        """Returns the images, each of them changed with probability `p * factor`.

        Args:
            images: See `augment`.
            random: See `augment`.
            step: See `augment`.
            low: See `augment`.
            factor: Number or scalar tensor from 0 to 1. Defaults to 1.
        """
        augmented = self.augment(images, random, step, low)
        probability = self.p * factor
        if isinstance(probability, int | float) and probability >= 1:
            return augmented
        ones = (1,) * (len(images.shape) - 1)
        uniform = random.fold_in(_CHOICE).uniform(ops.shape(images)[0], ones)
        return ops.where(uniform < ops.cast(probability, uniform.dtype), augmented, images)

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


class StrengthAugmentation(Augmentation):
    """Has one number, the strength, from 0 for no change to 1."""

    def __init__(self, strength: float, p: float = 1.0) -> None:
        super().__init__(p)
        if not 0 <= strength <= 1:
            raise ValueError(f"Expected 0 <= strength <= 1. Received: strength={strength}.")
        self.strength = strength
