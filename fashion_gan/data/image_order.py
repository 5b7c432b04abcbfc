"""Orders the images of a dataset by the seed and the epoch alone."""

from typing import Any

import tensorflow as tf

__all__ = ["ImageOrder"]


class ImageOrder:
    """Order of the images in each epoch.

    Pass p over the images uses a permutation that depends on `seed` and p. An epoch is one pass.
    With `num_draws`, an epoch is that many images from the concatenated passes, and epoch k starts
    at image `k * num_draws` of this sequence.

    Args:
        num_images: Number of images.
        seed: Seed of the permutations, or None for the stored order.
        num_draws: Number of images in an epoch. Defaults to one pass.

    Attributes:
        epoch: Int64 variable. Number of the next epoch.
        skip_batches: Int64 variable. Number of blank batches at the start of the next epoch.
    """

    def __init__(self, num_images: int, seed: int | None, num_draws: int | None = None) -> None:
        self._num_images = num_images
        self._seed = seed
        self._num_draws = num_draws
        with tf.device("CPU:0"):
            self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
            self.skip_batches = tf.Variable(0, dtype=tf.int64, trainable=False, name="skip_batches")

    def next(self) -> Any:
        """Returns the int64 indices of the next epoch, and advances `epoch` by one."""
        return self.of(self.begin())

    def begin(self) -> Any:
        """Returns the number of the next epoch, and advances `epoch` by one."""
        epoch = self.epoch.read_value()
        self.epoch.assign_add(1)
        self.skip_batches.assign(0)
        return epoch

    def of(self, epoch: Any) -> Any:
        """Returns the int64 indices of an epoch."""
        if self._num_draws is None:
            return self._permutation(epoch)
        return self._part(epoch, self._num_draws)

    def _permutation(self, number: Any) -> Any:
        order = tf.range(self._num_images, dtype=tf.int64)
        if self._seed is None:
            return order
        key = tf.stack([tf.constant(self._seed, tf.int64), number])
        return tf.random.experimental.stateless_shuffle(order, seed=key, alg="philox")

    def _part(self, epoch: Any, count: int) -> Any:
        """Returns the `count` indices of an epoch from the passes that it overlaps."""
        n = self._num_images
        first = epoch * count
        most = -(-(n - 1 + count) // n)  # largest number of passes that an epoch overlaps
        passes = first // n + tf.range(most, dtype=tf.int64)
        order = tf.reshape(tf.map_fn(self._permutation, passes), [-1])
        return tf.slice(order, [first % n], [count])
