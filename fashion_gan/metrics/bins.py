"""Number of statistically different bins: which regions of the data get too much or too little."""

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
    """Centroids `(k, p)`, and how many of the samples they were fitted to are nearest: `(k,)`."""

    centroids: Floats
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class NDB:
    """How differently two sets fill the same bins.

    Attributes:
        ratio: share of the bins that differ significantly, NDB/K; `significance` by chance alone.
        divergence: Jensen–Shannon divergence of the shares, in nats, from 0 to log 2.
    """

    ratio: float
    divergence: float


def fit_ndb_bins(images: ArrayLike, num_bins: int = 100, *, seed: int = 0) -> NDBBins:
    """Divide train images `(n, ...)` of `p` pixels into bins by k-means.

    Raises:
        TypeError: if `images` are not real numbers.
        ValueError: if they are not finite, or fewer than `num_bins` of them are different.
    """
    samples = as_samples(images, "train")
    centroids = kmeans(samples, num_bins, seed=seed)
    return NDBBins(centroids, _counts(samples, centroids))


def ndb(real: NDBBins, fake: ArrayLike, *, significance: float = 0.05) -> NDB:
    """Compare the shares of real and fake images in each bin by a two-proportion z-test.

    Args:
        real: `fit_ndb_bins(train_images)`, which is worth keeping.
        fake: images `(n, ...)` of `p` pixels, on the scale of the train images.
        significance: of the two-sided test in each bin, in (0, 1).

    Raises:
        TypeError: if `fake` are not real numbers.
        ValueError: if they are not finite or do not have `p` pixels; for other significances.

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
