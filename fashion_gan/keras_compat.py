"""Wraps each private attribute of Keras and TensorFlow that the package uses in one function.

| attribute | used by | last seen in |
|---|---|---|
| `Layer._flatten_layers` | `iter_layers` | Keras 3.15.1 |
| `Layer._tracker` | `untrack` | Keras 3.15.1 |
| `saving_lib._save_model_to_fileobj` | `write_model` | Keras 3.15.1 |
| `saving_lib._load_model_from_fileobj` | `read_model` | Keras 3.15.1 |
| `saving_lib._save_state`, `H5IOStore` | `write_weights` | Keras 3.15.1 |
| `saving_lib._load_state`, `_raise_loading_failure` | `read_weights` | Keras 3.15.1 |
| `Trainer._initial_epoch` | `set_initial_epoch` | Keras 3.15.1 |
| `Optimizer._trainable_variables` | `optimized_variables` | Keras 3.15.1 |
| `TensorBoard._global_train_batch` | `set_tensorboard_batch` | Keras 3.15.1 |
| `TensorBoard._train_writer` | `tensorboard_train_writer` | Keras 3.15.1 |
| `tensor._keras_logits` | `sigmoid_logits` | Keras 3.15.1 |
| `Dataset._inputs`, `_variant_tensor` | `DatasetWrapper` | TensorFlow 2.21.0 |
| `tf.__internal__.EagerTensor` | `is_eager` | TensorFlow 2.21.0 |
| `config.is_op_determinism_enabled` | `is_op_determinism_enabled` | TensorFlow 2.21.0 |

`tests/test_keras_compat.py` lists the attributes that a new version lacks.
"""

import io
from collections.abc import Iterator
from typing import Any

from fashion_gan.runtime import check_backend

check_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras.src.saving import saving_lib  # noqa: E402
from tensorflow.python.framework import config  # noqa: E402

__all__ = [
    "DatasetWrapper",
    "is_eager",
    "is_op_determinism_enabled",
    "iter_layers",
    "optimized_variables",
    "read_model",
    "read_weights",
    "set_initial_epoch",
    "set_tensorboard_batch",
    "sigmoid_logits",
    "tensorboard_train_writer",
    "untrack",
    "write_model",
    "write_weights",
]


def iter_layers(network: keras.Layer) -> Iterator[keras.Layer]:
    """Yields a network and all its nested layers, each once."""
    yield from network._flatten_layers()


def untrack(owner: keras.Layer, value: Any) -> None:
    """Stops a layer or model from tracking a layer that was assigned to one of its attributes."""
    owner._tracker.untrack(value)


def write_model(model: keras.Model, file: io.BytesIO) -> None:
    """Writes a `.keras` file to memory, with the content that `model.save()` writes."""
    saving_lib._save_model_to_fileobj(model, file, "h5")


def read_model(file: io.BytesIO, safe_mode: bool = True) -> keras.Model:
    """Loads a `.keras` file in memory, as `keras.saving.load_model` loads a file."""
    return saving_lib._load_model_from_fileobj(file, None, True, safe_mode)


def write_weights(model: keras.Model, file: io.BytesIO) -> None:
    """Writes a `.weights.h5` file to memory, with the content that `model.save_weights()` writes.

    HDF5 writes parts of a file when it closes it, and ends the process if the disk is then full.
    """
    store = saving_lib.H5IOStore(file, mode="w")
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    store.close()


def read_weights(model: keras.Model, file: io.BytesIO) -> None:
    """Loads the weights of a `.weights.h5` file in memory, as `model.load_weights()` does."""
    store = saving_lib.H5IOStore(file, mode="r")
    failed: set[int] = set()
    errors: dict[Any, Any] = {}
    try:
        saving_lib._load_state(
            model,
            weights_store=store,
            assets_store=None,
            inner_path="",
            visited_saveables=set(),
            failed_saveables=failed,
            error_msgs=errors,
        )
    finally:
        store.close()
    if failed:
        saving_lib._raise_loading_failure(errors)


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Sets or clears the first epoch of `fit()`, which Keras never clears itself."""
    model._initial_epoch = epoch


def optimized_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the variables that an optimizer was built for."""
    return list(optimizer._trainable_variables)


def set_tensorboard_batch(callback: keras.callbacks.TensorBoard, batch: int) -> None:
    """Sets the number of batches at which Keras' callback writes next."""
    callback._global_train_batch = batch


def tensorboard_train_writer(callback: keras.callbacks.TensorBoard) -> tf.summary.SummaryWriter:
    """Returns the writer of the events of training."""
    return callback._train_writer


class DatasetWrapper(tf.data.Dataset):
    """Yields the elements of another dataset; a base class for datasets with more attributes.

    Args:
        dataset: Dataset that yields the elements.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._wrapped = dataset
        super().__init__(dataset._variant_tensor)

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._wrapped]

    @property
    def element_spec(self) -> Any:
        """Returns the type of an element."""
        return self._wrapped.element_spec


def is_eager(value: Any) -> bool:
    """Returns whether a value is an eager tensor, as opposed to a tensor of a graph."""
    return isinstance(value, tf.__internal__.EagerTensor)


def sigmoid_logits(tensor: Any) -> Any:
    """Returns the logits that Keras' sigmoid stored on its output, or None."""
    return getattr(tensor, "_keras_logits", None)


def is_op_determinism_enabled() -> bool:
    """Returns whether `tf.config.experimental.enable_op_determinism` was called."""
    return bool(config.is_op_determinism_enabled())
