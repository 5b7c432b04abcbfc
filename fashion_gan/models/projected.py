"""Provides a discriminator that sees the pixels and features of ImageNet."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from fashion_gan.models.blocks import leaky_relu
from fashion_gan.models.conditioning import OneHot, conditional_logits
from fashion_gan.models.efficientnet import LAYERS, Weights, layer_outputs, load_imagenet_weights
from fashion_gan.models.minibatch import MinibatchStdDev
from fashion_gan.runtime import build_scope

__all__ = ["imagenet_projector", "projected_discriminator"]

_RMS = (8.7, 8.1, 6.0, 3.7)
"""Root mean square of the mixed maps, about equal for emoji, icons and Fashion-MNIST."""

_MIXED = (64, 64, 128, 128)
_STRIDE, _MIN_SIZE = 32, 64  # of the network's last layer; of the images that it sees


def imagenet_projector(
    image_shape: tuple[int, int, int],
    value_range: tuple[float, float] = (-1.0, 1.0),
    *,
    widths: Sequence[int] = _MIXED,
    weights: Weights | None = None,
    seed: int = 0,
) -> keras.Model:
    """Builds a frozen network of images that returns feature maps of four sizes, and the pixels.

    EfficientNet-Lite0 computes the features. Fixed random convolutions then mix the channels of
    each map, and add to each map the next smaller one, enlarged. So all maps hold features of all
    layers, and the discriminator cannot focus on a part of them. The height and width of the images
    are enlarged to the next multiple of 32, and to at least 64. The pixels, scaled to [-1, 1], keep
    their size. They hold the colors, which the features hardly distinguish.

    Args:
        image_shape: Shape of the images, `(height, width, channels)` with 1 or 3 channels.
        value_range: Range of the images. Defaults to (-1, 1).
        widths: Number of channels of the four maps, the largest map first. Defaults to
            (64, 64, 128, 128).
        weights: Weights from `models.efficientnet.load_imagenet_weights`. Defaults to None, which
            loads them.
        seed: Seed of the random convolutions. Defaults to 0.

    Returns:
        The network. It maps `(batch, *image_shape)` to the flattened maps and pixels `(batch, n)`.
        No weight is trainable. All layers use float32.

    Raises:
        ImportError: If the package of the weights is not installed.
        ValueError: If the images have neither 1 nor 3 channels.

    References:
        Sauer et al. 2021, https://arxiv.org/abs/2111.01007, section 3.2. Here the maps have fewer
        channels, since the images are small. Kumari et al. 2022, https://arxiv.org/abs/2112.09130,
        train a discriminator of pixels in addition to one of features.
    """
    if image_shape[2] not in (1, 3):
        raise ValueError(
            "Expected images of 1 or 3 channels, since features of ImageNet ignore transparency. "
            f"Received: image_shape={image_shape}. Train with --channels 3."
        )
    weights = load_imagenet_weights() if weights is None else weights
    low, high = value_range
    with build_scope(dtype_policy="float32"):
        inputs = keras.Input(image_shape)
        x = layers.Rescaling(1 / (high - low), -low / (high - low))(inputs)
        if image_shape[2] == 1:
            x = layers.Concatenate()([x, x, x])
        x = layers.Resizing(*_seen_size(image_shape), "bilinear")(x)
        x = layers.Rescaling(255 / 128, -127 / 128)(x)
        outputs = layer_outputs(weights, x, LAYERS)
        maps = _mixed([outputs[name] for name in LAYERS], widths, seed)
        scaled = [layers.Rescaling(1 / rms)(x) for x, rms in zip(maps, _RMS, strict=True)]
        pixels = layers.Rescaling(2 / (high - low), -(high + low) / (high - low))(inputs)
        flat = layers.Concatenate()([layers.Flatten()(x) for x in [*scaled, pixels]])
    return keras.Model(inputs, flat, trainable=False, name="projector")


def projected_discriminator(
    image_shape: tuple[int, int, int],
    widths: Sequence[int] = _MIXED,
    width: int = 64,
    num_classes: int | None = None,
) -> keras.Model:
    """Builds a discriminator of the output of `imagenet_projector`, with five heads.

    There is one head for each of the four maps, and one for the pixels. Each head is a small
    convolutional network with its own logit. It sees the standard deviation over groups of its
    batch, see `MinibatchStdDev`.

    Args:
        image_shape: Shape of the images, as for the projector.
        widths: Number of channels of the maps, as for the projector. Defaults to
            (64, 64, 128, 128).
        width: Number of channels in the heads. Defaults to 64.
        num_classes: Number of classes that all heads know, see `conditional_logits`. Defaults to
            None, which builds a network without labels.

    Returns:
        The network. It maps flattened maps and pixels `(batch, n)` to logits `(batch, 5)`. With
        classes, it takes `[maps, labels]`, where labels are int32 `(batch,)`.
    """
    height, breadth = _seen_size(image_shape)
    shapes = [
        (height // 2**i, breadth // 2**i, channels) for i, channels in enumerate(widths, start=2)
    ]
    shapes.append(image_shape)
    sizes = [math.prod(shape) for shape in shapes]
    ends = np.cumsum(sizes).tolist()
    dtype = keras.config.dtype_policy().variable_dtype
    inputs, labels = keras.Input((sum(sizes),)), keras.Input((), dtype="int32", name="labels")
    names = [*(f"map_{2**i}" for i, _ in enumerate(widths, start=2)), "pixels"]  # by stride
    features = [
        _head_features(layers.Reshape(shape)(inputs[:, end - size : end]), width, name)
        for shape, size, end, name in zip(shapes, sizes, ends, names, strict=True)
    ]
    if num_classes is None:
        logits = [
            layers.Dense(1, dtype=dtype, name=f"{name}_logit")(x)
            for x, name in zip(features, names, strict=True)
        ]
    else:
        one_hot = OneHot(num_classes, dtype=dtype)(labels)
        logits = [conditional_logits(x, one_hot, dtype, f"_{i}") for i, x in enumerate(features)]
    return keras.Model(
        inputs if num_classes is None else [inputs, labels],
        layers.Concatenate(dtype=dtype)(logits),
        name="discriminator",
    )


def _seen_size(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns the height and width to which the projector enlarges images."""
    height, width = (max(_MIN_SIZE, -(-side // _STRIDE) * _STRIDE) for side in image_shape[:2])
    return height, width


def _mixed(outputs: Sequence[keras.KerasTensor], widths: Sequence[int], seed: int) -> list:
    """Mixes the channels of each map at random, and adds the next smaller map to each."""

    def convolve(x: keras.KerasTensor, width: int, size: int, seed: int) -> keras.KerasTensor:
        stddev = (size**2 * x.shape[-1]) ** -0.5
        initializer = keras.initializers.RandomNormal(stddev=stddev, seed=seed)
        return layers.Conv2D(
            width, size, padding="same", use_bias=False, kernel_initializer=initializer
        )(x)

    maps = [
        convolve(x, width, 1, seed + i)
        for i, (x, width) in enumerate(zip(outputs, widths, strict=True))
    ]
    for i in range(len(maps) - 2, -1, -1):
        below = layers.UpSampling2D(interpolation="bilinear")(maps[i + 1])
        below = convolve(below, widths[i], 3, seed + len(maps) + i)
        maps[i] = layers.Rescaling(2**-0.5)(layers.Add()([maps[i], below]))
    return maps


def _head_features(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """Applies strided convolutions down to at most 4 x 4 pixels, and returns flat features."""

    def convolve(x: keras.KerasTensor, size: int, stride: int, name: str) -> keras.KerasTensor:
        he = {"padding": "same", "kernel_initializer": "he_normal"}
        return leaky_relu(layers.Conv2D(width, size, stride, name=name, **he)(x))

    first = (4, 2) if max(x.shape[1:3]) > 4 else (3, 1)
    x = convolve(x, *first, f"{name}_first")
    while max(x.shape[1:3]) > 4:
        height, breadth = (-(-side // 2) for side in x.shape[1:3])
        x = convolve(x, 4, 2, f"{name}_to_{height}x{breadth}")
    return layers.Flatten()(convolve(MinibatchStdDev()(x), 3, 1, f"{name}_last"))
