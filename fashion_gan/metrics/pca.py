"""Computes principal components of pixels, a feature space that needs no network."""

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
    """Holds the principal components of a set of samples.

    Attributes:
        mean: Mean of the fitted samples `(p,)`.
        components: Orthonormal rows `(dim, p)`. The entry with the largest magnitude in each row is
            positive.
        variances: Variances of the samples along the components `(dim,)`, descending.
    """

    mean: Floats
    components: Floats
    variances: Floats

    def transform(self, images: ArrayLike) -> Floats:
        """Projects images `(n, ...)` of `p` pixels, on the fitted scale, to features `(n, dim)`.

        Raises:
            TypeError: If `images` are not real numbers.
            ValueError: If `images` are not finite, or do not have `p` pixels.
        """
        samples = as_samples(images, "images")
        check_dims(pca=self.mean, images=samples)
        return (samples - self.mean) @ self.components.T


def pca_images(images: NDArray[Any]) -> NDArray[Any]:
    """Returns a sufficient subset of images to fit principal components to.

    If there are more than 2,048 images with more than 2,048 pixels each, the subset is 2,048 evenly
    spaced images, since the cost of a fit grows with both numbers. Otherwise it is all images.

    Args:
        images: Images `(n, ...)`.
    """
    if len(images) <= _ENOUGH_IMAGES or math.prod(images.shape[1:]) <= _MANY_PIXELS:
        return images
    return images[np.linspace(0, len(images) - 1, _ENOUGH_IMAGES).astype(np.intp)]


def fit_pca(images: ArrayLike, dim: int = 64) -> PCA:
    """Fits `dim` principal components to images `(n, ...)` of `p` pixels each.

    Raises:
        TypeError: If `images` are not real numbers.
        ValueError: If `images` are not finite, or unless `1 <= dim <= p` and `dim < n`.
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
        # The Gram matrix of the images has the same nonzero eigenvalues and is smaller.
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
