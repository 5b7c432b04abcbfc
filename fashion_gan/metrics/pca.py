"""Principal components of pixels: a feature space that no network has shaped."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["PCA", "fit_pca", "pca_images"]

_MANY_PIXELS, _ENOUGH_IMAGES = 2_048, 2_048


@dataclass(frozen=True, eq=False)
class PCA:
    """The directions in which samples vary most.

    Attributes:
        mean: `(p,)`, of the samples it was fitted to.
        components: `(dim, p)`, orthonormal rows; the entry of largest size in each is positive.
        variances: `(dim,)`, of the samples along each component, descending.
    """

    mean: Floats
    components: Floats
    variances: Floats

    def transform(self, images: ArrayLike) -> Floats:
        """Images `(n, ...)` of `p` pixels, on the scale of the fit, to features `(n, dim)`.

        Raises:
            TypeError: if `images` are not real numbers.
            ValueError: if they are not finite, or do not have `p` pixels.
        """
        samples = as_samples(images, "images")
        check_dims(pca=self.mean, images=samples)
        return (samples - self.mean) @ self.components.T


def pca_images(images: NDArray[Any]) -> NDArray[Any]:
    """Returns the images that are enough to fit components to.

    These are all, or of more than 2,048 images with more than 2,048 pixels each, 2,048 at even
    distances: the cost of a fit grows with the square of either number.

    Args:
        images: Images `(n, ...)`.
    """
    if len(images) <= _ENOUGH_IMAGES or math.prod(images.shape[1:]) <= _MANY_PIXELS:
        return images
    return images[np.linspace(0, len(images) - 1, _ENOUGH_IMAGES).astype(np.intp)]


def fit_pca(images: ArrayLike, dim: int = 64) -> PCA:
    """Fit `dim` components to images `(n, ...)` of `p` pixels each.

    Raises:
        TypeError: if `images` are not real numbers.
        ValueError: if they are not finite, or unless `1 <= dim <= p` and `dim < n`.
    """
    samples = as_samples(images, "images")
    count, pixels = samples.shape
    if not 1 <= dim <= min(pixels, count - 1):
        raise ValueError(
            f"Expected 1 <= dim <= {min(pixels, count - 1)} for {count} images of {pixels} pixels. "
            f"Received: dim={dim}."
        )
    mean = samples.mean(axis=0)
    if pixels > max(count, _MANY_PIXELS):
        # The matrix of inner products of images has the same values, and is smaller.
        centered = samples - mean
        values, vectors = np.linalg.eigh(centered @ centered.T / (count - 1))
        components = vectors.T[::-1][:dim] @ centered
        components /= np.linalg.norm(components, axis=1, keepdims=True).clip(1e-300)
    else:
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(samples, rowvar=False)))
        components = vectors.T[::-1][:dim]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(dim), largest])[:, np.newaxis]
    return PCA(mean, components, values[::-1][:dim].clip(min=0))
