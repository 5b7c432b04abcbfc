"""Random numbers of a train step, as functions of the GAN's seed and the number of the step."""

from typing import Any

import tensorflow as tf
from keras import ops

__all__ = ["StepRandom"]


class StepRandom:
    """Draws random numbers that depend on a key alone, so that a resumed run repeats them.

    Of several replicas, each draws its rows of what a single one would draw for them all.

    Args:
        key: Two int64 numbers: the seed, and the index of an update.
        dtype: Floating dtype of the numbers.
    """

    def __init__(self, key: Any, dtype: str) -> None:
        self._key = key
        self._dtype = dtype

    @property
    def index(self) -> Any:
        """Index of the update, an int64 scalar."""
        return self._key[1]

    def at(self, index: Any) -> "StepRandom":
        """Returns the generator of an update, under the same seed."""
        return StepRandom(ops.stack([self._key[0], ops.cast(index, "int64")]), self._dtype)

    def fold_in(self, purpose: int) -> "StepRandom":
        """Returns the generator of a purpose within an update, independent of all others."""
        return StepRandom(tf.random.experimental.stateless_fold_in(self._key, purpose), self._dtype)

    def normal(self, batch_size: Any, shape: Any) -> Any:
        """Returns standard normals `(batch_size, *shape)`."""
        return self._draw(tf.random.stateless_normal, batch_size, shape)

    def uniform(self, batch_size: Any, shape: Any) -> Any:
        """Returns numbers in [0, 1) of shape `(batch_size, *shape)`."""
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
