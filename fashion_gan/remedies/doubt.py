"""Doubt: noise and wrong labels, so that the discriminator is not too sure too early."""

from typing import Any

import keras
from keras import ops

from fashion_gan.remedies.remedy import Draws, Remedy

__all__ = ["InstanceNoise", "LabelFlips"]


@keras.saving.register_keras_serializable("fashion_gan")
class InstanceNoise(Remedy):
    """Gaussian noise on every pixel that the discriminator sees, less with each step.

    With it, the distributions of reals and fakes overlap, and the discriminator cannot win at once.

    Args:
        deviation: standard deviation at the first step, in the units of the images.
        steps: over which it falls to 0, on a line; 0 keeps it.

    Raises:
        ValueError: for a negative argument.

    References:
        Sønderby et al. 2017, https://arxiv.org/abs/1610.04490, section 3; Arjovsky and Bottou 2017,
        https://arxiv.org/abs/1701.04862, section 3.
    """

    def __init__(self, deviation: float = 0.1, steps: int = 0) -> None:
        if not 0 <= deviation < float("inf") or steps < 0:
            raise ValueError(
                "Expected deviation >= 0 and steps >= 0. "
                f"Received: deviation={deviation}, steps={steps}."
            )
        self.deviation = deviation
        self.steps = steps

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images with noise."""
        left = 1.0
        if self.steps:
            left = ops.maximum(1 - ops.cast(step, images.dtype) / self.steps, 0)
        return images + self.deviation * left * draws.normal(images.shape[1:])


@keras.saving.register_keras_serializable("fashion_gan")
class LabelFlips(Remedy):
    """Of some pairs the discriminator is told the contrary: the real is fake, and the fake real.

    Args:
        share: of the pairs, at random in each step.

    Raises:
        ValueError: unless `0 <= share < 0.5`.

    References:
        Chintala et al. 2016, https://github.com/soumith/ganhacks, number 6.
    """

    def __init__(self, share: float = 0.05) -> None:
        if not 0 <= share < 0.5:
            raise ValueError(f"Expected 0 <= share < 0.5. Received: share={share}.")
        self.share = share

    def told(self, real: Any, fake: Any, draws: Draws) -> tuple[Any, Any]:
        """Both, exchanged in some rows."""
        flipped = draws.uniform((1,)) < self.share
        return ops.where(flipped, fake, real), ops.where(flipped, real, fake)
