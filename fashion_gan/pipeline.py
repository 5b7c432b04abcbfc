"""Images as a `tf.data.Dataset` whose order is a function of the seed and the epoch alone."""

import functools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Source", "make_dataset"]


class Source:
    """What a dataset of whole batches is made of, for a consumer that picks the images itself.

    Args:
        images: all of them in a variable, as they are kept: float32, or uint8 and then to be
            looked up in `shades`.
        shades: the 256 values that pixels of uint8 stand for, or None.
        labels: int32 `(n,)`, or None.
        batch_size: images in a batch.
        order: begins an iteration, as an iterator of the dataset does when its first batch is
            drawn, and returns the int64 indices of the images in their order.
    """

    def __init__(
        self, images: Any, shades: Any, labels: Any, batch_size: int, order: Callable[[], Any]
    ) -> None:
        self.images = images
        self.shades = shades
        self.labels = labels
        self.batch_size = batch_size
        self.order = order

    def check(self, checks: Any) -> None:
        """Checks the first batch in the stored order, and all labels.

        Args:
            checks: `InputChecks` of the GAN to be trained.

        Raises:
            ValueError: if they do not fit the GAN.
        """
        images = self.images[: self.batch_size].numpy()
        checks.check_images(images if self.shades is None else self.shades.numpy()[images])
        if checks.num_classes is not None:
            checks.check_labels(self.labels, self.images.shape[0])

    @functools.cached_property
    def resident(self) -> tuple[Any, ...]:
        """Images, shades and labels where TensorFlow computes; if not the CPU, copied there."""
        import tensorflow as tf

        parts = (self.images.read_value(), self.shades, self.labels)
        return tuple(None if part is None else tf.identity(part) for part in parts)

    def executions(self, steps: int) -> "tf.data.Dataset":
        """The dataset's batches as indices of images, `steps` batches in an element.

        Elements are dicts: `indices`, int32 `(steps, batch_size)`, and `steps`, how many of these
        batches there are, which is less in the last element if they run out. The cardinality is the
        number of batches, since that is what Keras counts.
        """
        import tensorflow as tf

        num_batches = self.images.shape[0] // self.batch_size
        firsts = range(0, num_batches, steps)
        counts = [min(steps, num_batches - first) for first in firsts]
        used = num_batches * self.batch_size
        padding = len(firsts) * steps * self.batch_size - used

        def iteration(_: Any) -> Any:
            indices = tf.pad(tf.cast(self.order()[:used], tf.int32), [[0, padding]])
            indices = tf.reshape(indices, (len(firsts), steps, self.batch_size))
            return tf.data.Dataset.from_tensor_slices({"indices": indices, "steps": counts})

        dataset = tf.data.Dataset.range(1).flat_map(iteration).with_options(_options())
        dataset.cardinality = lambda: tf.constant(num_batches, tf.int64)
        return dataset


def make_dataset(
    images: Any,
    batch_size: int = 32,
    *,
    labels: Any = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    shuffle: bool = True,
    seed: int = 42,
    drop_remainder: bool = True,
) -> "tf.data.Dataset":
    """A `tf.data.Dataset` of float32 batches `(batch_size, h, w, c)` for `fit()`.

    The order of an epoch is a permutation of all images that depends on `seed` and the number of
    the epoch alone. Two int64 variables on the dataset (not on datasets derived from it) steer it;
    an iteration reads them when its first batch is drawn, not when its iterator is made:

    - `dataset.epoch`, at first 0, is the epoch whose order comes next; reading advances it by one.
      To resume at epoch k, `dataset.epoch.assign(k)`, in `fit()` no earlier than
      `on_epoch_begin`: under a strategy, Keras draws a batch before to build the model.
    - `dataset.start`, at first 0: so many batches of the next iteration are blank (zeros, made
      without touching the images), for a consumer that resumes within an epoch and skips them.
      The number of batches stays the same. Reading sets it back to 0.

    `dataset.source`, a `Source` or None, is there for whole batches only: without a remainder.

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
        start = tf.Variable(0, dtype=tf.int64, trainable=False, name="start")

    def next_order() -> Any:
        order = tf.range(n, dtype=tf.int64)
        if shuffle:
            key = tf.stack([tf.constant(seed, tf.int64), epoch.read_value()])
            order = tf.random.experimental.stateless_shuffle(order, seed=key, alg="philox")
        epoch.assign_add(1)
        start.assign(0)
        return order

    def scale(x: Any) -> Any:
        return low + (high - low) * (tf.cast(x, tf.float32) / peak) if scaled else x

    def iteration(_: Any) -> Any:
        num_blank = tf.minimum(start.read_value(), num_batches)
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
    options = _options()  # of several workers, each takes its rows of every batch
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    dataset = dataset.with_options(options)
    dataset.epoch, dataset.start = epoch, start
    with tf.device("CPU:0"):  # here, since XLA would round the same formula otherwise
        shades = scale(tf.range(256)) if scaled else None
    source = Source(pixels, shades, classes, batch_size, next_order)
    dataset.source = source if drop_remainder else None
    return dataset


def _options() -> Any:
    """Without autotuning: its thread sleeps ever longer, and the end of an iterator waits for it.

    An epoch of a second or more was then seen to last up to twice as long.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _check_labels(labels: Any, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    shapes = ((count,), (count, 1))
    if labels.dtype.kind not in "iu" or labels.shape not in shapes or labels.min() < 0:
        raise ValueError(
            f"Expected an integer of at least 0 for each of {count} images, of one-hot labels the "
            "argmax. "
            f"Received: labels of dtype {labels.dtype} and shape {labels.shape}."
        )
    return labels.reshape(-1).astype(np.int32)


def _check_images(images: Any, low: float, high: float) -> np.ndarray:
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
