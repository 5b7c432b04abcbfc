"""Computes health signals that separate balanced GANs from collapsing ones."""

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
"""Cross-entropy of a discriminator at chance level, the smallest scale of losses."""


def median_nn_distance(samples: ArrayLike) -> float:
    """Returns the median distance of a sample to its nearest other sample.

    It is 0 if half of the samples are copies. It decreases slowly with the number of samples, so
    only compare sets of the same size.

    Args:
        samples: Features `(n, d)` or images, `n >= 2`.

    Raises:
        TypeError: If the samples are not real numbers.
        ValueError: If the samples are not finite, or fewer than two.
    """
    samples = as_samples(samples, "samples")
    return float(np.median(nearest(samples, samples, count=2).distances[:, 1]))


def diversity(real: ArrayLike, fake: ArrayLike) -> float:
    """Computes the spread of the fakes relative to the spread of equally many reals.

    It is 1 if both sets are equally diverse, and 0 if half of the fakes are copies.

    Args:
        real: Features `(n, d)`. The first `min(n, m)` are used.
        fake: Features `(m, d)`. The first `min(n, m)` are used.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If features are not finite, differ in `d`, or are fewer than two; if half of the
            reals are copies, since the baseline is 0 then.
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
    """Returns the expected total variation between the shares of two random sets.

    Each set has `count` samples. In the normal approximation, the mean absolute difference of two
    independent binomial shares is `sqrt(4 p (1 - p) / (pi count))`. The result is half of its sum
    over the classes.
    """
    p = np.asarray(shares, np.float64)
    return float(np.sqrt(4 * p * (1 - p) / (np.pi * count)).sum() / 2)


def mode_rotation(before: ArrayLike, now: ArrayLike, count: int) -> float:
    """Computes the fraction of samples that changed class, beyond sampling noise.

    It is the total variation between two histograms minus `sampling_noise` of their mean, in
    [0, 1].

    Args:
        before: Earlier shares of the classes `(k,)`, summing to 1.
        now: Current shares of the classes `(k,)`, summing to 1.
        count: Number of samples in each histogram.

    Raises:
        ValueError: If the shapes differ.
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
    """Computes the standard deviation of losses around their linear trend over their magnitude.

    A constant or linear loss has 0. A loss that alternates between `a - b` and `a + b` has nearly
    `b / a`. The magnitude is the mean absolute loss, but at least log 2, the loss at chance level.

    Args:
        losses: Losses of consecutive epochs. Fewer than 4 losses give 0. A loss that is not finite
            gives infinity.
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
    """Computes the growth of a loss from the first to the last third of the epochs.

    The growth is relative to the first third: 0 for a constant loss, 1 for a loss that doubled,
    negative for a falling loss. A first third with a magnitude below log 2, the loss at chance
    level, counts as log 2.

    Args:
        losses: Losses of consecutive epochs. Fewer than 3 losses give 0. A loss that is not finite
            gives infinity.
    """
    values = np.asarray(losses, np.float64)
    if not np.isfinite(values).all():
        return float("inf")
    third = len(values) // 3
    if third == 0:
        return 0.0
    first, last = values[:third].mean(), values[-third:].mean()
    return float((last - first) / max(abs(first), CHANCE_LOSS))
