"""The averaged generator: an exponential moving average of weights, which draws better images."""

import math
from typing import Any

import keras
from keras import ops

__all__ = ["decay_of", "follow", "twin"]


def decay_of(half_life: float, batch_size: int) -> float:
    """The decay a step whose average has forgotten half after `half_life` images.

    Raises:
        ValueError: unless both are positive.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, appendix B, and their code.
    """
    if half_life <= 0 or batch_size <= 0:
        raise ValueError(
            f"Expected positive numbers. Received: half_life={half_life}, batch_size={batch_size}."
        )
    return math.pow(0.5, batch_size / half_life)


def twin(generator: keras.Model) -> keras.Model:
    """A generator of the same structure and weights, that no optimiser trains."""
    copy = keras.models.clone_model(generator)
    copy.set_weights(generator.get_weights())
    copy.trainable = False
    return copy


def follow(average: keras.Model, generator: keras.Model, decay: float, step: Any) -> None:
    """Move each weight of `average`, batch-norm statistics included, towards the generator's.

    Args:
        average: made by `twin`.
        generator: to be followed.
        decay: share of the average that a step keeps, once the ramp is over.
        step: number of train steps so far, an integer scalar. Early averages would be mostly the
            untrained generator, hence the ramp `min(decay, (1 + step) / (10 + step))`.
    """
    step = ops.cast(step, "float32")
    rate = 1 - ops.minimum(decay, (1 + step) / (10 + step))
    for slow, fast in zip(average.weights, generator.weights, strict=True):
        slow.assign_add(ops.cast(rate, slow.dtype) * (ops.cast(fast, slow.dtype) - slow))
