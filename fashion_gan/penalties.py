"""Provides penalties on the discriminator's gradient with respect to the image."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.keras_compat import iter_layers
from fashion_gan.registry import resolve, resolve_all
from fashion_gan.typing import Images, Logits, Tensor

__all__ = [
    "DRAGAN",
    "PENALTIES",
    "R1",
    "R2",
    "WGANGP",
    "GradientPenalty",
    "fused_penalties",
    "get",
    "get_all",
    "with_gradients",
]

Uniform = Callable[[Any], Tensor]
Schedule = keras.optimizers.schedules.LearningRateSchedule


class GradientPenalty(ABC):
    """Penalizes the norm of the discriminator's gradient with respect to the image.

    Args:
        weight: Weight of the penalty in the discriminator's loss, gamma in the papers: a number, or
            a schedule of Keras as a function of the number of train steps. It depends on the range
            of the images. Gradients for images in [0, 1] are twice the gradients for images in
            [-1, 1], so a squared norm needs a quarter of the weight.
        interval: Number of steps between two penalties, each with `interval` times the weight (lazy
            regularization). Defaults to 1.

    Attributes:
        uses_fake_labels: Whether the sample points have the labels of the fakes, as opposed to the
            labels of the reals.

    Raises:
        ValueError: Unless `weight >= 0` and `interval >= 1`.

    References:
        Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B: lazy regularization. Huang
        et al. 2024, https://arxiv.org/abs/2501.05441: weights that fall along a cosine.
    """

    uses_fake_labels = False

    def __init__(self, weight: Any, interval: int = 1) -> None:
        is_valid = isinstance(weight, Schedule) or 0 <= weight < float("inf")
        if not is_valid or interval < 1:
            raise ValueError(
                "Expected weight >= 0 and interval >= 1. "
                f"Received: weight={weight}, interval={interval}."
            )
        self.weight = weight
        self.interval = interval

    @abstractmethod
    def sample_points(self, real: Images, fake: Images, uniform: Uniform) -> Images:
        """Returns the images at which the gradient is computed.

        Args:
            real: Real images.
            fake: Generated images of the same shape.
            uniform: Function `uniform(shape)` that draws numbers in [0, 1) of shape
                `(batch, *shape)`.

        Returns:
            Images of the shape of `real` and `fake`.
        """

    @abstractmethod
    def penalty(self, gradient_norm_squared: Tensor) -> Tensor:
        """Returns the unweighted penalty `(batch,)` for squared gradient norms `(batch,)`."""

    def weight_at(self, step: Tensor | int) -> Tensor | float:
        """Returns the weight after a number of train steps."""
        return self.weight(step) if isinstance(self.weight, Schedule) else self.weight

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        weight = self.weight
        if isinstance(weight, Schedule):
            weight = keras.saving.serialize_keras_object(weight)
        return {"weight": weight, "interval": self.interval}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GradientPenalty":
        """Returns the penalty that `get_config()` describes."""
        weight = config["weight"]
        if isinstance(weight, dict):
            weight = keras.saving.deserialize_keras_object(weight)
        return cls(**{**config, "weight": weight})

    def __call__(
        self, logits: Callable[[Images], Logits], real: Images, fake: Images, uniform: Uniform
    ) -> Tensor:
        """Computes the penalty of each image, `(batch,)`, without its weight and its interval.

        The gradient of the logits is computed in float32 under all dtype policies, without a loss
        scale.

        Args:
            logits: Function of images that returns the discriminator's logits `(batch, 1)`.
            real: Real images.
            fake: Generated images.
            uniform: Function that draws random numbers, see `sample_points`.
        """
        _, norm_squared = with_gradients(logits, self.sample_points(real, fake, uniform))
        return self.penalty(norm_squared)


def with_gradients(logits: Callable[[Images], Logits], images: Images) -> tuple[Logits, Tensor]:
    """Computes logits and the squared norm of their gradient at each image, `(batch,)`.

    Args:
        logits: Function of images that returns the discriminator's logits `(batch, 1)`.
        images: Images at which the gradient is computed.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        result = logits(images)
        total = ops.sum(ops.cast(result, images.dtype))
    gradient = tape.gradient(total, images)
    return result, ops.sum(ops.square(gradient), axis=tuple(range(1, len(images.shape))))


@keras.saving.register_keras_serializable("fashion_gan")
class R1(GradientPenalty):
    """Computes `weight / 2 * ‖∇D‖²` at the real images.

    Args:
        weight: Weight of the penalty, see `GradientPenalty`.
        interval: Number of steps between two penalties. Defaults to 1.

    References:
        Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9.
    """

    def sample_points(self, real: Images, fake: Images, uniform: Uniform) -> Images:
        """Returns the real images."""
        return real

    def penalty(self, gradient_norm_squared: Tensor) -> Tensor:
        """Returns half the squared norm."""
        return gradient_norm_squared / 2


@keras.saving.register_keras_serializable("fashion_gan")
class R2(R1):
    """Computes `weight / 2 * ‖∇D‖²` at the generated images.

    Args:
        weight: Weight of the penalty, see `GradientPenalty`.
        interval: Number of steps between two penalties. Defaults to 1.

    References:
        Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 10.
    """

    uses_fake_labels = True

    def sample_points(self, real: Images, fake: Images, uniform: Uniform) -> Images:
        """Returns the generated images."""
        return fake


@keras.saving.register_keras_serializable("fashion_gan")
class WGANGP(GradientPenalty):
    """Computes `weight * (‖∇D‖ - 1)²` at a random point between each real and fake image.

    Args:
        weight: Weight of the penalty, see `GradientPenalty`. Defaults to 10.
        interval: Number of steps between two penalties. Defaults to 1.

    References:
        Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, equation 3.
    """

    def __init__(self, weight: float = 10.0, interval: int = 1) -> None:
        super().__init__(weight, interval)

    def sample_points(self, real: Images, fake: Images, uniform: Uniform) -> Images:
        """Returns interpolations, with one random number for each pair."""
        return fake + uniform((1,) * (len(real.shape) - 1)) * (real - fake)

    def penalty(self, gradient_norm_squared: Tensor) -> Tensor:
        """Returns the squared difference of the norm to 1. Its gradient is finite at norm 0."""
        # The root has an infinite gradient at 0, which times 0 would be NaN.
        return ops.square(ops.sqrt(ops.maximum(gradient_norm_squared, 1e-12)) - 1)


@keras.saving.register_keras_serializable("fashion_gan")
class DRAGAN(WGANGP):
    """Computes `weight * (‖∇D‖ - 1)²` around the real images.

    Args:
        weight: Weight of the penalty, see `GradientPenalty`. Defaults to 10.
        interval: Number of steps between two penalties. Defaults to 1.

    References:
        Kodali et al. 2017, https://arxiv.org/abs/1705.07215, section 2.4. The noise follows the
        authors' code: it is uniform, scaled by half the standard deviation of the batch.
    """

    def sample_points(self, real: Images, fake: Images, uniform: Uniform) -> Images:
        """Returns the real images with noise in every pixel."""
        return real + 0.5 * ops.std(real) * uniform(real.shape[1:])


PENALTIES: dict[str, type[GradientPenalty]] = {
    "r1": R1,
    "r2": R2,
    "wgan_gp": WGANGP,
    "dragan": DRAGAN,
}


def fused_penalties(
    penalties: list[GradientPenalty], discriminator: keras.Model
) -> list[GradientPenalty]:
    """Returns the penalties that can share the loss's pass through the discriminator.

    Each of these penalties saves a pass, since the loss sees the same images with the same labels.
    Lazy penalties and penalties that override `__call__` are excluded. If the discriminator has
    batch normalization, all are excluded, since a common pass mixes the statistics of reals and
    fakes.
    """
    if any(isinstance(la, keras.layers.BatchNormalization) for la in iter_layers(discriminator)):
        return []
    shared = {R1.sample_points: R1.uses_fake_labels, R2.sample_points: R2.uses_fake_labels}
    return [
        p
        for p in penalties
        if p.interval == 1
        and shared.get(type(p).sample_points) is p.uses_fake_labels
        and type(p).__call__ is GradientPenalty.__call__
    ]


def get(identifier: dict[str, Any] | GradientPenalty) -> GradientPenalty:
    """Resolves a penalty, `{"name": "r1", "weight": 0.1}` or a config to a penalty.

    Raises:
        ValueError: If `identifier` is anything else. The message lists the names.
    """
    return resolve(identifier, GradientPenalty, PENALTIES, "penalty")


def get_all(identifiers: Any) -> list[GradientPenalty]:
    """Resolves None, one or several penalties to a list, see `get`."""
    return resolve_all(identifiers, GradientPenalty, PENALTIES, "penalty")
