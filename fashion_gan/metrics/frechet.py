"""Fréchet distance: how far apart two sets of features are, seen as two Gaussians."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["Gaussian", "frechet_distance", "gaussian"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean `(d,)` and unbiased covariance `(d, d)` of `count` samples, both float64."""

    mean: Floats
    covariance: Floats
    count: int


def gaussian(features: ArrayLike | Gaussian) -> Gaussian:
    """Fit a Gaussian to features `(n, d)`; one that is fitted already is returned as it is.

    Raises:
        TypeError: if `features` are not real numbers.
        ValueError: if they are not finite, or if `n <= d`: their covariance is singular then,
            and the distance says more about `n` than about the samples.
    """
    if isinstance(features, Gaussian):
        return features
    samples = as_samples(features, "features")
    count, dim = samples.shape
    if count <= dim:
        raise ValueError(
            f"Expected more samples than features: at least {dim + 1} for a covariance of "
            f"{dim} features. Received {count}. Give more samples, or use fewer features."
        )
    covariance = np.atleast_2d(np.cov(samples, rowvar=False))
    return Gaussian(samples.mean(axis=0), covariance, count)


def frechet_distance(real: ArrayLike | Gaussian, fake: ArrayLike | Gaussian) -> float:
    r"""$\|\mu_r - \mu_f\|^2 + \mathrm{tr}(A) + \mathrm{tr}(B) - 2\,\mathrm{tr}(AB)^{1/2}$.

    Symmetric, at least 0, in squared units of the features. It is biased upwards by about `1 / n`:
    compare only distances that were measured with the same numbers of samples.

    Args:
        real: features `(n, d)`, `n > d`, or `gaussian(features)`, which is worth keeping.
        fake: the same, with `n` of its own.

    Raises:
        TypeError: if features are not real numbers.
        ValueError: if they are too few, not finite, or of different `d`.

    References:
        Dowson and Landau 1982, The Fréchet distance between multivariate normal distributions.
        Heusel et al. 2017, https://arxiv.org/abs/1706.08500, where the features are Inception's.
    """
    real, fake = gaussian(real), gaussian(fake)
    check_dims(real=real.mean, fake=fake.mean)
    # With A = FF' and B = GG', the eigenvalues of AB are the squared singular values of F'G. So no
    # square root is taken of a product's rounding errors, as sqrtm(AB) would.
    cross = _factor(real.covariance).T @ _factor(fake.covariance)
    trace = np.trace(real.covariance) + np.trace(fake.covariance)
    trace -= 2 * np.linalg.svd(cross, compute_uv=False).sum()
    return max(0.0, float(np.sum((real.mean - fake.mean) ** 2) + trace))


def _factor(covariance: Floats) -> Floats:
    """A matrix `F` with `F @ F.T == covariance`, which need not have full rank."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(min=0))
