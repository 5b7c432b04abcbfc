"""Partitions samples by k-means, deterministically for given samples, order and seed."""

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import Floats, as_samples

__all__ = ["kmeans"]

ROWS = 4096


def kmeans(
    samples: ArrayLike,
    num_clusters: int,
    *,
    seed: int = 0,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
) -> Floats:
    """Returns centroids `(num_clusters, d)` of samples by Lloyd's iteration after k-means++.

    Args:
        samples: Samples `(n, d)`, of which at least `num_clusters` are different.
        num_clusters: Number of clusters, at least 1.
        seed: Seed of the initialization. Defaults to 0.
        tolerance: Relative decrease of the sum of squared distances below which the iteration
            stops. Defaults to 1e-3.
        max_iterations: Maximum number of iterations. Defaults to 100.

    Raises:
        TypeError: If `samples` are not real numbers.
        ValueError: If `samples` are not finite, or fewer than `num_clusters` of them are different.

    References:
        Arthur and Vassilvitskii 2007, k-means++: the advantages of careful seeding.
    """
    if num_clusters < 1:
        raise ValueError(f"Expected num_clusters >= 1. Received: num_clusters={num_clusters}.")
    samples = as_samples(samples, "samples")
    center = samples.mean(axis=0)
    centerd = samples - center
    norms = np.einsum("ij,ij->i", centerd, centerd)
    centroids = _start(centerd, norms, num_clusters, np.random.default_rng(seed))
    previous = np.inf
    for _ in range(max_iterations):
        centroids, cost = _step(centerd, norms, centroids)
        if cost >= (1 - tolerance) * previous:
            break
        previous = cost
    return centroids + center


def _start(samples: Floats, norms: Floats, num_clusters: int, rng: np.random.Generator) -> Floats:
    """Draws initial centroids in proportion to the squared distance from earlier centroids."""
    centroids = np.empty((num_clusters, samples.shape[1]))
    squared = np.ones(len(samples))
    rounding = 8 * samples.shape[1] * np.finfo(np.float64).eps * norms.max()
    for index in range(num_clusters):
        cumulative = squared.cumsum()
        if cumulative[-1] == 0:
            raise ValueError(
                f"Expected at least {num_clusters} different samples, one for each cluster. "
                f"Received: {index} among {len(samples)}. Lower num_clusters."
            )
        drawn = np.searchsorted(cumulative, rng.uniform(high=cumulative[-1]), side="right")
        centroids[index] = samples[drawn]
        distance = norms + norms[drawn] - 2 * (samples @ samples[drawn])
        distance[distance <= rounding] = 0  # a duplicate cannot be drawn
        squared = distance if index == 0 else np.minimum(squared, distance)
    return centroids


def _step(samples: Floats, norms: Floats, centroids: Floats) -> tuple[Floats, float]:
    """Returns the mean of the samples nearest to each centroid, and the cost before the update.

    A centroid without samples moves to one of the samples farthest from their centroids.
    """
    numbers = np.arange(len(centroids))
    totals = np.zeros_like(centroids)
    counts = np.zeros(len(centroids))
    cost = norms.copy()
    offsets = np.einsum("ij,ij->i", centroids, centroids)
    for start in range(0, len(samples), ROWS):
        rows = slice(start, start + ROWS)
        squared = offsets - 2 * (samples[rows] @ centroids.T)
        members = squared.argmin(axis=1) == numbers[:, np.newaxis]
        totals += members.astype(np.float64) @ samples[rows]
        counts += members.sum(axis=1)
        cost[rows] += squared.min(axis=1)
    empty = counts == 0
    farthest = np.argsort(-cost, kind="stable")[: np.count_nonzero(empty)]
    totals[empty], counts[empty] = samples[farthest], 1
    return totals / counts[:, np.newaxis], float(cost.sum())
