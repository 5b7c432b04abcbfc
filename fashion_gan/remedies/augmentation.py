"""Differentiable augmentation: the discriminator sees reals and fakes changed alike.

For those who have few images: the discriminator cannot learn them by heart, and since the change is
the same for both sides and lets the gradient pass, the generator does not learn the change. Nothing
is flipped: shoes face one way.

References:
    Zhao et al. 2020, https://arxiv.org/abs/2006.10738, and the authors' code, from where the
    default strengths come.
"""

from typing import Any

import keras
from keras import ops

from fashion_gan.remedies.remedy import Draws, Remedy

__all__ = ["Brightness", "Contrast", "Cutout", "Translation"]


class _Strength(Remedy):
    """An augmentation with one number: how strong it is, from 0 for none."""

    def __init__(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"Expected 0 <= strength <= 1. Received: strength={strength}.")
        self.strength = strength


@keras.saving.register_keras_serializable("fashion_gan")
class Translation(_Strength):
    """Moves each image by whole pixels; what comes in is of the darkest shade.

    Args:
        strength: the largest shift, as a share of height and width.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.125) -> None:
        super().__init__(strength)

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images, moved."""
        shifts = draws.uniform((2,))
        moved = images - low
        for axis, equation in ((1, "bij,bj...->bi..."), (2, "bij,bhj...->bhi...")):
            size = images.shape[axis]
            most = int(self.strength * size + 0.5)
            shift = ops.floor(shifts[:, axis - 1] * (2 * most + 1)) - most
            # As a product with a matrix: a gather would have a slow gradient.
            rows = ops.arange(size, dtype=shift.dtype)
            here = ops.equal(rows[None, :, None] - shift[:, None, None], rows[None, None, :])
            moved = ops.einsum(equation, ops.cast(here, images.dtype), moved)
        return moved + low


@keras.saving.register_keras_serializable("fashion_gan")
class Cutout(_Strength):
    """Covers a square of each image with the darkest shade.

    Args:
        strength: the side of the square, as a share of height and width; its middle is anywhere.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images, partly covered."""
        middles = draws.uniform((2,))

        def covered(axis: int) -> Any:
            size = images.shape[axis]
            side = int(self.strength * size + 0.5)
            # The middle falls on any pixel; with an even side, half a pixel before it.
            first = ops.floor(middles[:, axis - 1] * (size + 1 - side % 2)) - side // 2
            place = ops.arange(size, dtype=first.dtype)[None] - first[:, None]
            return ops.logical_and(place >= 0, place < side)

        square = ops.logical_and(covered(1)[:, :, None], covered(2)[:, None, :])
        if len(images.shape) == 4:
            square = square[..., None]
        return ops.where(square, ops.cast(low, images.dtype), images)


@keras.saving.register_keras_serializable("fashion_gan")
class Brightness(_Strength):
    """Adds one number to all pixels of an image.

    Args:
        strength: the largest number, in units of the images.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images, brighter or darker."""
        return images + self.strength * (2 * draws.uniform((1,) * (len(images.shape) - 1)) - 1)


@keras.saving.register_keras_serializable("fashion_gan")
class Contrast(_Strength):
    """Moves all pixels of an image towards its mean, or away from it.

    Args:
        strength: differences to the mean are multiplied by `1 - strength` to `1 + strength`.

    Raises:
        ValueError: unless `0 <= strength <= 1`.
    """

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__(strength)

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images, with more contrast or less."""
        factor = 1 + self.strength * (2 * draws.uniform((1,) * (len(images.shape) - 1)) - 1)
        mean = ops.mean(images, axis=tuple(range(1, len(images.shape))), keepdims=True)
        return mean + factor * (images - mean)
