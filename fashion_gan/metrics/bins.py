"""Computes the number of statistically different bins (NDB) between real and fake images."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.distances import nearest
from fashion_gan.metrics.kmeans import kmeans
from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["NDB", "NDBBins", "ndb", "fit_ndb_bins"]


@dataclass(frozen=True, eq=False)
class NDBBins:
    """Centroids `(k, p)` of the bins, and the number of fitted samples in each bin `(k,)`."""

    centroids: Floats
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class NDB:
    """Holds the difference between the bin shares of two sets.

    Attributes:
        ratio: Fraction of the bins that differ significantly, NDB/K. By chance alone it is
            `significance`.
        divergence: Jensen–Shannon divergence of the shares, in nats, from 0 to log 2.
    """

    ratio: float
    divergence: float


def fit_ndb_bins(images: ArrayLike, num_bins: int = 100, *, seed: int = 0) -> NDBBins:
    """Fits bins to training images `(n, ...)` of `p` pixels by k-means.

    Raises:
        TypeError: If `images` are not real numbers.
        ValueError: If `images` are not finite, or fewer than `num_bins` of them are different.
    """
    samples = as_samples(images, "train")
    centroids = kmeans(samples, num_bins, seed=seed)
    return NDBBins(centroids, _counts(samples, centroids))


def ndb(real: NDBBins, fake: ArrayLike, *, significance: float = 0.05) -> NDB:
    """Compares the shares of real and fake images in each bin by a two-proportion z-test.

    Args:
        real: Bins from `fit_ndb_bins(train_images)`. Reuse them for several calls.
        fake: Images `(n, ...)` of `p` pixels, on the scale of the training images.
        significance: Significance level of the two-sided test in each bin, in (0, 1). Defaults to
            0.05.

    Raises:
        TypeError: If `fake` are not real numbers.
        ValueError: If `fake` are not finite or do not have `p` pixels; if `significance` is not in
            (0, 1).

    References:
        Richardson and Weiss 2018, https://arxiv.org/abs/1805.12462, section 3.
    """
    if not 0 < significance < 1:
        raise ValueError(f"Expected 0 < significance < 1. Received: significance={significance}.")
    samples = as_samples(fake, "fake")
    check_dims(real=real.centroids, fake=samples)
    counts = _counts(samples, real.centroids)
    real_total, fake_total = real.counts.sum(), counts.sum()
    p, q = real.counts / real_total, counts / fake_total
    pooled = (real.counts + counts) / (real_total + fake_total)
    error = np.sqrt(pooled * (1 - pooled) * (1 / real_total + 1 / fake_total))
    critical = NormalDist().inv_cdf(1 - significance / 2)
    return NDB(
        ratio=float(np.mean(np.abs(p - q) > critical * error)),
        divergence=(_relative_entropy(p, (p + q) / 2) + _relative_entropy(q, (p + q) / 2)) / 2,
    )


def _counts(samples: Floats, centroids: Floats) -> NDArray[np.int64]:
    return np.bincount(nearest(samples, centroids).indices[:, 0], minlength=len(centroids))


def _relative_entropy(p: Floats, q: Floats) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))
