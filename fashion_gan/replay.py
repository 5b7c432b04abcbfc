"""Provides a replay buffer of past fakes."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.registry import resolve
from fashion_gan.typing import LabeledImages

__all__ = ["ReplayBuffer", "get"]


@keras.saving.register_keras_serializable("fashion_gan")
class ReplayBuffer(keras.layers.Layer):
    """Replaces some fakes by past fakes, so that the discriminator does not forget them.

    In each batch, some fakes are exchanged with random images of the buffer. The discriminator sees
    the old images, and the buffer stores the new images. An empty slot stores the fake and also
    returns it. The buffer is saved with the model.

    Args:
        capacity: Number of images in the buffer, at least one batch. Defaults to 2,048.
        replace_fraction: Fraction of the fakes that are exchanged. Defaults to 0.5.

    Raises:
        ValueError: Unless `capacity >= 1` and `0 < replace_fraction <= 1`. In training, if the
            batch has more images than the buffer.

    References:
        Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828, section 2.3; Zhu et al. 2017,
        https://arxiv.org/abs/1703.10593, section 4, the source of the default fraction.
    """

    def __init__(self, capacity: int = 2_048, replace_fraction: float = 0.5, **kwargs: Any) -> None:
        if capacity < 1 or not 0 < replace_fraction <= 1:
            raise ValueError(
                "Expected capacity >= 1 and 0 < replace_fraction <= 1. "
                f"Received: capacity={capacity}, replace_fraction={replace_fraction}."
            )
        super().__init__(**kwargs)
        self.capacity = capacity
        self.replace_fraction = replace_fraction

    def build(self, image_shape: tuple[int | None, ...]) -> None:
        """Creates an empty buffer for images `(batch, *image_shape[1:])`."""
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

    def exchange(self, fake: LabeledImages, random: Any) -> LabeledImages:
        """Returns the fakes after some are exchanged with images of the buffer.

        Args:
            fake: Batch of fakes.
            random: `StepRandom` that selects slots and fakes.
        """
        numbers = random.uniform(ops.shape(fake.images)[0], (2,))
        if tf.distribute.in_cross_replica_context() or not tf.distribute.has_strategy():
            return self._exchange(fake, numbers)
        context: Any = tf.distribute.get_replica_context()
        size = ops.shape(fake.images)[0]  # all replicas hold the same buffer of all fakes
        gathered = context.all_gather([p for p in (*fake, numbers) if p is not None], axis=0)
        labels = gathered[1] if fake.labels is not None else None
        all_ = self._exchange(LabeledImages(gathered[0], labels), gathered[-1])
        first = context.replica_id_in_sync_group * size
        return LabeledImages(*(None if part is None else part[first:][:size] for part in all_))

    def _exchange(self, fake: LabeledImages, numbers: Any) -> LabeledImages:
        size = ops.shape(fake.images)[0]  # a tensor if the batch size varies
        if isinstance(size, int) and size > self.capacity:
            raise ValueError(
                "Expected batches of at most the capacity of the replay buffer. "
                f"Received: {size} fakes for capacity={self.capacity}."
            )
        # The i-th fake gets a slot of the i-th part, so no two fakes get the same slot.
        slots = self.capacity // size
        offset = ops.cast(numbers[:, 0] * ops.cast(slots, numbers.dtype), "int32")
        slot = ops.arange(size, dtype="int32") * slots + ops.minimum(offset, slots - 1)
        occupied = ops.take(self._filled, slot) > 0
        swapped = ops.logical_and(occupied, numbers[:, 1] < self.replace_fraction)
        stored = ops.logical_or(swapped, ops.logical_not(occupied))
        result: list[Any] = []
        for buffer, new in ((self._images, fake.images), (self._labels, fake.labels)):
            if new is None:
                result.append(None)
                continue
            new = ops.reshape(new, (-1, *buffer.shape[1:]))  # all_gather loses the static shape
            old = ops.take(buffer, slot, axis=0)
            rows = (..., *(None,) * (len(new.shape) - 1))
            seen = ops.where(swapped[rows], old, ops.cast(new, buffer.dtype))
            result.append(ops.cast(seen, new.dtype))
            content = ops.where(stored[rows], ops.cast(new, buffer.dtype), old)
            buffer.assign(ops.scatter_update(buffer, slot[:, None], content))
        ones = ops.ones_like(slot, dtype="int64")
        self._filled.assign(ops.scatter_update(self._filled, slot[:, None], ones))
        return LabeledImages(*result)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        return {**config, "capacity": self.capacity, "replace_fraction": self.replace_fraction}


def get(identifier: Any) -> ReplayBuffer | None:
    """Resolves None, a capacity, a config or a buffer to a buffer or None.

    Raises:
        ValueError: If `identifier` is anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return ReplayBuffer(identifier)
    return resolve(identifier, ReplayBuffer, {"replay": ReplayBuffer}, "replay")
