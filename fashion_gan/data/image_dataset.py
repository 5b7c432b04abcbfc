"""Implements the dataset of `make_dataset`, which sets its epoch and can be read by index."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fashion_gan.keras_compat import DatasetWrapper

__all__ = ["ImageDataset", "IndexedImages", "dataset_options", "flip_images"]


class ImageDataset(DatasetWrapper):
    """A `tf.data.Dataset` of batches whose order depends only on the seed and the epoch.

    Attributes:
        epoch: Int64 variable. Number of the next epoch. Each iteration advances it by one.
        skip_batches: Int64 variable. Number of blank batches at the start of the next iteration.
            Each iteration resets it to 0.
        indexed_images: `IndexedImages`, or None for a dataset with a smaller last batch or with
            images that are not in memory.
    """

    def __init__(
        self,
        batches: tf.data.Dataset,
        epoch: tf.Variable,
        skip_batches: tf.Variable,
        indexed_images: "IndexedImages | None",
    ) -> None:
        super().__init__(batches)
        self.epoch = epoch
        self.skip_batches = skip_batches
        self.indexed_images = indexed_images


class IndexedImages:
    """Images and order of a dataset of whole batches, for a loop that gathers by index.

    Args:
        images: Variable with all images `(n, height, width, channels)`, float32, or uint8 for
            values from `lookup_table`.
        lookup_table: Float32 values `(256,)` of uint8 pixels, or None for float32 images.
        labels: Labels int32 `(n,)`, or None.
        batch_size: Number of images in a batch.
        next_order: Function that starts an iteration, as the first batch of the dataset's iterator
            does, and returns the int64 indices of the images in order.
        num_batches: Number of batches in an iteration.
        mirror: Whether indices from n on refer to mirror images.
    """

    def __init__(
        self,
        images: Any,
        lookup_table: Any,
        labels: Any,
        batch_size: int,
        next_order: Callable[[], Any],
        num_batches: int,
        mirror: bool = False,
    ) -> None:
        self.images = images
        self.lookup_table = lookup_table
        self.labels = labels
        self.batch_size = batch_size
        self.next_order = next_order
        self.num_batches = num_batches
        self.mirror = mirror

    def check(self, checks: Any) -> None:
        """Checks the first batch in the stored order, and all labels.

        Args:
            checks: `InputChecks` of the GAN to train.

        Raises:
            ValueError: If the batch or the labels do not fit the GAN.
        """
        images = self.images[: self.batch_size].numpy()
        checks.check_images(
            images if self.lookup_table is None else self.lookup_table.numpy()[images]
        )
        if checks.num_classes is not None:
            checks.check_labels(self.labels, self.images.shape[0])

    @functools.cached_property
    def on_device(self) -> tuple[Any, ...]:
        """Returns images, lookup table and labels, copied to the accelerator if there is one."""
        parts = (self.images.read_value(), self.lookup_table, self.labels)
        return tuple(None if part is None else tf.identity(part) for part in parts)

    def index_batches(self, steps: int) -> tf.data.Dataset:
        """Returns the batches of the dataset as indices of images, `steps` batches per element.

        Each element is a dict with `indices`, int32 `(steps, batch_size)`, and `steps`, the number
        of valid batches, which may be smaller in the last element. With mirror images, `flips`
        marks the images to flip. The cardinality is the number of batches, since Keras counts
        batches.
        """
        num_images, num_batches = self.images.shape[0], self.num_batches
        firsts = range(0, num_batches, steps)
        counts = [min(steps, num_batches - first) for first in firsts]
        used = num_batches * self.batch_size
        padding = len(firsts) * steps * self.batch_size - used

        def iteration(_: Any) -> Any:
            indices = tf.pad(tf.cast(self.next_order()[:used], tf.int32), [[0, padding]])
            indices = tf.reshape(indices, (len(firsts), steps, self.batch_size))
            elements = {"indices": indices, "steps": counts}
            if self.mirror:
                elements |= {"indices": indices % num_images, "flips": indices >= num_images}
            return tf.data.Dataset.from_tensor_slices(elements)

        dataset = tf.data.Dataset.range(1).flat_map(iteration).with_options(dataset_options())
        return _IndexBatches(dataset, num_batches)


class _IndexBatches(DatasetWrapper):
    """Dataset of elements with several batches each, whose cardinality counts batches."""

    def __init__(self, executions: tf.data.Dataset, num_batches: int) -> None:
        super().__init__(executions)
        self._num_batches = num_batches

    def cardinality(self) -> tf.Tensor:
        return tf.constant(self._num_batches, tf.int64)


def flip_images(images: Any, flips: Any) -> Any:
    """Flips images `(n, h, w, c)` from left to right where `flips` `(n,)` is True."""
    return tf.where(flips[:, None, None, None], tf.reverse(images, [2]), images)


def dataset_options() -> tf.data.Options:
    """Returns dataset options without autotuning.

    The autotuning thread sleeps for longer and longer intervals, and an iterator waits for the
    thread at its end. Epochs of a second or more took up to twice as long with autotuning.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
