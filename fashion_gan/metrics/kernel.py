"""Kernel distance: the squared maximum mean discrepancy of two sets of features, unbiased."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["KernelDistance", "kernel_distance"]


@dataclass(frozen=True)
class KernelDistance:
    """Mean and population standard deviation of the distance over the subsets."""

    mean: float
    std: float


def kernel_distance(
    real: ArrayLike, fake: ArrayLike, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Squared MMD under the kernel `(x @ y / d + 1) ** 3`, over random subsets.

    Unbiased: around 0, and as often below as above, if both sets have one distribution. The subsets
    are drawn without replacement; with `size = n` on both sides each of them is the whole.

    Args:
        real: features `(n, d)`.
        fake: features `(m, d)`.
        subsets: how many pairs of subsets, at least 1.
        size: samples in each subset, at least 2 and at most `min(n, m)`.
        seed: of the draws.

    Raises:
        TypeError: if features are not real numbers.
        ValueError: if they are too few, not finite, or of different `d`; for unusable arguments.

    References:
        Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401, section 4.
    """
    if subsets < 1 or size < 2:
        raise ValueError(
            f"Expected subsets >= 1 and size >= 2. Received: subsets={subsets}, size={size}."
        )
    real, fake = as_samples(real, "real"), as_samples(fake, "fake")
    check_dims(real=real, fake=fake)
    if min(len(real), len(fake)) < size:
        raise ValueError(
            f"Expected at least size={size} samples on both sides. Received {len(real)} real and "
            f"{len(fake)} fake. Give more, or lower size, for all the scores to be compared."
        )
    rng = np.random.default_rng(seed)
    values = [
        _squared_mmd(
            real[rng.choice(len(real), size, replace=False)],
            fake[rng.choice(len(fake), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def _squared_mmd(x: Floats, y: Floats) -> float:
    """The U-statistic for two sets of equal size: no sample is paired with itself."""
    size, dim = x.shape
    itself = sum(np.sum((np.einsum("ij,ij->i", z, z) / dim + 1) ** 3) for z in (x, y))
    within = _kernel_sum(x, x) + _kernel_sum(y, y) - itself
    return float(within / (size * (size - 1)) - 2 * _kernel_sum(x, y) / size**2)


def _kernel_sum(x: Floats, y: Floats) -> float:
    """Sum of the kernel over all pairs."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    return float(np.einsum("ij,ij,ij->i", base, base, base).sum())
