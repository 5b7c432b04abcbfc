"""Principal components of pixels: a feature space that no network has shaped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["PCA", "fit_pca"]


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
    covariance = np.atleast_2d(np.cov(samples, rowvar=False))
    values, vectors = np.linalg.eigh(covariance)
    components = vectors.T[::-1][:dim]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(dim), largest])[:, np.newaxis]
    return PCA(samples.mean(axis=0), components, values[::-1][:dim].clip(min=0))
