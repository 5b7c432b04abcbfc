"""Implements the dataset of `make_dataset`, which sets its epoch and can be read by index."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from fashion_gan.data.image_order import ImageOrder
from fashion_gan.keras_compat import DatasetWrapper

__all__ = ["ImageDataset", "IndexedImages", "dataset_options", "flip_images"]


class ImageDataset(DatasetWrapper):
    """Yields batches, as a `tf.data.Dataset` whose order depends only on the seed and the epoch.

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
    """Holds images and order of a dataset of whole batches, for a loop that gathers by index.

    Args:
        images: Variable with all images `(n, height, width, channels)`, float32, or uint8 for
            values from `lookup_table`.
        lookup_table: Float32 values `(256,)` of uint8 pixels, or None for float32 images.
        labels: Labels int32 `(n,)`, or None.
        batch_size: Number of images in a batch.
        order: Order of the images in each epoch.
        num_batches: Number of batches in an epoch.
        mirror: Whether indices from n on refer to mirror images.
    """

    def __init__(
        self,
        images: Any,
        lookup_table: Any,
        labels: Any,
        batch_size: int,
        order: ImageOrder,
        num_batches: int,
        mirror: bool = False,
    ) -> None:
        self.images = images
        self.lookup_table = lookup_table
        self.labels = labels
        self.batch_size = batch_size
        self.order = order
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
        """Returns images, lookup table and labels, copied to the accelerator if there is one.

        The labels become int64, since TensorFlow keeps int32 tensors of a GPU in host memory.
        """
        labels = None if self.labels is None else tf.cast(self.labels, tf.int64)
        parts = (self.images.read_value(), self.lookup_table, labels)
        return tuple(None if part is None else tf.identity(part) for part in parts)

    def order_of(self, epoch: Any) -> Any:
        """Returns the indices of an epoch, int64 `(num_batches, batch_size)`.

        Args:
            epoch: Int64 scalar. Number of the epoch.
        """
        indices = self.order.of(epoch)[: self.num_batches * self.batch_size]
        return tf.reshape(indices, (self.num_batches, self.batch_size))

    def executions(self, steps: int) -> tf.data.Dataset:
        """Returns an epoch as executions of `steps` batches each.

        Each element is a pair of int64 scalars: the number of the first batch, and the number of
        batches, which may be smaller in the last element. The cardinality is the number of batches,
        since Keras counts batches.
        """
        firsts = np.arange(0, self.num_batches, steps)
        counts = np.minimum(self.num_batches - firsts, steps)
        # A dataset with functions would take an order of magnitude longer to create an iterator.
        dataset = tf.data.Dataset.from_tensor_slices((firsts, counts))
        return _Executions(dataset.with_options(dataset_options()), self.num_batches)


class _Executions(DatasetWrapper):
    """Yields elements with several batches each, whose cardinality counts batches."""

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
