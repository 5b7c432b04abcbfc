"""XLA: whether it can compile a train step here, whether it pays, and the reason in words."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import keras
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled

__all__ = ["Choice", "choose", "convolution"]


class Choice(NamedTuple):
    """`enabled`, and the `reason` as a phrase that can follow "because"."""

    enabled: bool
    reason: str

    def __str__(self) -> str:
        return f"XLA is {'on' if self.enabled else 'off'}: {self.reason}."


def choose(
    requested: bool | str, networks: Iterable[keras.Model], run_eagerly: bool = False
) -> Choice:
    """Resolve `jit_compile`: what TensorFlow cannot do is off, `True` and `False` are obeyed.

    `"auto"` turns XLA on where it was measured to help: on accelerators always, on the CPU unless a
    network convolves, since XLA's convolutions on the CPU are an order of magnitude slower
    than TensorFlow's own.

    Raises:
        ValueError: if `requested` is neither a bool nor `"auto"`.
    """
    if requested not in (True, False, "auto"):
        raise ValueError(f"Expected True, False or 'auto'. Received: jit_compile={requested!r}.")
    choice = _choose(requested, networks, run_eagerly)
    if requested is True and not choice.enabled:
        warnings.warn(f"jit_compile=True was asked for, but {choice}", stacklevel=3)
    return choice


def _choose(requested: bool | str, networks: Iterable[keras.Model], run_eagerly: bool) -> Choice:
    if requested is False:
        return Choice(False, "jit_compile=False was asked for")
    if run_eagerly:
        return Choice(False, "run_eagerly=True runs each operation by itself")
    if is_op_determinism_enabled():
        return Choice(False, "TensorFlow does not compile with op determinism enabled")
    if tf.distribute.has_strategy():
        name = type(tf.distribute.get_strategy()).__name__
        return Choice(False, f"TensorFlow does not compile a step under {name}")
    if requested is True:
        return Choice(True, "jit_compile=True was asked for")
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return Choice(True, "there is an accelerator")
    layer = convolution(networks)
    if layer is not None:
        return Choice(
            False, f"on the CPU it slows convolutions down, and there is one: {layer.name!r}"
        )
    return Choice(True, "on the CPU it speeds up networks without convolutions")


def convolution(networks: Iterable[keras.Model]) -> keras.layers.Layer | None:
    """The first layer of the networks that convolves, if there is one."""
    layers = (layer for n in networks for layer in n._flatten_layers(include_self=False))
    return next((layer for layer in layers if "Conv" in type(layer).__name__), None)
