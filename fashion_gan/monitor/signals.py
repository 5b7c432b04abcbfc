"""Signals of health: numbers that tell a balanced GAN from one that collapses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.distances import nearest
from fashion_gan.metrics.samples import as_samples, check_dims

__all__ = [
    "diversity",
    "loss_oscillation",
    "loss_growth",
    "mode_rotation",
    "sampling_noise",
    "median_nn_distance",
]

CHANCE_LOSS = float(np.log(2))
"""Cross-entropy of a discriminator that guesses: the unit of losses that are near 0."""


def median_nn_distance(samples: ArrayLike) -> float:
    """Median distance of a sample to its nearest other one; half of them being copies, it is 0.

    It shrinks slowly as there are more samples: compare sets of the same size.

    Args:
        samples: features `(n, d)`, or images, `n >= 2`.

    Raises:
        TypeError: if the samples are not real numbers.
        ValueError: if they are not finite, or fewer than two.
    """
    samples = as_samples(samples, "samples")
    return float(np.median(nearest(samples, samples, count=2).distances[:, 1]))


def diversity(real: ArrayLike, fake: ArrayLike) -> float:
    """How far apart the fakes are, relative to as many reals: 1 if they are alike, 0 for copies.

    Args:
        real: features `(n, d)`; the first `min(n, m)` count.
        fake: features `(m, d)`, likewise.

    Raises:
        TypeError: if features are not real numbers.
        ValueError: if they are not finite, of different `d`, or fewer than two; if half of the
            reals are copies, since then there is no baseline.
    """
    real, fake = as_samples(real, "real"), as_samples(fake, "fake")
    check_dims(real=real, fake=fake)
    count = min(len(real), len(fake))
    baseline = median_nn_distance(real[:count])
    if baseline == 0:
        raise ValueError(
            f"Expected different reals. Received: half of the first {count} are copies. "
            "Remove the duplicates."
        )
    return median_nn_distance(fake[:count]) / baseline


def sampling_noise(shares: ArrayLike, count: int) -> float:
    """Total variation to expect between the shares of two random sets of `count` samples.

    The mean absolute difference of two independent binomial shares, in the normal approximation,
    is `sqrt(4 p (1 - p) / (pi count))`; this is half of its sum over the classes.
    """
    p = np.asarray(shares, np.float64)
    return float(np.sqrt(4 * p * (1 - p) / (np.pi * count)).sum() / 2)


def mode_rotation(before: ArrayLike, now: ArrayLike, count: int) -> float:
    """Share of the samples that changed class since the last time, beyond what chance explains.

    Total variation between two histograms, less `sampling_noise` of their mean, in [0, 1].

    Args:
        before: shares of the classes `(k,)`, summing to 1.
        now: the same, later.
        count: samples behind each.

    Raises:
        ValueError: if the shapes differ.
    """
    p, q = np.asarray(before, np.float64), np.asarray(now, np.float64)
    if p.shape != q.shape or p.ndim != 1:
        raise ValueError(
            "Expected two histograms of the same classes. "
            f"Received: before.shape={p.shape}, now.shape={q.shape}."
        )
    distance = np.abs(p - q).sum() / 2
    return float(max(0.0, distance - sampling_noise((p + q) / 2, count)))


def loss_oscillation(losses: Sequence[float]) -> float:
    """Standard deviation of losses around their straight line, over their mean size.

    A steady or evenly rising loss has 0, one that alternates between `a - b` and `a + b` nearly
    `b / a`. A mean size below log 2, the loss of guessing, counts as log 2.

    Args:
        losses: of consecutive epochs, at least 4; fewer give 0. Infinite if one is not finite.
    """
    values = np.asarray(losses, np.float64)
    if not np.isfinite(values).all():
        return float("inf")
    if len(values) < 4:
        return 0.0
    time = np.arange(len(values)) - (len(values) - 1) / 2
    centerd = values - values.mean()
    rest = centerd - time * (time @ centerd) / (time @ time)
    return float(np.sqrt(np.mean(rest**2)) / max(np.abs(values).mean(), CHANCE_LOSS))


def loss_growth(losses: Sequence[float]) -> float:
    """How much a loss has grown: last third of the epochs less the first, in units of the first.

    0 for a steady loss, 1 for one that doubled, negative for one that falls. A first third of a
    size below log 2, the loss of guessing, counts as log 2.

    Args:
        losses: of consecutive epochs, at least 3; fewer give 0. Infinite if one is not finite.
    """
    values = np.asarray(losses, np.float64)
    if not np.isfinite(values).all():
        return float("inf")
    third = len(values) // 3
    if third == 0:
        return 0.0
    first, last = values[:third].mean(), values[-third:].mean()
    return float((last - first) / max(abs(first), CHANCE_LOSS))
