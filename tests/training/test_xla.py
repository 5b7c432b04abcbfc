"""Tests when XLA is on, and the reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import linear_networks
from keras import layers

from fashion_gan import GAN, data
from fashion_gan.training import xla

pytestmark = pytest.mark.auto_xla
DENSE = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
CONVOLUTIONAL = keras.Sequential(
    [layers.Input((4, 4, 1)), keras.Sequential([layers.Conv2DTranspose(1, 3, name="up")])]
)


@pytest.mark.parametrize(
    ("requested", "network", "enabled", "reason"),
    [
        ("auto", DENSE, True, "on the CPU it speeds up"),
        ("auto", CONVOLUTIONAL, False, "slows convolutions down, and 'up' is one"),
        (True, CONVOLUTIONAL, True, "jit_compile=True was requested"),
        (False, DENSE, False, "jit_compile=False was requested"),
    ],
)
def test_decide_follows_a_request_or_the_networks(requested, network, enabled, reason):
    choice = xla.decide(requested, [network])
    assert choice.enabled is enabled
    assert reason in choice.reason


def test_decide_enables_xla_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: ["gpu"] if kind == "GPU" else []
    )
    assert xla.decide("auto", [CONVOLUTIONAL]) == (True, "there is an accelerator")


@pytest.mark.parametrize("requested", [True, "auto"])
def test_decide_warns_when_requested_xla_is_unavailable(requested, monkeypatch):
    def decide(**arguments):
        if requested == "auto":
            return xla.decide(requested, [DENSE], **arguments)
        with pytest.warns(UserWarning, match="True was requested, but XLA is off: "):
            return xla.decide(requested, [DENSE], **arguments)

    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert decide() == (False, "TensorFlow does not compile a step under OneDeviceStrategy")
    assert decide(run_eagerly=True).reason.startswith("run_eagerly=True")
    monkeypatch.setattr(xla, "is_op_determinism_enabled", lambda: True)
    assert "op determinism" in decide().reason


def test_decide_raises_for_an_invalid_request():
    with pytest.raises(ValueError, match="True, False or 'auto'. Received: jit_compile='on'"):
        xla.decide("on", [DENSE])


def test_jit_decision_matches_keras(make_gan):
    for requested in (True, False):
        gan = make_gan(jit_compile=requested)
        assert gan.jit_compile is gan.jit_decision.enabled is requested
    assert str(gan.jit_decision) == "XLA is off: jit_compile=False was requested."


class NotForXLA(layers.Layer):
    """Needs an operation that XLA cannot compile."""

    def call(self, x):
        return tf.ensure_shape(tf.py_function(lambda t: t, [x], tf.float32), x.shape)


def broken_pair():
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    )
    discriminator = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), NotForXLA(), layers.Dense(1)]
    )
    return generator, discriminator


def one_shot(images):
    batches = (images[i : i + 8] for i in range(0, 32, 8))
    spec = tf.TensorSpec((None, 4, 4, 1), tf.float32)
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=spec)


SOURCES = {
    "array": lambda images: {"x": images, "batch_size": 8},
    "one shot": lambda images: {"x": one_shot(images)},
    "loop": lambda images: {"x": data.make_dataset(images, 8)},
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    ("source", "steps_per_execution"), [("array", 1), ("one shot", 3), ("loop", 3)]
)
def test_fit_falls_back_without_skipping_a_batch_when_xla_cannot_compile(
    source, steps_per_execution, tiny_images
):
    gan = GAN(*broken_pair(), seed=0)
    gan.compile(steps_per_execution=steps_per_execution)
    assert gan.jit_decision.enabled
    gan.fit(**SOURCES[source](tiny_images), verbose=0)
    assert gan.steps == 4
    assert not gan.jit_decision.enabled and gan.jit_compile is False
    assert "XLA cannot compile a step here" in str(gan.jit_decision)
    assert "PyFunc" in str(gan.jit_decision) or "unsupported" in str(gan.jit_decision)
    gan.fit(**SOURCES[source](tiny_images), verbose=0)
    assert gan.steps == 8


def test_evaluate_falls_back_before_the_first_step(tiny_images):
    gan = GAN(*broken_pair(), seed=0)
    gan.compile()
    assert np.isfinite(gan.evaluate(tiny_images, batch_size=8, verbose=0)).all()
    assert not gan.jit_decision.enabled
    gan.fit(tiny_images, batch_size=8, verbose=0)
    assert gan.steps == 4


def test_fit_raises_the_xla_error_when_xla_was_requested(tiny_images):
    gan = GAN(*broken_pair(), seed=0)
    gan.compile(jit_compile=True)
    with pytest.raises(tf.errors.OpError):
        gan.fit(tiny_images, batch_size=8, verbose=0)


def test_compile_turns_xla_off_for_unsupported_layers():
    generator, _ = broken_pair()
    discriminator = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.RandomRotation(0.1, name="turn"), layers.Flatten()]
        + [layers.Dense(1)]
    )
    gan = GAN(generator, discriminator)
    gan.compile()
    assert gan.jit_decision == (False, "layer 'turn' (RandomRotation) does not support it")
    assert gan.jit_compile is False
    with pytest.warns(UserWarning, match="jit_compile=True was requested, but XLA is off"):
        gan.compile(jit_compile=True)


IMAGE_LAYERS = {
    "nearest": lambda: layers.UpSampling2D(2, interpolation="nearest"),
    "bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "bicubic": lambda: layers.UpSampling2D(2, interpolation="bicubic"),
    "lanczos3": lambda: layers.UpSampling2D(2, interpolation="lanczos3"),
    "lanczos5": lambda: layers.UpSampling2D(2, interpolation="lanczos5"),
    "resizing": lambda: layers.Resizing(8, 8),
    "max pooling": lambda: layers.MaxPooling2D(),
    "average pooling": lambda: layers.AveragePooling2D(2),
    "adaptive pooling": lambda: layers.AdaptiveAveragePooling2D(2),
    "zero padding": lambda: layers.ZeroPadding2D(1),
    "cropping": lambda: layers.Cropping2D(1),
    "center crop": lambda: layers.CenterCrop(2, 2),
    "random flip": lambda: layers.RandomFlip(),
    "random contrast": lambda: layers.RandomContrast(0.1),
    "random translation": lambda: layers.RandomTranslation(0.1, 0.1),
    "random zoom": lambda: layers.RandomZoom(0.1),
    "random noise": lambda: layers.GaussianNoise(0.1),
    "gaussian dropout": lambda: layers.GaussianDropout(0.1),
    "alpha dropout": lambda: layers.AlphaDropout(0.1),
    "spatial dropout": lambda: layers.SpatialDropout2D(0.1),
    "batch norm": lambda: layers.BatchNormalization(),
    "layer norm": lambda: layers.LayerNormalization(),
    "group norm": lambda: layers.GroupNormalization(1),
    "unit norm": lambda: layers.UnitNormalization(),
    "rms norm": lambda: layers.RMSNormalization(),
    "rescaling": lambda: layers.Rescaling(2.0),
    "permute": lambda: layers.Permute((2, 1, 3)),
    "PReLU": lambda: layers.PReLU(),
    "ELU": lambda: layers.ELU(),
    "softmax": lambda: layers.Softmax(axis=1),
}
ROW_LAYERS = {
    "LSTM": lambda: layers.LSTM(3),
    "GRU": lambda: layers.GRU(3),
    "simple RNN": lambda: layers.SimpleRNN(3),
    "bidirectional": lambda: layers.Bidirectional(layers.LSTM(3)),
    "time distributed": lambda: layers.TimeDistributed(layers.Dense(3)),
    "global max": lambda: layers.GlobalMaxPooling1D(),
    "einsum": lambda: layers.EinsumDense("bij,jk->bik", (4, 3)),
}


UNSUPPORTED = ("bicubic", "lanczos3", "lanczos5", "random translation", "random zoom")
"""Layers that XLA does not compile, or that say so."""


def pytest_generate_tests(metafunc):
    """Tries layers that XLA compiles side by side; or, of all combinations, each alone."""
    if "names" in metafunc.fixturenames:
        names = [*IMAGE_LAYERS, *ROW_LAYERS]
        groups = [[name] for name in names]
        if not metafunc.config.getoption("all_combinations"):
            images = [name for name in IMAGE_LAYERS if name not in UNSUPPORTED]
            half = len(images) // 2
            groups = [images[:half], images[half:], list(ROW_LAYERS)]
            groups += [[name] for name in UNSUPPORTED]
        metafunc.parametrize("names", groups, ids=", ".join)


@pytest.mark.slow
def test_auto_trains_every_layer_of_keras(names, tiny_images):
    image, outputs = keras.Input((4, 4, 1)), []
    for name in names:
        if name in IMAGE_LAYERS:
            output = IMAGE_LAYERS[name]()(image)
        else:
            output = ROW_LAYERS[name]()(layers.Reshape((4, 4))(image))
        outputs.append(layers.Flatten()(output))
    features = layers.Concatenate()(outputs) if len(outputs) > 1 else outputs[0]
    gan = GAN(linear_networks()[0], keras.Model(image, layers.Dense(1)(features)), seed=0)
    gan.compile("adam", "adam")
    logs = gan.fit(tiny_images, batch_size=8, verbose=0).history
    assert gan.steps == 4 and np.isfinite(logs["d_loss"]).all()
    assert gan.jit_decision.enabled == gan.jit_compile
    if len(names) > 1:  # else one layer would keep XLA off for all
        assert gan.jit_decision.enabled, gan.jit_decision
