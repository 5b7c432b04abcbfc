"""Tests the introspection of networks with every final operation of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from fashion_gan import GAN
from fashion_gan.models import introspection

IMAGES = keras.Input((4, 4, 1))
LATENTS = keras.Input((3,))


class Subclassed(keras.Model):
    """Applies a function to one number, in a bare `call`."""

    def __init__(self, function, units=1):
        super().__init__()
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(units)
        self.function = function

    def call(self, x):
        return self.function(self.dense(self.flatten(x)))


class Opaque(Subclassed):
    """Applies the function within TensorFlow, which hides its operations."""

    @tf.function
    def call(self, x):
        return self.function(self.dense(self.flatten(x)))


class SigmoidDense(layers.Dense):
    """Ends in a sigmoid without an attribute that says so."""

    def call(self, x):
        return ops.sigmoid(super().call(x))


class Swish(layers.Layer):
    def call(self, x):
        return x * ops.sigmoid(x)


def after_dense(function):
    """Returns a functional discriminator that ends in a function of one number."""
    return keras.Model(IMAGES, function(layers.Dense(1)(layers.Flatten()(IMAGES))))


def sequential(*last):
    return keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), *last])


def in_half_precision():
    network = sequential(layers.Dense(1, activation="sigmoid", dtype="mixed_float16"))
    return keras.Sequential([layers.Input((4, 4, 1)), network])


def patches(*last):
    return keras.Sequential([layers.Input((4, 4, 1)), layers.Conv2D(1, 3, padding="same"), *last])


SIGMOIDS = {
    "string": lambda: sequential(layers.Dense(1, activation="sigmoid")),
    "function": lambda: sequential(layers.Dense(1, activation=keras.activations.sigmoid)),
    "operation": lambda: sequential(layers.Dense(1, activation=ops.sigmoid)),
    "class": lambda: sequential(layers.Dense(1, activation=layers.Activation("sigmoid"))),
    "lambda": lambda: sequential(layers.Dense(1, activation=lambda x: tf.sigmoid(x))),
    "activation layer": lambda: sequential(layers.Dense(1), layers.Activation("sigmoid")),
    "functional ops": lambda: after_dense(ops.sigmoid),
    "functional activation": lambda: after_dense(keras.activations.sigmoid),
    "Lambda": lambda: after_dense(layers.Lambda(lambda x: ops.sigmoid(x))),
    "own layer": lambda: sequential(SigmoidDense(1)),
    "wrapper": lambda: sequential(
        layers.SpectralNormalization(layers.Dense(1, activation="sigmoid"))
    ),
    "nested": lambda: sequential(
        keras.Sequential([layers.Input((16,)), layers.Dense(1, activation="sigmoid")])
    ),
    "flattened": lambda: sequential(layers.Dense(1, activation="sigmoid"), layers.Flatten()),
    "reshaped": lambda: sequential(layers.Dense(1, activation="sigmoid"), layers.Reshape((1,))),
    "convolution": lambda: sequential(
        layers.Reshape((4, 4, 1)), layers.Conv2D(1, 4, activation="sigmoid"), layers.Flatten()
    ),
    "subclass": lambda: Subclassed(ops.sigmoid),
    "half precision": in_half_precision,
}
CONFINED = {
    "hard sigmoid": lambda: sequential(layers.Dense(1, activation="hard_sigmoid")),
    "softmax of one": lambda: after_dense(
        lambda x: ops.softmax(ops.concatenate([x, -x], axis=1))[:, :1]
    ),
    "clip": lambda: after_dense(lambda x: ops.clip(x, 0, 1)),
    "own formula": lambda: after_dense(lambda x: 1 / (1 + ops.exp(-x))),
    "scaled tanh": lambda: after_dense(lambda x: ops.tanh(x) / 2 + 0.5),
    "one minus sigmoid": lambda: after_dense(lambda x: 1 - ops.sigmoid(x)),
    "sigmoid, dropout": lambda: sequential(
        layers.Dense(1, activation="sigmoid"), layers.Dropout(0.1)
    ),
    "pooled sigmoids": lambda: patches(
        layers.Activation("sigmoid"), layers.GlobalAveragePooling2D()
    ),
    "subclass": lambda: Subclassed(keras.activations.hard_sigmoid),
}
LOGITS = {
    "linear": lambda: sequential(layers.Dense(1)),
    "relu": lambda: sequential(layers.Dense(1, activation="relu")),
    "leaky": lambda: sequential(layers.Dense(1), layers.LeakyReLU()),
    "swish": lambda: sequential(layers.Dense(1), Swish()),
    "inner sigmoid": lambda: sequential(layers.Dense(8, activation="sigmoid"), layers.Dense(1)),
    "sigmoid, batch norm": lambda: sequential(
        layers.Dense(1, activation="sigmoid"), layers.BatchNormalization()
    ),
    "capped": lambda: after_dense(lambda x: 30 * ops.tanh(x / 30)),
    "pooled patches": lambda: patches(layers.GlobalAveragePooling2D()),
    "subclass": lambda: Subclassed(lambda x: x),
    "opaque": lambda: Opaque(lambda x: x),
}


@pytest.mark.parametrize("end", SIGMOIDS)
def test_ends_in_sigmoid_finds_every_form_of_a_sigmoid(end):
    network = SIGMOIDS[end]()
    network(IMAGES)
    assert introspection.ends_in_sigmoid(network, IMAGES)
    logits = introspection.logits_function(network, IMAGES)
    images = 10 * np.random.default_rng(0).standard_normal((6, 4, 4, 1)).astype("float32")

    @tf.function
    def in_graph(x):
        return logits(x, training=False)

    values = np.asarray(in_graph(tf.constant(images)), "float64")
    assert values.shape == (6, 1) and (values < 0).any() and (values > 1).any()
    expected = np.asarray(network(images, training=False), "float64")
    np.testing.assert_allclose(1 / (1 + np.exp(-values)), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("end", CONFINED)
def test_ends_in_sigmoid_raises_when_another_operation_bounds_the_outputs(end):
    network = CONFINED[end]()
    network(IMAGES)
    with pytest.raises(ValueError, match="End the network in logits"):
        introspection.ends_in_sigmoid(network, IMAGES)


@pytest.mark.parametrize("end", LOGITS)
def test_ends_in_sigmoid_returns_false_for_unbounded_outputs(end):
    network = LOGITS[end]()
    network(IMAGES)
    assert not introspection.ends_in_sigmoid(network, IMAGES)
    assert introspection.logits_function(network, IMAGES) is network


def test_ends_in_sigmoid_warns_when_a_subclassed_network_outputs_numbers_from_0_to_1():
    network = Opaque(ops.sigmoid)
    network(IMAGES)
    with pytest.warns(UserWarning, match="taken as logits.*End the network in logits"):
        assert not introspection.ends_in_sigmoid(network, IMAGES)


def test_ends_in_sigmoid_warns_when_logits_have_a_small_range():
    with pytest.warns(UserWarning, match=r"confined to \[-1, 1\]"):
        introspection.ends_in_sigmoid(after_dense(ops.tanh), IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["string", "Lambda", "wrapper", "subclass", "half precision"])
def test_fit_reaches_a_low_loss_when_the_discriminator_ends_in_sigmoid(end, tiny_images):
    """Checks the loss, which is 0.503 for probabilities that are used as logits."""
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    )
    gan = GAN(generator, SIGMOIDS[end](), seed=0)
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.Adam(0.1), jit_compile=False)
    reals = np.zeros((64, 4, 4, 1), "float32")
    reals[:, ::2] = 1
    logs = gan.fit(reals, batch_size=16, epochs=12, verbose=0).history
    assert logs["d_loss"][-1] < 0.45


def generator(*last, units=48):
    return keras.Sequential(
        [layers.Input((3,)), layers.Dense(units), layers.Reshape((4, 4, 3)), *last]
    )


def functional_generator(function):
    images = layers.Reshape((4, 4, 3))(layers.Dense(48)(LATENTS))
    return keras.Model(LATENTS, function(images))


RANGES = {
    "sigmoid": (lambda: generator(layers.Activation("sigmoid")), (0, 1)),
    "tanh": (lambda: generator(layers.Activation("tanh")), (-1, 1)),
    "hard sigmoid": (lambda: generator(layers.Activation("hard_sigmoid")), (0, 1)),
    "hard tanh": (lambda: generator(layers.Activation("hard_tanh")), (-1, 1)),
    "relu6": (lambda: generator(layers.Activation("relu6")), (0, 6)),
    "rescaled": (
        lambda: generator(layers.Activation("sigmoid"), layers.Rescaling(255.0)),
        (0, 255),
    ),
    "shifted": (lambda: functional_generator(lambda x: ops.sigmoid(x) * 2 - 1), (-1, 1)),
    "clipped": (lambda: functional_generator(lambda x: ops.clip(x, -2, 3)), (-2, 3)),
    "softmax": (lambda: generator(layers.Softmax()), (0, 1)),
    "upsampled": (lambda: generator(layers.Activation("tanh"), layers.UpSampling2D()), (-1, 1)),
    "two branches": (
        lambda: functional_generator(lambda x: (ops.tanh(x) + ops.sigmoid(x)) / 2),
        (-0.5, 1),
    ),
    "subclass": (lambda: Subclassed(ops.tanh, units=16), (-1, 1)),
}
UNKNOWN = {
    "linear": lambda: generator(),
    "relu": lambda: generator(layers.Activation("relu")),
    "sigmoid, convolution": lambda: generator(layers.Activation("sigmoid"), layers.Conv2D(1, 1)),
    "tanh, batch norm": lambda: generator(layers.Activation("tanh"), layers.BatchNormalization()),
}


@pytest.mark.parametrize("end", RANGES)
def test_infer_value_range_evaluates_the_last_operations(end):
    make, expected = RANGES[end]
    network = make()
    network(LATENTS)
    np.testing.assert_allclose(
        introspection.infer_value_range(network, LATENTS), expected, atol=1e-6
    )


@pytest.mark.parametrize("end", UNKNOWN)
def test_infer_value_range_raises_when_the_range_depends_on_weights(end):
    network = UNKNOWN[end]()
    with pytest.raises(ValueError, match=r"Pass value_range=\(-1, 1\)"):
        introspection.infer_value_range(network, LATENTS)
    assert introspection.infer_value_range(network, LATENTS, (0, 2)) == (0, 2)


def test_introspection_does_not_change_state():
    network = sequential(
        layers.SpectralNormalization(layers.Dense(8)),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(1, activation="sigmoid"),
    )
    before = [variable.numpy() for variable in network.variables]
    introspection.logits_function(network, IMAGES)
    for old, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, variable)
