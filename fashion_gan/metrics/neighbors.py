"""What nearest neighbors tell: whether two sets fill the same space, and whether one is copied."""

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
]


@dataclass(frozen=True, eq=False)
class Manifold:
    """Samples `(n, d)`, and around each a ball that reaches to its `k`-th neighbor: radii `(n,)`.

    The union of the balls stands for the space that the samples fill.
    """

    samples: Floats
    radii: Floats
    k: int


@dataclass(frozen=True)
class PRDC:
    """How far two manifolds agree; all but `density` are shares in [0, 1].

    Attributes:
        precision: share of the fakes that lie in a ball of a real.
        recall: share of the reals that lie in a ball of a fake.
        density: mean number of reals' balls around a fake, over `k`; near 1 if both agree.
        coverage: share of the reals with a fake in their ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class NeighborPair(NamedTuple):
    """Sample number `query`, its nearest reference, and how far they are apart."""

    query: int
    reference: int
    distance: float


def manifold(samples: ArrayLike | Manifold, k: int = 5) -> Manifold:
    """Measure the balls around samples `(n, d)`; a manifold of the same `k` is returned as it is.

    Duplicates count as neighbors: a sample with `k` of them has a ball of radius 0.

    Raises:
        TypeError: if `samples` are not real numbers.
        ValueError: if they are not finite, unless `1 <= k < n`, or for a manifold of another `k`.
    """
    if isinstance(samples, Manifold):
        if samples.k != k:
            raise ValueError(
                f"Expected a manifold of k={k}. Received one of k={samples.k}. "
                "Build it again, or pass its k."
            )
        return samples
    samples = as_samples(samples, "samples")
    if not 1 <= k < len(samples):
        raise ValueError(
            f"Expected k >= 1 and at least k + 1 samples. Received: k={k}, {len(samples)} samples. "
            "Give more samples, or choose another k for all the scores to be compared."
        )
    return Manifold(samples, nearest(samples, samples, k + 1).distances[:, -1], k)


def prdc(real: ArrayLike | Manifold, fake: ArrayLike | Manifold, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage, from one pass over all pairs.

    Balls are open, as in the `prdc` package of Naeem et al.; so a copy of the reals has density 1.
    Precision and recall change places with the arguments; density and coverage have no such pair.

    Args:
        real: features `(n, d)`, `n > k`, or `manifold(features, k)`, which is worth keeping.
        fake: features `(m, d)`, `m > k`, or their manifold.
        k: neighbors that a ball reaches to.

    Raises:
        TypeError: if features are not real numbers.
        ValueError: if they are too few, not finite, or of different `d`, or a manifold's `k` is.

    References:
        Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991: precision and recall.
        Naeem et al. 2020, https://arxiv.org/abs/2002.09797: density and coverage, with k = 5.
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


def memorization_ratio(test: ArrayLike, fake: ArrayLike) -> float:
    """Median distance fake to train over median distance test to train; well below 1 is copying.

    Args:
        test: distances of test images to their nearest train images, `(n,)`: those of
            `nearest(test_images, train_images)`, which are worth keeping.
        fake: the same of generated images, `(m,)`.

    Raises:
        ValueError: if half of the test samples are train samples: then there is no baseline.
    """
    baseline = np.median(np.asarray(test))
    if baseline == 0:
        raise ValueError(
            "Expected test samples that differ from the train samples. Received a median distance "
            "of 0 between them. Take test samples that no model was trained on."
        )
    return float(np.median(np.asarray(fake)) / baseline)


def copied_share(test: ArrayLike, fake: ArrayLike, quantile: float = 0.05) -> float:
    """Computes the share of fakes that are nearer to a train image than test images ever are.

    A fake counts if its nearest train image is no further than that of the nearest `quantile` of
    the test images. What test images reach by chance or as duplicates is subtracted, so that 0
    means no copies. In contrast to the median of `memorization_ratio`, it sees few copies among
    many fakes, and fakes that are poor do not hide copies.

    Args:
        test: Distances of test images to their nearest train images, `(n,)`.
        fake: Distances of generated images to their nearest train images, `(m,)`.
        quantile: Share of the test images that count as near, in (0, 1). Defaults to 0.05.

    Returns:
        Share in [-1, 1], with a standard error of about `sqrt(quantile * (1 / n + 1 / m))` at 0.

    Raises:
        ValueError: For another quantile.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"Expected 0 < quantile < 1. Received: quantile={quantile}.")
    test, fake = np.asarray(test), np.asarray(fake)
    near = np.quantile(test, quantile, method="lower")
    return float(np.mean(fake <= near) - np.mean(test <= near))


def closest_pairs(neighbors: Neighbors, count: int) -> list[NeighborPair]:
    """The `count` queries nearest to a reference, or all if there are fewer; nearest first.

    Raises:
        ValueError: unless `count >= 1`.
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
    """Whether each pair is less than its radius apart; `radii` broadcast against `squared`."""
    closer = squared < radii**2 - error
    rows, columns = where(closer != (squared <= radii**2 + error))
    limits = np.broadcast_to(radii, squared.shape)[rows, columns]
    closer[rows, columns] = between(queries, references, rows, columns) < limits
    return closer
