"""Experience replay: a pool of past fakes."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.remedies.remedy import Draws, Remedy, Shown

__all__ = ["Replay"]


@keras.saving.register_keras_serializable("fashion_gan")
class Replay(Remedy, keras.layers.Layer):
    """Experience replay: the discriminator meets fakes of the past again, and does not forget them.

    A pool holds past fakes. Of each batch, some change places with random ones in the pool: the
    discriminator sees the old ones, the pool keeps the new ones. Places that are empty take the
    fake and give it back as well. The pool is saved with the model.

    Args:
        capacity: of the pool, in images; at least the batch.
        share: of the fakes that change places.

    Raises:
        ValueError: unless `capacity >= 1` and `0 < share <= 1`; in training, if the batch has more
            images than the pool.

    References:
        Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828, section 2.3; Zhu et al. 2017,
        https://arxiv.org/abs/1703.10593, section 4, from where the half comes.
    """

    def __init__(self, capacity: int = 2_048, share: float = 0.5, **kwargs: Any) -> None:
        if capacity < 1 or not 0 < share <= 1:
            raise ValueError(
                "Expected capacity >= 1 and 0 < share <= 1. "
                f"Received: capacity={capacity}, share={share}."
            )
        super().__init__(**kwargs)
        self.capacity = capacity
        self.share = share

    def build(self, image_shape: tuple[int, ...]) -> None:
        """Make the pool, empty: for images `(batch, *image_shape[1:])`."""
        for name, shape, dtype in (
            ("images", image_shape[1:], self.variable_dtype),
            ("labels", (), "int64"),  # TensorFlow keeps no int32 variables on a GPU
            ("filled", (), "int64"),
        ):
            weight = self.add_weight(
                name=name,
                shape=(self.capacity, *shape),
                dtype=dtype,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            setattr(self, f"_{name}", weight)
        self.built = True

    def learned(self, fake: Shown, draws: Draws) -> Shown:
        """The batch, with images of the pool in place of some."""
        numbers = draws.uniform((2,))
        if tf.distribute.in_cross_replica_context() or not tf.distribute.has_strategy():
            return self._exchange(fake, numbers)
        context: Any = tf.distribute.get_replica_context()
        size = ops.shape(fake.images)[0]  # every replica keeps one pool, from the fakes of them all
        gathered = context.all_gather([p for p in (*fake, numbers) if p is not None], axis=0)
        labels = gathered[1] if fake.labels is not None else None
        all_ = self._exchange(Shown(gathered[0], labels), gathered[-1])
        first = context.replica_id_in_sync_group * size
        return Shown(*(None if part is None else part[first:][:size] for part in all_))

    def _exchange(self, fake: Shown, numbers: Any) -> Shown:
        size = ops.shape(fake.images)[0]  # a tensor where batches are of several sizes
        if isinstance(size, int) and size > self.capacity:
            raise ValueError(
                "Expected batches of at most the pool's capacity. "
                f"Received: {size} fakes for capacity={self.capacity}."
            )
        # The i-th fake meets the i-th part of the pool, so that no two of them meet one place.
        places = self.capacity // size
        offset = ops.cast(numbers[:, 0] * ops.cast(places, numbers.dtype), "int32")
        place = ops.arange(size, dtype="int32") * places + ops.minimum(offset, places - 1)
        there = ops.take(self._filled, place) > 0
        swapped = ops.logical_and(there, numbers[:, 1] < self.share)
        kept = ops.logical_or(swapped, ops.logical_not(there))
        result: list[Any] = []
        for pool, new in ((self._images, fake.images), (self._labels, fake.labels)):
            if new is None:
                result.append(None)
                continue
            new = ops.reshape(new, (-1, *pool.shape[1:]))  # of which gathering leaves no shape
            old = ops.take(pool, place, axis=0)
            rows = (..., *(None,) * (len(new.shape) - 1))
            seen = ops.where(swapped[rows], old, ops.cast(new, pool.dtype))
            result.append(ops.cast(seen, new.dtype))
            content = ops.where(kept[rows], ops.cast(new, pool.dtype), old)
            pool.assign(ops.scatter_update(pool, place[:, None], content))
        ones = ops.ones_like(place, dtype="int64")
        self._filled.assign(ops.scatter_update(self._filled, place[:, None], ones))
        return Shown(*result)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = keras.layers.Layer.get_config(self)
        return {**config, "capacity": self.capacity, "share": self.share}
