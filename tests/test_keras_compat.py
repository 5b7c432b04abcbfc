"""Tests that each private attribute exists and that only `keras_compat` uses it."""

import ast

import keras
import pytest
import tensorflow as tf
from helpers import ROOT

from fashion_gan import keras_compat

ATTRIBUTES = {
    "_flatten_layers": lambda: keras.layers.Dense(1),
    "_tracker": lambda: keras.layers.Dense(1),
    "_initial_epoch": lambda: fitted_model(),
    "_trainable_variables": lambda: keras.optimizers.Adam(),
    "_global_train_batch": lambda: tensorboard(),
    "_train_writer": lambda: tensorboard(),
    "_keras_logits": lambda: keras.activations.sigmoid(tf.constant([1.0])),
    "_inputs": lambda: tf.data.Dataset.range(1),
    "_variant_tensor": lambda: tf.data.Dataset.range(1),
}


def fitted_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", jit_compile=False)
    model.fit(tf.zeros((1, 1)), tf.zeros((1, 1)), verbose=0)
    return model


def tensorboard():
    callback = keras.callbacks.TensorBoard("unused")
    callback.set_model(fitted_model())
    return callback


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_private_attribute_exists_in_this_version(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hasattr(ATTRIBUTES[name](), name), (
        f"Keras {keras.__version__} or TensorFlow {tf.__version__} has no {name}. "
        "Adapt fashion_gan/keras_compat.py."
    )


def test_keras_compat_table_lists_every_attribute_that_is_checked():
    for name in ATTRIBUTES:
        assert f"{name}`" in keras_compat.__doc__, name


def test_keras_compat_is_the_only_module_that_uses_private_attributes():
    found = {}
    for folder in ("fashion_gan", "callbacks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.is_relative_to(ROOT / "fashion_gan/callbacks") or path.stem == "keras_compat":
                continue
            tree = ast.parse(path.read_text())
            private = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            if used := private & set(ATTRIBUTES):
                found[path.name] = used
            modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            assert not any(m.startswith(("tensorflow.python", "keras.src")) for m in modules), path
    assert found == {}


def test_untracked_layer_is_not_part_of_the_model():
    model = keras.Model()
    model.extra = keras.layers.Dense(1)
    assert model.extra in list(keras_compat.iter_layers(model))
    keras_compat.untrack(model, model.extra)
    assert model.extra not in list(keras_compat.iter_layers(model))


def test_optimized_variables_equal_those_of_build():
    variables = [keras.Variable(0.0), keras.Variable(1.0)]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    assert [id(v) for v in keras_compat.optimized_variables(optimizer)] == [*map(id, variables)]


def test_dataset_wrapper_yields_the_elements_of_its_dataset():
    wrapper = keras_compat.DatasetWrapper(tf.data.Dataset.range(3).batch(2))
    assert isinstance(wrapper, tf.data.Dataset)
    assert [part.tolist() for part in wrapper.as_numpy_iterator()] == [[0, 1], [2]]
    assert wrapper.element_spec == tf.TensorSpec((None,), tf.int64)
