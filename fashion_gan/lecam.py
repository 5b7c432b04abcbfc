"""Provides LeCam regularization, which limits the gap between logits of reals and fakes."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.registry import resolve
from fashion_gan.typing import Logits, Tensor

__all__ = ["LeCam", "get"]


@keras.saving.register_keras_serializable("fashion_gan")
class LeCam(keras.layers.Layer):
    """Penalizes logits of reals above the average of the fakes, and fakes below that of the reals.

    With few images, it keeps the discriminator from memorizing the reals. Both averages are saved
    with the model.

    Args:
        weight: Weight of the penalty in the discriminator's loss. Defaults to 0.3.
        decay: Fraction of the averages that an update keeps. The first updates count equally.
            Defaults to 0.99.

    Raises:
        ValueError: Unless `weight >= 0` and `0 <= decay < 1`.

    References:
        Tseng et al. 2021, https://arxiv.org/abs/2104.03310, equations 3 and 4; one-sided, as in the
        authors' code, https://github.com/google/lecam-gan.
    """

    def __init__(self, weight: float = 0.3, decay: float = 0.99, **kwargs: Any) -> None:
        if not 0 <= weight < float("inf") or not 0 <= decay < 1:
            raise ValueError(
                "Expected weight >= 0 and 0 <= decay < 1. "
                f"Received: weight={weight}, decay={decay}."
            )
        super().__init__(**kwargs)
        self.weight = weight
        self.decay = decay

    def build(self, input_shape: Any = None) -> None:
        """Creates the averages of the logits of reals and of fakes."""
        for name, shape, dtype in (
            ("averages", (2,), self.variable_dtype),
            ("updates", (), "int64"),
        ):
            weight = self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            setattr(self, name, weight)
        self.built = True

    def regularize(self, real: Logits, fake: Logits) -> Tensor:
        """Moves the averages by a batch and returns its penalties, see `update` and `penalty`."""
        self.update(real, fake)
        return self.penalty(real, fake)

    def update(self, real: Logits, fake: Logits) -> None:
        """Moves both averages towards the means of the logits, which replicas average.

        Args:
            real: Logits of the reals.
            fake: Logits of the fakes.
        """
        means = ops.cast(ops.stack([ops.mean(real), ops.mean(fake)]), self.variable_dtype)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            means = tf.distribute.get_replica_context().all_reduce("MEAN", means)
        updates = ops.cast(self.updates, self.variable_dtype)
        rate = 1 - ops.minimum(self.decay, updates / (updates + 1))
        self.averages.assign_add(rate * (means - self.averages))
        self.updates.assign_add(1)

    def penalty(self, real: Logits, fake: Logits) -> Tensor:
        """Computes the weighted penalty of each pair of logits, without moving the averages.

        Args:
            real: Logits of the reals.
            fake: Logits of the fakes.
        """
        real_average, fake_average = ops.unstack(ops.cast(self.averages, real.dtype))
        reals, fakes = ops.relu(real - fake_average), ops.relu(real_average - fake)
        return self.weight * (ops.square(reals) + ops.square(fakes))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "weight": self.weight, "decay": self.decay}


def get(identifier: Any) -> LeCam | None:
    """Resolves None, a weight, a dict, a config or an object to a regularization or None.

    Raises:
        ValueError: For anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, int | float) and not isinstance(identifier, bool):
        return LeCam(identifier)
    lecam: LeCam = resolve(identifier, LeCam, {"lecam": LeCam}, "lecam")
    return lecam
