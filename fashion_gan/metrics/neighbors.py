"""Measures overlap and copying between two sets by nearest neighbors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.distances import Neighbors, between, blocks, nearest, where
from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = [
    "Manifold",
    "PRDC",
    "NeighborPair",
    "closest_pairs",
    "copied_share",
    "memorization_ratio",
    "manifold",
    "prdc",
    "realism",
]


@dataclass(frozen=True, eq=False)
class Manifold:
    """Holds samples `(n, d)`, and the radii `(n,)` of balls that reach to their `k`-th neighbors.

    The union of the balls approximates the manifold of the samples.
    """

    samples: Floats
    radii: Floats
    k: int


@dataclass(frozen=True)
class PRDC:
    """Holds the agreement of two manifolds; all numbers but `density` are fractions in [0, 1].

    Attributes:
        precision: Fraction of the fakes that lie in the ball of a real.
        recall: Fraction of the reals that lie in the ball of a fake.
        density: Mean number of reals whose balls contain a fake, divided by `k`. Near 1 if the
            manifolds agree.
        coverage: Fraction of the reals with a fake in their ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class NeighborPair(NamedTuple):
    """Holds the index of a query, the index of its nearest reference, and their distance."""

    query: int
    reference: int
    distance: float


def manifold(samples: ArrayLike | Manifold, k: int = 5) -> Manifold:
    """Computes the balls around samples `(n, d)`, and returns a manifold of the same `k` unchanged.

    Duplicates count as neighbors, so a sample with `k` duplicates has a ball of radius 0.

    Raises:
        TypeError: If `samples` are not real numbers.
        ValueError: If `samples` are not finite or are a manifold of another `k`; unless
            `1 <= k < n`.
    """
    if isinstance(samples, Manifold):
        if samples.k != k:
            raise ValueError(
                f"Expected a manifold of k={k}. Received: one of k={samples.k}. "
                "Build it again, or pass its k."
            )
        return samples
    samples = as_samples(samples, "samples")
    if not 1 <= k < len(samples):
        raise ValueError(
            f"Expected k >= 1 and at least k + 1 samples. Received: k={k}, {len(samples)} samples. "
            "Pass more samples, or lower k for all compared scores."
        )
    return Manifold(samples, nearest(samples, samples, k + 1).distances[:, -1], k)


def prdc(real: ArrayLike | Manifold, fake: ArrayLike | Manifold, k: int = 5) -> PRDC:
    """Computes precision, recall, density and coverage in one pass over all pairs.

    Balls are open, as in the `prdc` package of Naeem et al., so a copy of the reals has density 1.
    Swapping the arguments swaps precision and recall. Density and coverage have no such symmetry.

    Args:
        real: Features `(n, d)`, `n > k`, or `manifold(features, k)`, which can be reused.
        fake: Features `(m, d)`, `m > k`, or `manifold(features, k)`.
        k: Number of the neighbor that a ball reaches to. Defaults to 5.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If features are too few, not finite, or differ in `d`; if a manifold has another
            `k`.

    References:
        Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991, for precision and recall.
        Naeem et al. 2020, https://arxiv.org/abs/2002.09797, for density and coverage, with k = 5.
    """
    real, fake = manifold(real, k), manifold(fake, k)
    check_dims(real=real.samples, fake=fake.samples)
    hits = np.zeros(len(fake.samples), np.int64)
    covered = np.empty(len(real.samples), bool)
    recalled = np.empty(len(real.samples), bool)
    for rows, squared, error in blocks(real.samples, fake.samples):
        pairs = real.samples[rows], fake.samples
        in_real = _closer(squared, error, real.radii[rows, np.newaxis], *pairs)
        in_fake = _closer(squared, error, fake.radii[np.newaxis], *pairs)
        hits += in_real.sum(axis=0)
        covered[rows] = in_real.any(axis=1)
        recalled[rows] = in_fake.any(axis=1)
    return PRDC(
        precision=float(np.mean(hits > 0)),
        recall=float(np.mean(recalled)),
        density=float(np.mean(hits) / k),
        coverage=float(np.mean(covered)),
    )


def realism(real: ArrayLike | Manifold, fake: ArrayLike, k: int = 5) -> Floats:
    """Computes the realism of each fake: how deep it lies in the ball of a real.

    The realism is the maximum of a real's radius divided by its distance to the fake, over the
    reals. At 1 or above, the fake lies in a ball. The half of the reals with the largest radii is
    left out, since their balls are too wide to say much. A copy of a real has infinite realism.

    Args:
        real: Features `(n, d)`, `n > k`, or `manifold(features, k)`.
        fake: Features `(m, d)`.
        k: Number of the neighbor that a ball reaches to. Defaults to 5.

    Returns:
        Realism `(m,)`.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If features are too few, not finite, or differ in `d`; if a manifold has another
            `k`.

    References:
        Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991, equation 3.
    """
    real, fake = manifold(real, k), as_samples(fake, "fake")
    check_dims(real=real.samples, fake=fake)
    kept = np.argsort(real.radii, kind="stable")[: (len(real.radii) + 1) // 2]
    samples, radii = real.samples[kept], real.radii[kept]
    result = np.empty(len(fake))
    for rows, squared, error in blocks(fake, samples):
        best = (radii**2 / np.maximum(squared, error)).argmax(axis=1)
        distances = between(fake[rows], samples, np.arange(len(best)), best)
        with np.errstate(divide="ignore", invalid="ignore"):
            result[rows] = radii[best] / distances
    result[nearest(fake, samples).distances[:, 0] == 0] = np.inf
    return result


def memorization_ratio(test: ArrayLike, fake: ArrayLike) -> float:
    """Computes the median fake-to-train distance divided by the median test-to-train distance.

    Values well below 1 indicate copying.

    Args:
        test: Distances of test images to their nearest training images, `(n,)`, from
            `nearest(test_images, train_images)`. Reuse them for several calls.
        fake: Distances of generated images to their nearest training images, `(m,)`.

    Raises:
        ValueError: If half of the test samples are training samples, since the baseline is 0 then.
    """
    baseline = np.median(np.asarray(test))
    if baseline == 0:
        raise ValueError(
            "Expected test samples that differ from the train samples. Received: a median "
            "distance of 0 between them. Pass test samples that no model was trained on."
        )
    return float(np.median(np.asarray(fake)) / baseline)


def copied_share(test: ArrayLike, fake: ArrayLike, quantile: float = 0.05) -> float:
    """Computes the excess fraction of fakes near a training image, relative to test images.

    A fake counts if the distance to its nearest training image is at most the `quantile` of the
    distances of the test images. The fraction of test images within this distance, by chance or as
    duplicates, is subtracted, so that 0 means no copies. Unlike the median of `memorization_ratio`,
    this number detects few copies among many fakes, and poor fakes do not hide copies.

    Args:
        test: Distances of test images to their nearest training images, `(n,)`.
        fake: Distances of generated images to their nearest training images, `(m,)`.
        quantile: Fraction of the test images that count as near, in (0, 1). Defaults to 0.05.

    Returns:
        Fraction in [-1, 1], with a standard error of about `sqrt(quantile * (1 / n + 1 / m))` at 0.

    Raises:
        ValueError: If `quantile` is not in (0, 1).
    """
    if not 0 < quantile < 1:
        raise ValueError(f"Expected 0 < quantile < 1. Received: quantile={quantile}.")
    test, fake = np.asarray(test), np.asarray(fake)
    near = np.quantile(test, quantile, method="lower")
    return float(np.mean(fake <= near) - np.mean(test <= near))


def closest_pairs(neighbors: Neighbors, count: int) -> list[NeighborPair]:
    """Returns up to `count` queries with the smallest distance to a reference, in ascending order.

    Raises:
        ValueError: Unless `count >= 1`.
    """
    if count < 1:
        raise ValueError(f"Expected count >= 1. Received: count={count}.")
    distances = neighbors.distances[:, 0]
    return [
        NeighborPair(int(query), int(neighbors.indices[query, 0]), float(distances[query]))
        for query in np.argsort(distances, kind="stable")[:count]
    ]


def _closer(
    squared: Floats, error: Floats, radii: Floats, queries: Floats, references: Floats
) -> NDArray[np.bool_]:
    """Returns whether the distance of each pair is below its radius.

    `radii` broadcast against `squared`.
    """
    closer = squared < radii**2 - error
    rows, columns = where(closer != (squared <= radii**2 + error))
    limits = np.broadcast_to(radii, squared.shape)[rows, columns]
    closer[rows, columns] = between(queries, references, rows, columns) < limits
    return closer
