"""The arithmetic floor of a train step: its multiplications, and how fast the machine does them."""

import math
import time
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.keras_compat import iter_layers

__all__ = ["forward_flops", "matmul_flops_per_second", "step_flops"]


def forward_flops(network: keras.Model) -> list[int]:
    """FLOPs of each layer's matrix product or convolution for one example, in the order of layers.

    A multiplication with its addition is 2 FLOPs. A convolution multiplies its kernel with each
    output pixel, a transposed one with each input pixel; the zeros of the padding count as pixels.
    Biases, activations, batch norm and dropout are not counted.

    Raises:
        ValueError: for a layer with a kernel that is neither dense nor a convolution.
    """
    layers = (layer for layer in iter_layers(network) if layer is not network)
    return [_layer_flops(layer) for layer in layers if getattr(layer, "kernel", None) is not None]


def step_flops(generator: keras.Model, discriminator: keras.Model, batch_size: int) -> int:
    """FLOPs of one train step in matrix products and convolutions: the least that it can do.

    With forward FLOPs F per example, the gradient for a layer's kernel costs F, and the one for its
    input F again; the first layer of a network needs the latter only if a gradient goes on through
    its input. For B real images:

    - the discriminator's phase: B examples forward through the generator, 2 B forward and backward
      through the discriminator, whose images need no gradient;
    - the generator's phase: B examples forward through both networks, backward through the
      discriminator for its input alone, and backward through the generator, whose latents need no
      gradient.

    Raises:
        ValueError: as `forward_flops` does.
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
    """The best rate of float32 matrix products that TensorFlow reaches here, in FLOPs a second.

    Squares of several sizes are tried, each for an equal part of `seconds`, on the device that
    TensorFlow prefers; on a GPU in the precision that TensorFlow chooses there for float32.
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
            float(corner(a, b))  # reading a number waits for the whole product
            end = time.perf_counter()
            best = max(best, 2 * size**3 / (end - start))
            if end > until:
                break
    return best
