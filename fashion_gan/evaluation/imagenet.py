"""Computes features of any images with EfficientNet-Lite0, see `models.efficientnet`."""

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fashion_gan import images as pictures
from fashion_gan.models.efficientnet import (
    LAYERS,
    SHA256,
    SIZE,
    WIDTHS,
    Weights,
    build_imagenet_network,
    load_imagenet_weights,
)

__all__ = ["ImageNetFeatures", "load_imagenet_features"]

_BATCH_PIXELS = 2**20
_FORMAT = "1"  # change it whenever the meaning of the features changes


class ImageNetFeatures:
    """Extracts features from uint8 images of any size, with 1, 3 or 4 channels.

    Gray images are repeated to three channels, and RGBA images are composited on white. The last
    result is cached, since an evaluation and the monitor use the same samples.

    Args:
        weights: Weights from `load_imagenet_weights`.
        layers: Names of layers in `WIDTHS`. The features of all layers are concatenated.
        size: Height and width to which images are resized.

    Attributes:
        sha256: Hash of weights, layers and size. Part of the cache key of reference statistics.
        scores: Names of the scores that pass the order test of docs/evaluation.md in these
            features, beginning with the score to watch.
    """

    scores = ("kernel_distance", "transport_distance", "recall", "coverage")

    def __init__(self, weights: Weights, layers: Sequence[str] = LAYERS, size: int = SIZE) -> None:
        import tensorflow as tf

        self.layers, self.size = tuple(layers), size
        identity = repr((_FORMAT, SHA256, self.layers, size))
        self.sha256 = hashlib.sha256(identity.encode()).hexdigest()
        network = build_imagenet_network(weights, layers=layers, size=size)
        self._apply = tf.function(
            lambda images: network(tf.cast(images, tf.float32) / 255, training=False),
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
            jit_compile=False,
        )
        self._last: tuple[bytes, NDArray[np.float32]] | None = None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Computes features float32 `(n, d)`, read-only.

        Args:
            images: uint8 `(n, height, width)` or `(n, height, width, channels)`.

        Raises:
            TypeError: If the images are not uint8.
            ValueError: If the images have another shape.
        """
        images = np.ascontiguousarray(pictures.with_channels(images))
        if images.dtype != np.uint8:
            raise TypeError(
                f"Expected uint8 images; `images.to_uint8` makes them. "
                f"Received: images.dtype={images.dtype}."
            )
        digest = hashlib.sha256(repr(images.shape).encode())
        digest.update(images.data)
        if self._last is None or self._last[0] != digest.digest():
            self._last = digest.digest(), self._measure(images)
        return self._last[1]

    def _measure(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = images.shape[1:3]
        step = max(1, _BATCH_PIXELS // max(self.size**2, height * width))
        features = np.empty((len(images), sum(WIDTHS[name] for name in self.layers)), np.float32)
        for start in range(0, len(images), step):
            batch = pictures.composite(images[start : start + step])
            if batch.shape[3] == 1:
                batch = np.repeat(batch, 3, axis=3)
            features[start : start + step] = self._apply(batch).numpy()
        features.flags.writeable = False
        return features


@cache
def load_imagenet_features(layers: tuple[str, ...] = LAYERS, size: int = SIZE) -> ImageNetFeatures:
    """Loads the ImageNet feature extractor, by default with the layer and size of all scores.

    docs/evaluation.md compares the layers and the sizes.

    Raises:
        ImportError: If the package of the weights is not installed.
        ValueError: If the hash of the weights is wrong.
    """
    return ImageNetFeatures(load_imagenet_weights(), layers, size)
