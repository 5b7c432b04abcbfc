"""Computes the Fréchet distance between Gaussians fitted to two sets of features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["Gaussian", "frechet_distance", "gaussian"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Holds the mean `(d,)` and unbiased covariance `(d, d)` of `count` samples, both float64."""

    mean: Floats
    covariance: Floats
    count: int


def gaussian(features: ArrayLike | Gaussian) -> Gaussian:
    """Fits a Gaussian to features `(n, d)`, and returns a fitted Gaussian unchanged.

    Raises:
        TypeError: If `features` are not real numbers.
        ValueError: If `features` are not finite, or if `n <= d`. The covariance is singular then,
            and the distance depends more on `n` than on the samples.
    """
    if isinstance(features, Gaussian):
        return features
    samples = as_samples(features, "features")
    count, dim = samples.shape
    if count <= dim:
        raise ValueError(
            f"Expected more samples than features: at least {dim + 1} for a covariance of "
            f"{dim} features. Received {count}. Pass more samples, or use fewer features."
        )
    covariance = np.atleast_2d(np.cov(samples, rowvar=False))
    return Gaussian(samples.mean(axis=0), covariance, count)


def frechet_distance(real: ArrayLike | Gaussian, fake: ArrayLike | Gaussian) -> float:
    r"""Computes the Fréchet distance between Gaussians fitted to real and fake features.

    It is $\|\mu_r - \mu_f\|^2 + \mathrm{tr}(A) + \mathrm{tr}(B) - 2\,\mathrm{tr}(AB)^{1/2}$ with
    the means $\mu$ and the covariances $A$ and $B$. It is symmetric, at least 0, and in squared
    units of the features. It is biased upwards by about `1 / n`, so only compare distances measured
    with the same numbers of samples.

    Args:
        real: Features `(n, d)`, `n > d`, or `gaussian(features)`, which can be reused.
        fake: Features `(m, d)`, `m > d`, or `gaussian(features)`.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If features are too few, not finite, or differ in `d`.

    References:
        Dowson and Landau 1982, The Fréchet distance between multivariate normal distributions.
        Heusel et al. 2017, https://arxiv.org/abs/1706.08500, with features of Inception.
    """
    real, fake = gaussian(real), gaussian(fake)
    check_dims(real=real.mean, fake=fake.mean)
    # With A = FF' and B = GG', the eigenvalues of AB are the squared singular values of F'G. Unlike
    # sqrtm(AB), this takes no square root of a product's rounding errors.
    cross = _factor(real.covariance).T @ _factor(fake.covariance)
    trace = np.trace(real.covariance) + np.trace(fake.covariance)
    trace -= 2 * np.linalg.svd(cross, compute_uv=False).sum()
    return max(0.0, float(np.sum((real.mean - fake.mean) ** 2) + trace))


def _factor(covariance: Floats) -> Floats:
    """Returns `F` with `F @ F.T == covariance`, for a covariance of any rank."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(min=0))
