"""Counts the FLOPs and bytes of a train step, and measures the rates of the machine."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.keras_compat import iter_layers

__all__ = [
    "copied_bytes_per_second",
    "forward_flops",
    "matmul_flops_per_second",
    "step_bytes",
    "step_flops",
]


def forward_flops(network: keras.Model) -> list[int]:
    """Returns the FLOPs of each layer's matrix product or convolution for one example.

    A multiply-add is 2 FLOPs. A convolution applies its kernel at each output pixel, and a
    transposed convolution at each input pixel. Zeros of the padding count as pixels. Biases,
    activations, batch norm and dropout are not counted.

    Raises:
        ValueError: If a layer with a kernel is neither dense nor a convolution.
    """
    layers = (layer for layer in iter_layers(network) if layer is not network)
    return [_layer_flops(layer) for layer in layers if getattr(layer, "kernel", None) is not None]


def step_flops(
    generator: keras.Model,
    discriminator: keras.Model,
    batch_size: int,
    projector: keras.Model | None = None,
) -> int:
    """Returns the minimum FLOPs of one train step, in matrix products and convolutions.

    If a layer takes F forward FLOPs per example, the gradient of its kernel takes F, and the
    gradient of its input takes F. The first layer of a network needs the latter only if a gradient
    passes through its input. For B real images:

    - Discriminator phase: B examples forward through the generator, and 2 B forward and backward
      through the discriminator, whose images need no gradient.
    - Generator phase: B examples forward through both networks, backward through the discriminator
      for the gradient of its input only, and backward through the generator, whose latents need no
      gradient.

    A projector runs forward wherever the discriminator does, and backward in the generator phase
    for the gradient of its input.

    Raises:
        ValueError: If a layer with a kernel is neither dense nor a convolution.
    """
    g, d = forward_flops(generator), forward_flops(discriminator)
    p = 0 if projector is None else sum(forward_flops(projector))
    d_phase = sum(g) + 2 * (p + 2 * sum(d) + sum(d[1:]))
    g_phase = sum(g) + p + sum(d) + sum(d) + p + sum(g) + sum(g[1:])
    return batch_size * (d_phase + g_phase)


def step_bytes(gan: keras.Model, batch_size: int) -> int:
    """Returns the bytes that one train step moves at least, if no cache holds them.

    Each weight and slot of an optimizer is read and written once. Each output of a layer with a
    kernel is written once and, if a gradient passes through the layer, read once. Gradients,
    batches, normalizations and augmentations are not counted.

    Args:
        gan: Compiled `GAN`.
        batch_size: Number of real images in an update of the discriminator.
    """
    networks = gan.generator, gan.discriminator
    optimizers = gan.g_optimizer, gan.d_optimizer
    state = sum(
        _variable_bytes(network.trainable_variables) + _variable_bytes(optimizer.variables)
        for network, optimizer in zip(networks, optimizers, strict=True)
    )
    g, d = (_output_bytes(network) for network in networks)
    p = 0 if gan.projector is None else _output_bytes(gan.projector)
    d_phase = g + 2 * (p + 2 * d)
    g_phase = 2 * g + 2 * p + 2 * d
    return 2 * state + batch_size * (d_phase + g_phase)


def _variable_bytes(variables: Any) -> int:
    return sum(
        math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables
    )


def _output_bytes(network: keras.Model) -> int:
    """Returns the bytes of the outputs of all layers with a kernel, for one example."""
    total = 0
    for layer in iter_layers(network):
        if layer is not network and getattr(layer, "kernel", None) is not None:
            shape = layer.compute_output_shape(layer.get_build_config()["input_shape"])
            total += math.prod(shape[1:]) * tf.as_dtype(layer.compute_dtype).size
    return total


def _layer_flops(layer: Any) -> int:
    transposed = isinstance(layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose)
    straight = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if type(layer) not in straight and not transposed and not depthwise:
        raise ValueError(
            f"Expected kernels only in dense and convolutional layers. "
            f"Received: {layer.name!r} of type {type(layer).__name__}, whose FLOPs are not known."
        )
    shape = layer.get_build_config()["input_shape"]
    if not transposed:
        shape = layer.compute_output_shape(shape)
    kernel = layer.kernel.shape[: 2 if depthwise else -1]
    return 2 * math.prod(shape[1:]) * math.prod(kernel)


def matmul_flops_per_second(seconds: float = 1.0, dtype: str = "float32") -> float:
    """Measures the best rate of TensorFlow's matrix products, in FLOPs per second.

    Square matrices of several sizes are tried, each for an equal part of `seconds`, on the device
    that TensorFlow prefers. On a GPU, TensorFlow multiplies float32 in TF32 by default.

    Args:
        seconds: Time to measure. Defaults to 1.
        dtype: Floating dtype of the matrices. Defaults to `"float32"`.
    """
    sizes = [2048, 4096, 8192] if tf.config.list_logical_devices("GPU") else [512, 1024, 2048]
    corner = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])

    def flops(size: int) -> Callable[[], float]:
        a, b = (tf.cast(tf.random.stateless_uniform((size, size), (0, i)), dtype) for i in (1, 2))
        return lambda: float(corner(a, b))  # reading one number waits for the whole product

    return max(2 * size**3 / _shortest(flops(size), seconds / len(sizes)) for size in sizes)


def copied_bytes_per_second(seconds: float = 0.5) -> float:
    """Measures the rate at which TensorFlow copies memory, in bytes read and written per second.

    64 MiB are negated again and again on the CPU, and 1 GiB on a GPU, both larger than its cache.
    """
    size = 2**28 if tf.config.list_logical_devices("GPU") else 2**24
    numbers = tf.random.stateless_uniform((size,), (0, 3))
    negate = tf.function(lambda x: tf.negative(x))
    last = lambda: float(negate(numbers)[-1])
    return 2 * 4 * size / _shortest(last, seconds)


def _shortest(run: Callable[[], float], seconds: float) -> float:
    """Returns the shortest time of a call among the calls within `seconds`, after one more call."""
    run()
    until, best = time.perf_counter() + seconds, math.inf
    while True:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        best = min(best, end - start)
        if end > until:
            return best
