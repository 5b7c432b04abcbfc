"""Orders the images of a dataset by the seed and the epoch."""

from typing import Any

import tensorflow as tf

__all__ = ["ImageOrder", "permutations"]


class ImageOrder:
    """Computes the order of the images in each epoch.

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
        """Returns the int64 indices of an epoch, by operations that XLA can compile.

        Args:
            epoch: Int64 scalar. Number of the epoch.
        """
        if self._num_draws is None:
            return self._passes(epoch, 1)
        n, first = self._num_images, epoch * self._num_draws
        most = -(-(n - 1 + self._num_draws) // n)  # largest number of passes in an epoch
        # A slice from here would compile a separate program in each epoch.
        return tf.gather(
            self._passes(first // n, most), first % n + tf.range(self._num_draws, dtype=tf.int64)
        )

    def _passes(self, first: Any, count: int) -> Any:
        """Returns the indices of `count` passes from pass `first` on, one after the other."""
        if self._seed is None:
            return tf.tile(tf.range(self._num_images, dtype=tf.int64), [count])
        seeds = tf.fill([count], tf.constant(self._seed, tf.int64))
        keys = tf.stack([seeds, first + tf.range(count, dtype=tf.int64)], axis=1)
        return tf.reshape(permutations(self._num_images, keys), [-1])


def permutations(size: int, keys: Any) -> Any:
    """Returns a random permutation for each key, by the algorithm of Fisher and Yates.

    Step i of the algorithm swaps the contents of position i and of a random target in [i, size).
    The permutations equal those of `tf.random.experimental.stateless_shuffle`. TensorFlow computes
    that function on CPUs only, one step after the other, and its result may change with the
    version of TensorFlow. Here, all steps are computed at once.

    Position i keeps what its target held before step i. The last step k < i with the same target
    had put there what position k held before step k. If there is no such step, the target still
    held its own number. What position k held before step k is found in the same way, from the last
    step with target k.

    Args:
        size: Number of positions.
        keys: Int64 seeds `(count, 2)`.

    Returns:
        Int64 permutations of 0 to size - 1, of shape `(count, size)`.
    """
    # The permutations are parts of one array, with the steps of all of them.
    count = keys.shape[0]
    total = count * size
    steps = tf.range(total, dtype=tf.int64)
    distances = tf.cast(_draw(size, keys), tf.int64) % tf.range(size, 0, -1, tf.int64)
    targets = steps + tf.reshape(distances, [-1])

    # contents[k] is what position k holds before step k.
    sources = tf.where(targets > steps, steps, -1)
    sources = tf.math.unsorted_segment_max(sources, targets, total)
    contents = tf.where(sources < 0, steps, sources)
    for _ in range((size - 1).bit_length()):  # each round follows twice as many steps
        contents = tf.gather(contents, contents)

    sorted_steps = tf.sort(targets * total + steps)  # by target, and then in their order
    targets, steps = sorted_steps // total, sorted_steps % total
    same_target = tf.concat([[False], targets[1:] == targets[:-1]], axis=0)
    previous = tf.roll(steps, 1, axis=0)
    order = tf.where(same_target, tf.gather(contents, previous), targets)
    order = tf.reshape(tf.scatter_nd(steps[:, None], order, [total]), [-1, size])
    return order - size * tf.range(count, dtype=tf.int64)[:, None]


def _draw(size: int, keys: Any) -> Any:
    """Returns random numbers for each key, uint32 `(count, size)`.

    Unlike in `tf.map_fn`, the number of iterations is fixed at compile time. Otherwise, the host of
    an accelerator decides after each iteration whether there is another one.
    """

    def turn(i: Any, numbers: Any) -> tuple[Any, Any]:
        drawn = tf.random.stateless_uniform(
            [size], tf.gather(keys, i), minval=None, maxval=None, dtype=tf.uint32, alg="philox"
        )
        return i + 1, numbers.write(i, drawn)

    count = keys.shape[0]
    numbers = tf.TensorArray(tf.uint32, count, element_shape=[size])
    _, numbers = tf.while_loop(lambda i, _: i < count, turn, (tf.constant(0), numbers))
    return numbers.stack()
