"""The dataset of `make_dataset`: batches of images, and what steers and replaces their drawing."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fashion_gan.keras_compat import DatasetWrapper

__all__ = ["ImageDataset", "IndexedImages", "dataset_options", "flip_images"]


class ImageDataset(DatasetWrapper):
    """A `tf.data.Dataset` of batches whose order is a function of the seed and the epoch.

    Attributes:
        epoch: Int64 variable, the epoch whose order comes next. Reading advances it by one.
        skip_batches: Int64 variable, the number of blank batches that begin the next iteration.
            Reading resets it to 0.
        indexed_images: `IndexedImages`, or None for a dataset with a smaller last batch, or of
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
    """The images and the order of a dataset of whole batches, for a loop that gathers by index.

    Args:
        images: Variable with all images `(n, height, width, channels)`, float32, or uint8 to be
            looked up in `lookup_table`.
        lookup_table: Float32 values `(256,)` that pixels of uint8 stand for, or None.
        labels: Labels int32 `(n,)`, or None.
        batch_size: Number of images in a batch.
        next_order: Function that begins an iteration, as an iterator of the dataset does when its
            first batch is drawn, and returns the int64 indices of the images in their order.
        num_batches: Number of batches in an iteration.
        mirror: Whether indices from n on stand for mirror images.
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
            checks: `InputChecks` of the GAN to be trained.

        Raises:
            ValueError: if they do not fit the GAN.
        """
        images = self.images[: self.batch_size].numpy()
        checks.check_images(
            images if self.lookup_table is None else self.lookup_table.numpy()[images]
        )
        if checks.num_classes is not None:
            checks.check_labels(self.labels, self.images.shape[0])

    @functools.cached_property
    def on_device(self) -> tuple[Any, ...]:
        """Images, lookup table and labels on the device that computes, copied if it is no CPU."""
        parts = (self.images.read_value(), self.lookup_table, self.labels)
        return tuple(None if part is None else tf.identity(part) for part in parts)

    def index_batches(self, steps: int) -> tf.data.Dataset:
        """Returns the batches of the dataset as indices of images, `steps` batches in an element.

        Elements are dicts: `indices`, int32 `(steps, batch_size)`, and `steps`, how many of these
        batches there are, which is less in the last element if they run out. If there are mirror
        images, `flips` says which of the images are to be flipped. The cardinality is the
        number of batches, since that is what Keras counts.
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
    """Elements of several batches each, whose cardinality is the number of batches."""

    def __init__(self, executions: tf.data.Dataset, num_batches: int) -> None:
        super().__init__(executions)
        self._num_batches = num_batches

    def cardinality(self) -> tf.Tensor:
        return tf.constant(self._num_batches, tf.int64)


def flip_images(images: Any, flips: Any) -> Any:
    """Flips the images `(n, h, w, c)` for which `flips` `(n,)` is True from left to right."""
    return tf.where(flips[:, None, None, None], tf.reverse(images, [2]), images)


def dataset_options() -> tf.data.Options:
    """Returns options without autotuning.

    Its thread sleeps ever longer, and the end of an iterator waits for it: an epoch of a second or
    more was seen to last up to twice as long with it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
