"""Gradient penalties: how steep the discriminator may be, and where."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.registry import resolve, resolve_all

__all__ = [
    "DRAGAN",
    "PENALTIES",
    "R1",
    "R2",
    "WGANGP",
    "GradientPenalty",
    "get",
    "get_all",
    "in_passing",
    "steepness",
]

Draw = Callable[[Any], Any]


class GradientPenalty(ABC):
    """A cost of the discriminator's slope: its gradient by the image, at some images.

    Args:
        weight: of the penalty in the discriminator's loss. It belongs to the range of the images:
            a slope in [0, 1] is twice that in [-1, 1], so a squared one needs a quarter of the
            weight.
        lazy: the penalty is taken in every `lazy`-th step only, with `lazy` times the weight.

    Attributes:
        at_fakes: whether it is the fakes' labels that go with the images of `where`.

    Raises:
        ValueError: unless `weight >= 0` and `lazy >= 1`.
    """

    at_fakes = False

    def __init__(self, weight: float, lazy: int = 1) -> None:
        if not 0 <= weight < float("inf") or lazy < 1:
            raise ValueError(
                f"Expected weight >= 0 and lazy >= 1. Received: weight={weight}, lazy={lazy}."
            )
        self.weight = weight
        self.lazy = lazy

    @abstractmethod
    def where(self, real: Any, fake: Any, uniform: Draw) -> Any:
        """The images at which the slope is taken, of the shape of `real` and of `fake`.

        `uniform(shape_of_one)` draws numbers in [0, 1) of shape `(batch, *shape_of_one)`.
        """

    @abstractmethod
    def cost(self, squared_slope: Any) -> Any:
        """The cost for each image, by the squared norm of the gradient there: `(batch,)` each."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"weight": self.weight, "lazy": self.lazy}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GradientPenalty":
        """Rebuild the penalty from `get_config()`."""
        return cls(**config)

    def __call__(self, logits: Callable[[Any], Any], real: Any, fake: Any, uniform: Draw) -> Any:
        """The weighted cost for each image, `(batch,)`, before `lazy`.

        The slope is that of the logits in float32, whatever the networks compute in, and no loss
        scale touches it.

        Args:
            logits: the discriminator, from images to logits `(batch, 1)`.
            real: images.
            fake: images.
            uniform: see `where`.
        """
        _, squared_slope = steepness(logits, self.where(real, fake, uniform))
        return self.weight * self.cost(squared_slope)


def steepness(logits: Callable[[Any], Any], images: Any) -> tuple[Any, Any]:
    """The logits of images, and the squared norms of their gradients by the images: `(batch,)`."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        result = logits(images)
        total = ops.sum(ops.cast(result, images.dtype))
    slope = tape.gradient(total, images)
    return result, ops.sum(ops.square(slope), axis=tuple(range(1, len(images.shape))))


@keras.saving.register_keras_serializable("fashion_gan")
class R1(GradientPenalty):
    """`weight / 2 * |slope|²` at the reals.

    References:
        Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9.
    """

    def where(self, real: Any, fake: Any, uniform: Draw) -> Any:
        """The reals."""
        return real

    def cost(self, squared_slope: Any) -> Any:
        """Half the square."""
        return squared_slope / 2


@keras.saving.register_keras_serializable("fashion_gan")
class R2(R1):
    """`weight / 2 * |slope|²` at the fakes.

    References:
        Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 10.
    """

    at_fakes = True

    def where(self, real: Any, fake: Any, uniform: Draw) -> Any:
        """The fakes."""
        return fake


@keras.saving.register_keras_serializable("fashion_gan")
class WGANGP(GradientPenalty):
    """`weight * (|slope| - 1)²` at a random point between each real and its fake.

    References:
        Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, equation 3.
    """

    def __init__(self, weight: float = 10.0, lazy: int = 1) -> None:
        super().__init__(weight, lazy)

    def where(self, real: Any, fake: Any, uniform: Draw) -> Any:
        """Between the two, by one number for each pair."""
        return fake + uniform((1,) * (len(real.shape) - 1)) * (real - fake)

    def cost(self, squared_slope: Any) -> Any:
        """Squared difference of the slope to 1; where there is no slope, without a gradient."""
        # The root has an infinite gradient at 0, which times 0 would make NaN.
        return ops.square(ops.sqrt(ops.maximum(squared_slope, 1e-12)) - 1)


@keras.saving.register_keras_serializable("fashion_gan")
class DRAGAN(WGANGP):
    """`weight * (|slope| - 1)²` around the reals.

    References:
        Kodali et al. 2017, https://arxiv.org/abs/1705.07215, section 2.4; noise as in the authors'
        code: uniform, half a standard deviation of the batch.
    """

    def where(self, real: Any, fake: Any, uniform: Draw) -> Any:
        """The reals, with noise in every pixel."""
        return real + 0.5 * ops.std(real) * uniform(real.shape[1:])


PENALTIES: dict[str, type[GradientPenalty]] = {
    "r1": R1,
    "r2": R2,
    "wgan_gp": WGANGP,
    "dragan": DRAGAN,
}


def in_passing(
    penalties: list[GradientPenalty], discriminator: keras.Model
) -> list[GradientPenalty]:
    """Those that the pass behind the loss can measure, as it sees the same images in any case.

    That saves them a pass of their own. Not if batch norm would mix reals and fakes in it, nor if
    they are lazy.
    """
    norm = keras.layers.BatchNormalization
    if any(isinstance(layer, norm) for layer in discriminator._flatten_layers()):
        return []
    return [p for p in penalties if p.lazy == 1 and type(p).where in (R1.where, R2.where)]


def get(identifier: dict[str, Any] | GradientPenalty) -> GradientPenalty:
    """Resolve a penalty, `{"name": "r1", "weight": 0.1}` or a serialised one to an object.

    Raises:
        ValueError: for anything else; the message lists the names.
    """
    return resolve(identifier, GradientPenalty, PENALTIES, "penalty")


def get_all(identifiers: Any) -> list[GradientPenalty]:
    """Resolve none, one or several penalties to a list of objects; see `get`."""
    return resolve_all(identifiers, GradientPenalty, PENALTIES, "penalty")
