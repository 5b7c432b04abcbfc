"""Makes a `tf.data.Dataset` of images whose order depends only on the seed and the epoch."""

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fashion_gan.data.image_view import ImageView, fits_memory, iter_chunks

if TYPE_CHECKING:
    from fashion_gan.data.image_dataset import ImageDataset
    from fashion_gan.typing import Images, Labels

__all__ = ["make_dataset"]


def make_dataset(
    images: "Images",
    batch_size: int = 32,
    *,
    labels: "Labels | None" = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    shuffle: bool = True,
    seed: int = 42,
    drop_remainder: bool = True,
    steps_per_epoch: int | None = None,
    mirror: bool = False,
) -> "ImageDataset":
    """Returns a `tf.data.Dataset` of float32 batches `(batch_size, h, w, c)` for `fit()`.

    The order of an epoch is a permutation of all images that depends only on `seed` and the number
    of the epoch. With `steps_per_epoch`, an epoch is that many batches from the concatenated
    permutations. Each epoch continues where the previous epoch ended, and one batch may span two
    permutations. Hence all images are drawn equally often.

    Two int64 variables of the dataset control it. Datasets derived from it do not have them. An
    iteration reads the variables when its first batch is drawn, not when its iterator is created:

    - `dataset.epoch`, initially 0, is the number of the next epoch. Each iteration advances it by
      one. To resume at epoch k, call `dataset.epoch.assign(k)`. Within `fit()`, call it in
      `on_epoch_begin` or later, since under a strategy Keras draws a batch to build the model.
    - `dataset.skip_batches`, initially 0, is the number of blank batches at the start of the next
      iteration. They are zeros that are made without reading images. Set it to resume within an
      epoch. The number of batches stays the same. Each iteration resets it to 0.

    `dataset.indexed_images` is for compiled loops. It is None if the last batch may be smaller, or
    if the images are not in memory. The latter holds for a `numpy.memmap`, or an `ImageView` of
    one, of more than `image_view.MAX_IN_MEMORY` bytes. Each batch is then read from the file.

    Args:
        images: Array or `ImageView` `(n, h, w)` or `(n, h, w, c)`. uint8 images are stored as they
            are, and each batch is scaled to `low + (high - low) * (x / 255)`. Float images must
            already be in `value_range`.
        batch_size: Number of images in a batch. Defaults to 32.
        labels: Integers `(n,)`. With labels, batches are pairs of images and int32 labels. Defaults
            to None.
        value_range: Pair `(low, high)`. Range of the values in the batches. Defaults to (0, 1).
        shuffle: Whether to shuffle. False keeps the stored order. Defaults to True.
        seed: Seed of the order. Defaults to 42.
        drop_remainder: Whether to drop the last, smaller batch of each epoch. With
            `steps_per_epoch`, no batch is smaller. Defaults to True.
        steps_per_epoch: Number of batches in an epoch. Defaults to one pass over the images.
        mirror: Whether to add the mirror image of each image. Images n to 2n - 1 are images 0 to
            n - 1, flipped from left to right. Defaults to False.

    Raises:
        TypeError: If `batch_size` or `steps_per_epoch` is not an integer.
        ValueError: If an argument is invalid, or the images do not fill one batch.
    """
    import tensorflow as tf

    from fashion_gan.data.image_dataset import (
        ImageDataset,
        IndexedImages,
        dataset_options,
        flip_images,
    )
    from fashion_gan.data.image_order import ImageOrder

    low, high = value_range
    images = _check_images(images, low, high)
    labels = None if labels is None else _check_labels(labels, len(images))
    stored, *shape = images.shape
    if len(shape) == 2:
        shape.append(1)
    n = 2 * stored if mirror else stored
    batch_size = _check_positive("batch_size", batch_size)
    if steps_per_epoch is not None:
        num_batches = _check_positive("steps_per_epoch", steps_per_epoch)
        drop_remainder = True
    elif drop_remainder and batch_size > n:
        raise ValueError(
            f"{n} images are too few for a batch of {batch_size}. Lower batch_size, or pass "
            f"drop_remainder=False for one smaller batch."
        )
    else:
        num_batches = n // batch_size if drop_remainder else math.ceil(n / batch_size)
    scaled = images.dtype == np.uint8
    pixels = None
    on_disk: Any = images if isinstance(images, ImageView) else None

    with tf.device("CPU:0"):
        if isinstance(images, np.ndarray):
            # Each iterator would copy a captured constant, so the images are a variable.
            pixels = tf.Variable(images.reshape(-1, *shape), trainable=False, name="pixels")
        classes = None if labels is None else tf.constant(labels)
        # Not a constant: Grappler replaces x / 255 by x * (1 / 255), which rounds differently.
        peak = tf.constant(255.0)
    num_draws = None if steps_per_epoch is None else num_batches * batch_size
    orders = ImageOrder(n, seed if shuffle else None, num_draws)

    def read(rows: np.ndarray) -> np.ndarray:
        drawn: np.ndarray = on_disk[rows].reshape(-1, *shape)
        return drawn if scaled else drawn.astype(np.float32, copy=False)

    def gather(rows: Any) -> Any:
        if pixels is not None:
            # Gathering from a constant or the variable itself would copy all of them first.
            return tf.gather(pixels.read_value(), rows)
        drawn = tf.numpy_function(read, [rows], tf.uint8 if scaled else tf.float32)
        return tf.ensure_shape(drawn, [*rows.shape, *shape])

    def scale(x: Any) -> Any:
        return low + (high - low) * (tf.cast(x, tf.float32) / peak) if scaled else x

    def iteration(_: Any) -> Any:
        num_blank = tf.minimum(orders.skip_batches.read_value(), num_batches)
        order = orders.next()

        def batch(index: Any) -> Any:
            first = index * batch_size
            size = batch_size if drop_remainder else tf.minimum(n - first, batch_size)
            rows = tf.slice(order, [first], [size])
            if mirror:
                rows, flips = rows % stored, rows >= stored
            drawn = scale(gather(rows))
            if mirror:
                drawn = flip_images(drawn, flips)
            return drawn if classes is None else (drawn, tf.gather(classes, rows))

        nothing: Any = tf.zeros([batch_size, *shape])
        if classes is not None:
            nothing = nothing, tf.zeros([batch_size], tf.int32)
        blank = tf.data.Dataset.from_tensors(nothing).repeat(num_blank)
        drawn = tf.data.Dataset.range(num_blank, num_batches)
        return blank.concatenate(drawn.map(batch, num_parallel_calls=2))

    dataset = tf.data.Dataset.range(1).flat_map(iteration)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(2)
    options = dataset_options()  # each of several workers takes its rows of every batch
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    dataset = dataset.with_options(options)
    if not drop_remainder or pixels is None:
        return ImageDataset(dataset, orders.epoch, orders.skip_batches, None)
    with tf.device("CPU:0"):  # XLA would round the same formula differently
        lookup_table = scale(tf.range(256)) if scaled else None
    indexed_images = IndexedImages(
        pixels, lookup_table, classes, batch_size, orders, num_batches, mirror
    )
    return ImageDataset(dataset, orders.epoch, orders.skip_batches, indexed_images)


def _check_positive(name: str, value: Any) -> int:
    value = operator.index(value)
    if value < 1:
        raise ValueError(f"Expected a {name} of at least 1. Received: {name}={value}.")
    return value


def _check_labels(labels: "Labels", count: int) -> np.ndarray:
    labels = np.asarray(labels)
    shapes = ((count,), (count, 1))
    if labels.dtype.kind not in "iu" or labels.shape not in shapes or labels.min() < 0:
        raise ValueError(
            f"Expected an integer of at least 0 for each of {count} images. Received: labels of "
            f"dtype {labels.dtype} and shape {labels.shape}. For one-hot labels, pass "
            "labels.argmax(-1)."
        )
    return labels.reshape(-1).astype(np.int32)


def _check_images(images: "Images", low: float, high: float) -> np.ndarray | ImageView:
    """Returns an array of uint8 or float32, or a view of a file, with every value checked."""
    if isinstance(images, np.memmap):
        images = ImageView(images)
    if not isinstance(images, ImageView) or fits_memory(images):
        images = np.asarray(images)
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"Expected a value_range (low, high), low < high. Received: {(low, high)}."
        )
    if images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(
            f"Expected at least one image, as (n, h, w) or (n, h, w, c). "
            f"Received: shape={images.shape}."
        )
    if images.dtype != np.uint8:
        if images.dtype.kind != "f":
            raise ValueError(
                f"Expected images of uint8, or floating in value_range. "
                f"Received: dtype={images.dtype}. Convert them with astype."
            )
        bounds = [(chunk.min(), chunk.max()) for chunk in iter_chunks(images)]
        least, most = np.min(bounds), np.max(bounds)
        if np.isnan(least):
            raise ValueError("Expected images without NaN. Received: NaN among them.")
        if least < low or most > high:
            raise ValueError(
                f"Expected floating images in value_range={(low, high)}. Received: values from "
                f"{least} to {most}. Scale them, pass uint8, or name their value_range."
            )
        if isinstance(images, np.ndarray):
            images = images.astype(np.float32, copy=False)
    return images
