"""XLA: on where it can and pays, and always with a reason."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import xla

DENSE = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
CONVOLUTIONAL = keras.Sequential(
    [layers.Input((4, 4, 1)), keras.Sequential([layers.Conv2DTranspose(1, 3, name="up")])]
)


@pytest.mark.parametrize(
    ("requested", "network", "enabled", "reason"),
    [
        ("auto", DENSE, True, "on the CPU it speeds up"),
        ("auto", CONVOLUTIONAL, False, "slows convolutions down, and there is one: 'up'"),
        (True, CONVOLUTIONAL, True, "jit_compile=True was asked for"),
        (False, DENSE, False, "jit_compile=False was asked for"),
    ],
)
def test_auto_looks_at_the_networks_and_wishes_are_obeyed(requested, network, enabled, reason):
    choice = xla.choose(requested, [network])
    assert choice.enabled is enabled
    assert reason in choice.reason


def test_an_accelerator_is_always_worth_it(monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: ["gpu"] if kind == "GPU" else []
    )
    assert xla.choose("auto", [CONVOLUTIONAL]) == (True, "there is an accelerator")


@pytest.mark.parametrize("requested", [True, "auto"])
def test_where_tensorflow_cannot_the_reason_is_given_aloud_if_it_was_asked_for(
    requested, monkeypatch
):
    def choose(**arguments):
        if requested == "auto":
            return xla.choose(requested, [DENSE], **arguments)
        with pytest.warns(UserWarning, match="True was asked for, but XLA is off: "):
            return xla.choose(requested, [DENSE], **arguments)

    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert choose() == (False, "TensorFlow does not compile a step under OneDeviceStrategy")
    assert choose(run_eagerly=True).reason.startswith("run_eagerly=True")
    monkeypatch.setattr(xla, "is_op_determinism_enabled", lambda: True)
    assert "op determinism" in choose().reason


def test_anything_else_is_refused():
    with pytest.raises(ValueError, match="True, False or 'auto'. Received: jit_compile='on'"):
        xla.choose("on", [DENSE])


def test_the_choice_can_be_read_off_the_model_and_is_what_keras_does(make_gan):
    for requested in (True, False):
        gan = make_gan(jit_compile=requested)
        assert gan.jit_compile is gan.xla.enabled is requested
    assert str(gan.xla) == "XLA is off: jit_compile=False was asked for."
