"""Decides whether XLA compiles the train step, and falls back if it cannot."""

import itertools
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from fashion_gan.keras_compat import is_op_determinism_enabled, iter_layers
from fashion_gan.models.introspection import first_conv_layer

__all__ = [
    "COMPILE_ERRORS",
    "JitDecision",
    "compile_or_fall_back",
    "decide",
    "has_accelerator",
    "reason_of",
]

COMPILE_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
)
"""Errors that TensorFlow raises if XLA cannot compile a function."""


class JitDecision(NamedTuple):
    """Holds whether XLA is on, and why.

    Attributes:
        enabled: Whether XLA compiles the train step.
        reason: Reason for the decision, as a phrase that can follow "because".
    """

    enabled: bool
    reason: str

    def __str__(self) -> str:
        return f"XLA is {'on' if self.enabled else 'off'}: {self.reason}."


def decide(
    requested: bool | str, networks: Iterable[keras.Model], run_eagerly: bool = False
) -> JitDecision:
    """Resolves `jit_compile` to a decision.

    `True` turns XLA on unless TensorFlow cannot compile here, which causes a warning. `"auto"`
    turns it on where it was measured to help: always on accelerators, and on the CPU unless a
    network is convolutional. XLA's convolutions on the CPU are an order of magnitude slower than
    TensorFlow's.

    Args:
        requested: `True`, `False` or `"auto"`.
        networks: Networks of the GAN.
        run_eagerly: Whether the step runs eagerly, which turns XLA off. Defaults to False.

    Raises:
        ValueError: If `requested` is neither a bool nor `"auto"`.
    """
    if not isinstance(requested, bool) and requested != "auto":
        raise ValueError(f"Expected True, False or 'auto'. Received: jit_compile={requested!r}.")
    decision = _decide(requested, list(networks), run_eagerly)
    if requested is True and not decision.enabled:
        warnings.warn(f"jit_compile=True was requested, but {decision}", stacklevel=3)
    return decision


def _decide(requested: bool | str, networks: list[keras.Model], run_eagerly: bool) -> JitDecision:
    if requested is False:
        return JitDecision(False, "jit_compile=False was requested")
    if run_eagerly:
        return JitDecision(False, "run_eagerly=True runs each operation by itself")
    if is_op_determinism_enabled():
        return JitDecision(False, "TensorFlow does not compile with op determinism enabled")
    if tf.distribute.has_strategy():
        name = type(tf.distribute.get_strategy()).__name__
        return JitDecision(False, f"TensorFlow does not compile a step under {name}")
    for layer in (layer for network in networks for layer in iter_layers(network)):
        if not layer.supports_jit:
            kind = type(layer).__name__
            return JitDecision(False, f"layer {layer.name!r} ({kind}) does not support it")
    if requested is True:
        return JitDecision(True, "jit_compile=True was requested")
    if has_accelerator():
        return JitDecision(True, "there is an accelerator")
    conv_layer = first_conv_layer(networks)
    if conv_layer is not None:
        return JitDecision(
            False, f"on the CPU it slows convolutions down, and {conv_layer.name!r} is one"
        )
    return JitDecision(True, "on the CPU it speeds up networks without convolutions")


def has_accelerator() -> bool:
    """Returns whether TensorFlow finds a GPU or a TPU."""
    return any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU"))


def reason_of(error: Exception) -> str:
    """Returns the line of TensorFlow's error that names the failing operation."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "unsupported" in line.lower() or "XLA" in line]
    rest = [
        line for line in lines if not line.startswith(("Graph execution", "Detected at", "File"))
    ]
    return (telling or rest or lines or [type(error).__name__])[0][:200]


def compile_or_fall_back(
    function: Callable[[Any], Any],
    iterator: Any,
    num_batches: int,
    disable: Callable[[Exception], Callable[[Any], Any]],
) -> Any:
    """Executes a function for the first time, and a fallback if XLA cannot compile it.

    The batches are read in advance, since a failed execution would lose them.

    Args:
        function: Compiled function of an iterator.
        iterator: Iterator over batches.
        num_batches: Number of batches that an execution reads.
        disable: Function that is called with the error of XLA. It returns the function to execute
            instead.

    Returns:
        The result of the function for these batches.
    """
    batches = list(itertools.islice(iterator, num_batches))
    if not batches:
        return function(iterator)

    def replay() -> Any:
        dataset = tf.data.Dataset.from_generator(
            lambda: batches, output_signature=iterator.element_spec
        )
        return iter(dataset)

    try:
        return function(replay())
    except COMPILE_ERRORS as error:
        return disable(error)(replay())
