"""Images as a `tf.data.Dataset` whose order is a function of the seed and the epoch alone."""

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

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
) -> "ImageDataset":
    """Returns a `tf.data.Dataset` of float32 batches `(batch_size, h, w, c)` for `fit()`.

    The order of an epoch is a permutation of all images that depends on `seed` and the number of
    the epoch alone. Two int64 variables of the dataset (not of datasets derived from it) steer it;
    an iteration reads them when its first batch is drawn, not when its iterator is made:

    - `dataset.epoch`, at first 0, is the epoch whose order comes next; reading advances it by one.
      To resume at epoch k, `dataset.epoch.assign(k)`, in `fit()` no earlier than
      `on_epoch_begin`: under a strategy, Keras draws a batch before to build the model.
    - `dataset.skip_batches`, at first 0, is the number of batches of the next iteration that are
      blank (zeros, made without touching the images), to resume within an epoch and skip them.
      The number of batches stays the same. Reading sets it back to 0.

    `dataset.indexed_images` is for compiled loops; it is None with `drop_remainder=False`.

    Args:
        images: `(n, h, w)` or `(n, h, w, c)`. uint8 is kept as it is and each batch is scaled to
            `low + (high - low) * (x / 255)`; floating images must already be in `value_range`.
        batch_size: images in a batch.
        labels: integers `(n,)`; batches are then pairs of images and int32 labels.
        value_range: `(low, high)` of the batches.
        shuffle: False gives the stored order.
        seed: of the order.
        drop_remainder: leave out the last, smaller batch of each epoch.

    Raises:
        TypeError: batch_size is no integer.
        ValueError: an argument is not as described, or the images do not fill one batch.
    """
    import tensorflow as tf

    from fashion_gan.data.image_dataset import ImageDataset, IndexedImages, dataset_options

    low, high = value_range
    images = _check_images(images, low, high)
    labels = None if labels is None else _check_labels(labels, len(images))
    n, *shape = images.shape
    batch_size = operator.index(batch_size)
    if batch_size < 1:
        raise ValueError(f"Expected a batch_size of at least 1. Received: batch_size={batch_size}.")
    if drop_remainder and batch_size > n:
        raise ValueError(
            f"{n} images make no batch of {batch_size}. Lower batch_size, or pass "
            f"drop_remainder=False for one smaller batch."
        )
    scaled = images.dtype == np.uint8
    num_batches = n // batch_size if drop_remainder else math.ceil(n / batch_size)

    with tf.device("CPU:0"):
        # A variable, since each iterator would copy a constant that its dataset captures.
        pixels = tf.Variable(images, trainable=False, name="pixels")
        classes = None if labels is None else tf.constant(labels)
        # Not the constant 255: Grappler replaces x / 255 by x * (1 / 255), which rounds otherwise.
        peak = tf.constant(255.0)
        epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        skip = tf.Variable(0, dtype=tf.int64, trainable=False, name="skip_batches")

    def next_order() -> Any:
        order = tf.range(n, dtype=tf.int64)
        if shuffle:
            key = tf.stack([tf.constant(seed, tf.int64), epoch.read_value()])
            order = tf.random.experimental.stateless_shuffle(order, seed=key, alg="philox")
        epoch.assign_add(1)
        skip.assign(0)
        return order

    def scale(x: Any) -> Any:
        return low + (high - low) * (tf.cast(x, tf.float32) / peak) if scaled else x

    def iteration(_: Any) -> Any:
        num_blank = tf.minimum(skip.read_value(), num_batches)
        order = next_order()

        def batch(index: Any) -> Any:
            first = index * batch_size
            size = batch_size if drop_remainder else tf.minimum(n - first, batch_size)
            chosen = tf.slice(order, [first], [size])
            # Gathering from a constant or from the variable itself would copy all of them first.
            drawn = scale(tf.gather(pixels.read_value(), chosen))
            return drawn if classes is None else (drawn, tf.gather(classes, chosen))

        nothing: Any = tf.zeros([batch_size, *shape])
        if classes is not None:
            nothing = nothing, tf.zeros([batch_size], tf.int32)
        blank = tf.data.Dataset.from_tensors(nothing).repeat(num_blank)
        drawn = tf.data.Dataset.range(num_blank, num_batches)
        return blank.concatenate(drawn.map(batch, num_parallel_calls=2))

    dataset = tf.data.Dataset.range(1).flat_map(iteration)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(2)
    options = dataset_options()  # of several workers, each takes its rows of every batch
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    dataset = dataset.with_options(options)
    if not drop_remainder:
        return ImageDataset(dataset, epoch, skip, None)
    with tf.device("CPU:0"):  # here, since XLA would round the same formula otherwise
        lookup_table = scale(tf.range(256)) if scaled else None
    indexed_images = IndexedImages(pixels, lookup_table, classes, batch_size, next_order)
    return ImageDataset(dataset, epoch, skip, indexed_images)


def _check_labels(labels: "Labels", count: int) -> np.ndarray:
    labels = np.asarray(labels)
    shapes = ((count,), (count, 1))
    if labels.dtype.kind not in "iu" or labels.shape not in shapes or labels.min() < 0:
        raise ValueError(
            f"Expected an integer of at least 0 for each of {count} images, of one-hot labels the "
            "argmax. "
            f"Received: labels of dtype {labels.dtype} and shape {labels.shape}."
        )
    return labels.reshape(-1).astype(np.int32)


def _check_images(images: "Images", low: float, high: float) -> np.ndarray:
    """`images` as uint8 or float32 `(n, h, w, c)`, with every value checked against the range."""
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
        least, most = images.min(), images.max()
        if np.isnan(least):
            raise ValueError("Expected images without NaN. Received: NaN among them.")
        if least < low or most > high:
            raise ValueError(
                f"Expected floating images in value_range={(low, high)}. Received: values from "
                f"{least} to {most}. Scale them, pass uint8, or name their value_range."
            )
        images = images.astype(np.float32, copy=False)
    return images[..., np.newaxis] if images.ndim == 3 else images
