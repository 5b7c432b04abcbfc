"""Draws the random numbers of a train step as functions of the GAN's seed and the step."""

from typing import Any

import tensorflow as tf
from keras import ops

__all__ = ["StepRandom"]


class StepRandom:
    """Draws random numbers that depend only on a key, so a resumed run repeats them.

    Several replicas together draw the numbers that a single replica would draw. Each replica uses
    its own rows.

    Args:
        key: Two int64 numbers: the seed, and the index of an update.
        dtype: Floating dtype of the numbers.
    """

    def __init__(self, key: Any, dtype: str) -> None:
        self._key = key
        self._dtype = dtype

    @property
    def index(self) -> Any:
        """Returns the index of the update as an int64 scalar."""
        return self._key[1]

    def at(self, index: Any) -> "StepRandom":
        """Returns the random numbers of another update, under the same seed."""
        return StepRandom(ops.stack([self._key[0], ops.cast(index, "int64")]), self._dtype)

    def fold_in(self, purpose: int) -> "StepRandom":
        """Returns the random numbers for a purpose, independent of all other purposes."""
        return StepRandom(tf.random.experimental.stateless_fold_in(self._key, purpose), self._dtype)

    def normal(self, batch_size: Any, shape: Any) -> Any:
        """Draws standard normals `(batch_size, *shape)`."""
        return self._draw(tf.random.stateless_normal, batch_size, shape)

    def uniform(self, batch_size: Any, shape: Any) -> Any:
        """Draws uniform numbers in [0, 1) of shape `(batch_size, *shape)`."""
        return self._draw(tf.random.stateless_uniform, batch_size, shape)

    def _draw(self, draw: Any, batch_size: Any, shape: Any) -> Any:
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        numbers = draw(
            (batch_size * replicas, *shape), seed=self._key, dtype=self._dtype, alg="philox"
        )
        if replicas == 1:
            return numbers
        return numbers[context.replica_id_in_sync_group * batch_size :][:batch_size]
