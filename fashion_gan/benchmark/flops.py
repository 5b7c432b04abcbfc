"""Counts the FLOPs of a train step, and measures the FLOPs per second of the machine."""

import math
import time
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.keras_compat import iter_layers

__all__ = ["forward_flops", "matmul_flops_per_second", "step_flops"]


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


def step_flops(generator: keras.Model, discriminator: keras.Model, batch_size: int) -> int:
    """Returns the minimum FLOPs of one train step, in matrix products and convolutions.

    If a layer takes F forward FLOPs per example, the gradient of its kernel takes F, and the
    gradient of its input takes F. The first layer of a network needs the latter only if a gradient
    passes through its input. For B real images:

    - Discriminator phase: B examples forward through the generator, and 2 B forward and backward
      through the discriminator, whose images need no gradient.
    - Generator phase: B examples forward through both networks, backward through the discriminator
      for the gradient of its input only, and backward through the generator, whose latents need no
      gradient.

    Raises:
        ValueError: If a layer with a kernel is neither dense nor a convolution.
    """
    g, d = forward_flops(generator), forward_flops(discriminator)
    d_phase = sum(g) + 2 * (2 * sum(d) + sum(d[1:]))
    g_phase = sum(g) + sum(d) + sum(d) + sum(g) + sum(g[1:])
    return batch_size * (d_phase + g_phase)


def _layer_flops(layer: Any) -> int:
    transposed = isinstance(layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose)
    straight = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if type(layer) not in straight and not transposed and not depthwise:
        raise ValueError(
            f"Expected kernels in dense and convolutional layers alone. "
            f"Received: {layer.name!r} of type {type(layer).__name__}, whose FLOPs are not known."
        )
    shape = layer.get_build_config()["input_shape"]
    if not transposed:
        shape = layer.compute_output_shape(shape)
    kernel = layer.kernel.shape[: 2 if depthwise else -1]
    return 2 * math.prod(shape[1:]) * math.prod(kernel)


def matmul_flops_per_second(seconds: float = 1.0) -> float:
    """Measures the best rate of TensorFlow's float32 matrix products, in FLOPs per second.

    Square matrices of several sizes are tried, each for an equal part of `seconds`, on the device
    that TensorFlow prefers. On a GPU, the precision is TensorFlow's choice for float32.
    """
    sizes = [512, 1024, 2048]
    if tf.config.list_logical_devices("GPU"):
        sizes = [2048, 4096, 8192]
    corner = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])
    best = 0.0
    for size in sizes:
        a, b = (tf.random.stateless_uniform((size, size), (0, i)) for i in (1, 2))
        float(corner(a, b))
        until = time.perf_counter() + seconds / len(sizes)
        while True:
            start = time.perf_counter()
            float(corner(a, b))  # reading one number waits for the whole product
            end = time.perf_counter()
            best = max(best, 2 * size**3 / (end - start))
            if end > until:
                break
    return best
