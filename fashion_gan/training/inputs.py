"""Checks the data of `fit()` and `evaluate()` while it is read.

Arrays are checked as a whole. From other sources, the first batch of each epoch is checked, and the
labels of every batch. The checks run where the batches are read, so no batch is lost or read twice.
"""

import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.data.image_dataset import ImageDataset
from fashion_gan.typing import Images, Labels

__all__ = ["NO_BATCH", "InputChecks", "as_labels", "check_shape"]

NO_BATCH = (
    "Expected at least one batch. Received: a dataset without any. With drop_remainder=True it "
    "needs at least batch_size images. Lower the batch size, or check how the images were read."
)


def as_labels(labels: Labels, count: int, num_classes: int | None = None) -> np.ndarray:
    """Returns labels as int32 `(count,)`.

    Args:
        labels: Integers `(count,)` or `(count, 1)`.
        count: Number of images.
        num_classes: Number of classes. Defaults to None, which only checks that no label is
            negative.

    Raises:
        ValueError: If the dtype, the shape or a label is invalid.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"Expected labels as an integer for each of {count} images. Received: labels of dtype "
            f"{array.dtype} and shape {array.shape}. For one-hot labels, pass labels.argmax(-1)."
        )
    high = np.inf if num_classes is None else num_classes - 1
    if array.size and (array.min() < 0 or array.max() > high):
        expected = "labels of at least 0" if num_classes is None else f"labels from 0 to {high}"
        raise ValueError(
            f"Expected {expected}. Received: labels from {array.min()} to {array.max()}."
        )
    return array.reshape(-1).astype("int32")


class InputChecks:
    """Checks the data of one call of `fit()` or `evaluate()`.

    Args:
        image_shape: Shape of the generator's images.
        value_range: Range `(low, high)` of the images.
        num_classes: Number of classes, or None for unconditional networks.
        check_size: Function of a batch size that raises ValueError if a step cannot divide the
            batch. Defaults to no check.
        multiple: Number that must divide the sizes of batches. Defaults to 1.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        value_range: tuple[float, float],
        num_classes: int | None,
        check_size: Callable[[int], None] = lambda size: None,
        multiple: int = 1,
    ) -> None:
        self.image_shape = image_shape
        self.value_range = value_range
        self.num_classes = num_classes
        self.check_size = check_size
        self.multiple = multiple
        self._error: BaseException | None = None
        self._warned = False

    def wrap(self, x: Any, y: Any = None, batch_size: int | None = None) -> Any:
        """Checks arrays and specs, and returns `x` with checks of the batches added.

        Args:
            x: Images, or a dataset, generator or `PyDataset` of batches.
            y: Labels of an array of images. Defaults to None.
            batch_size: Number of images in a batch of arrays. Defaults to 32.

        Raises:
            ValueError: If the networks cannot be trained on the data. The message suggests a fix.
        """
        if isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset):
            return self._wrap_dataset(x)
        if isinstance(x, types.GeneratorType):
            return self._wrap_generator(x)
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedPyDataset(x, self)
        if isinstance(x, list | tuple | dict) or x is None:
            raise ValueError(
                f"Expected images as one array or dataset. Received: {_describe(x)}. Pass the "
                "array itself, or fit(images, labels) for conditional networks."
            )
        if hasattr(x, "shape"):
            self.check_images(x)
            if self.num_classes is not None:
                self.check_labels(y, len(x))
            for size in {min(batch_size or 32, len(x)), len(x) % (batch_size or 32)} - {0}:
                self.check_size(size)
        elif hasattr(x, "__iter__"):  # a DataLoader, which Keras iterates again for each epoch
            self.check_batch(*self._unpack(next(iter(x))))
        return x

    def wrap_validation(self, data: Any, batch_size: int | None = None) -> Any:
        """Checks validation data in one of the forms that Keras supports, see `wrap`."""
        if not isinstance(data, tuple | list):
            return None if data is None else self.wrap(data, None, batch_size)
        if not 1 <= len(data) <= 2:
            raise ValueError(
                "Expected validation_data as images or (images, labels), without weights. "
                f"Received: {_describe(data)}. Omit the weights."
            )
        images, labels = (*data, None)[:2]
        return (self.wrap(images, labels, batch_size), *data[1:])

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raises the original error of a check in place of TensorFlow's error for it."""
        try:
            yield
        except Exception as error:
            if self._error is None or error is self._error:
                raise
            raise self._error from None

    def check_batch(self, images: Images, labels: Labels | None = None, first: bool = True) -> None:
        """Checks the size, shape and labels of a batch, and the values of a first batch.

        Args:
            images: Images of the batch.
            labels: Labels of the images. Defaults to None.
            first: Whether this is the first batch of an epoch. Defaults to True.

        Raises:
            ValueError: If the batch does not fit the networks.
        """
        self.check_size(len(images))
        check_shape(images.shape[1:], self.image_shape)
        if first:
            self.check_images(images)
        if self.num_classes is not None:
            self.check_labels(labels, len(images))

    def check_labels(self, labels: Labels, count: int) -> None:
        """Raises ValueError unless each image has a label of one of the classes."""
        if labels is None:
            raise ValueError(
                "Expected an integer label for each image, since the networks are conditional. "
                "Received: no labels. Pass fit(images, labels), or a dataset of such pairs."
            )
        as_labels(_to_numpy(labels), count, self.num_classes)

    def check_images(self, images: Images) -> None:
        """Raises ValueError unless images have the generator's shape, dtype and range."""
        shape = tuple(images.shape)
        if shape and shape[0] == 0:
            raise ValueError(
                f"Expected at least one image. Received: an array of shape {shape}. Check how the "
                "images were read."
            )
        check_shape(shape[1:], self.image_shape)
        array = _to_numpy(images)
        check_dtype(array.dtype)
        self._check_range(array)

    def _check_range(self, images: np.ndarray) -> None:
        low, high = float(images.min()), float(images.max())
        expected_low, expected_high = self.value_range
        margin = 1e-3 * (expected_high - expected_low)
        if not (expected_low - margin <= low and high <= expected_high + margin):
            raise ValueError(
                f"Expected images in [{expected_low:g}, {expected_high:g}], the generator's range. "
                f"Received: {images.dtype} in [{low:g}, {high:g}]. Scale the images, for instance "
                "with data.make_dataset(images, value_range=gan.value_range)."
            )
        middle = (expected_low + expected_high) / 2
        if (low >= middle or high <= middle) and not self._warned:
            self._warned = True
            warnings.warn(
                f"The generator makes images in [{expected_low:g}, {expected_high:g}], but the "
                f"first images only fill [{low:g}, {high:g}]. Scale them to the range, unless they "
                "cover only a part of it.",
                stacklevel=2,
            )

    def _unpack(self, batch: Any) -> tuple[Any, Any]:
        if isinstance(batch, dict | list) or (isinstance(batch, tuple) and not 1 <= len(batch) < 4):
            raise ValueError(_structure_error(batch))
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if not hasattr(images, "shape"):
            raise ValueError(_structure_error(batch))
        return images, labels

    def _guard(self, first: Any, images: Images, labels: Labels | None = None) -> bool:
        """Runs `check_batch` in a thread of a data pipeline, and stores its error."""
        try:
            self.check_batch(images, labels, bool(first))
        except BaseException as error:
            self._error = error
            raise
        return True

    def _wrap_generator(self, batches: Iterator[Any]) -> Iterator[Any]:
        first = True
        for batch in batches:
            self._guard(first, *self._unpack(batch))
            first = False
            yield batch if isinstance(batch, tuple) else (batch,)

    def _wrap_dataset(self, dataset: Any) -> Any:
        spec = dataset.element_spec
        if isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) == 0:
            raise ValueError(NO_BATCH)
        images, labels = self._unpack(spec)
        self._check_spec(images, labels)
        if isinstance(dataset, ImageDataset) and dataset.indexed_images is not None:
            dataset.indexed_images.check(self)
            return dataset
        if isinstance(dataset, tf.distribute.DistributedDataset):
            return dataset

        def check(first: Any, batch: Any) -> Any:
            images, labels = self._unpack(batch)
            arrays, due = [first, images], first
            if self.multiple > 1:
                due |= tf.shape(images)[0] % self.multiple != 0
            if self.num_classes is not None:
                arrays.append(labels)
                wrong = (labels < 0) | (labels >= tf.cast(self.num_classes, labels.dtype))
                due |= tf.reduce_any(wrong)
            if images.shape.rank is None or None in images.shape[1:]:
                due = tf.constant(True)
            passed = tf.cond(
                due,
                lambda: tf.numpy_function(self._guard, arrays, tf.bool),
                lambda: tf.constant(True),
            )
            with tf.control_dependencies([passed]):
                known = self._with_known_shape(images)
                if not isinstance(batch, tuple):
                    return tf.constant(False), known
                rest = tf.nest.map_structure(tf.identity, batch[1:])
                return tf.constant(False), (known, *rest)

        return dataset.scan(tf.constant(True), check)

    def _check_spec(self, images: Images, labels: Labels) -> None:
        """Raises ValueError if the type or shape of a dataset's batches is invalid."""
        if not isinstance(images, tf.TensorSpec):
            raise ValueError(
                f"Expected batches of dense images. Received: {type(images).__name__}. Call "
                "dataset.map(lambda images: images.to_tensor()), for instance."
            )
        check_dtype(images.dtype)
        if self.num_classes is not None:
            if labels is None:
                self.check_labels(None, 0)
            if not (isinstance(labels, tf.TensorSpec) and _is_number(labels.dtype)):
                raise ValueError(
                    "Expected an integer label for each image. Received: labels as "
                    f"{_describe(labels)}. Map them to integers."
                )
        shape = images.shape
        if shape.rank is None:
            return
        if tuple(shape) in (self.image_shape, self.image_shape[:2]):
            raise ValueError(
                f"Expected batches of images of shape {self.image_shape}. Received: elements of "
                f"shape {tuple(shape)}, which are single images. Call dataset.batch(32)."
            )
        if None not in shape[1:]:
            check_shape(shape[1:], self.image_shape)

    def _with_known_shape(self, images: Images) -> Any:
        """Returns the images of a batch with a static shape, which decoders do not set."""
        rank = images.shape.rank
        if rank is not None and None not in images.shape[1:]:
            return tf.identity(images)
        full = (None, *self.image_shape)
        return tf.ensure_shape(images, full if rank is None else (*full, 1)[:rank])


class _CheckedPyDataset(keras.utils.PyDataset):
    """Yields the batches of another `PyDataset` after checks."""

    def __init__(self, dataset: keras.utils.PyDataset, checks: InputChecks) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self._checks = checks
        self._first = True

    @property
    def num_batches(self) -> int | None:
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        batch = self._dataset[index]
        self._checks._guard(self._first, *self._checks._unpack(batch))
        self._first = False
        return batch

    def on_epoch_begin(self) -> None:
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()


def check_dtype(dtype: Any) -> None:
    """Raises ValueError unless images are floats or integers."""
    dtype = tf.as_dtype(dtype)
    if not _is_number(dtype):
        raise ValueError(
            f"Expected images of floats or integers. Received: images of dtype {dtype.name}. "
            "Convert them to float32."
        )


def check_shape(shape: Any, expected: tuple[int, ...]) -> None:
    """Raises ValueError for images of another shape. A channels axis of 1 is optional."""
    shape = tuple(shape)
    if shape not in (expected, (*expected, 1)) and (*shape, 1) != expected:
        raise ValueError(
            f"Expected images of shape {expected}. Received: images of shape {shape}. Resize the "
            f"images, or build the networks with image_shape={shape}."
        )


def _is_number(dtype: tf.DType) -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def _to_numpy(array: Any) -> np.ndarray:
    return np.asarray(array.numpy() if hasattr(array, "numpy") else array)


def _describe(x: Any) -> str:
    if isinstance(x, dict):
        return f"a dict with the keys {list(x)}"
    if isinstance(x, list | tuple):
        return f"a {type(x).__name__} of {len(x)}"
    return repr(x)


def _structure_error(batch: Any) -> str:
    hint = "Map them"
    if isinstance(batch, dict):
        image, *label = [f'batch["{key}"]' for key in batch][:2]
        pair = f"({image}, {label[0]})" if label else image
        hint = f"Call dataset.map(lambda batch: {pair})"
    return (
        "Expected batches of images, or of pairs (images, labels). Received: batches that are "
        f"{_describe(batch)}. {hint}, so that each batch is an array of images or such a pair."
    )
