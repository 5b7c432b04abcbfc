"""Computes the Vendi score, a measure of diversity that needs no reference set."""

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import as_samples

__all__ = ["vendi_score"]


def vendi_score(features: ArrayLike) -> float:
    r"""Computes the effective number of different samples, from 1 to `n`.

    It is $\exp(-\sum_i \lambda_i \log \lambda_i)$ with the eigenvalues $\lambda$ of $K / n$,
    where $K$ holds the cosine similarities of all pairs of features. It grows with `n`, so only
    compare scores with the same `n`.

    The eigenvalues are those of a matrix with `min(n, d)` rows, since $X X^T$ and $X^T X$ have the
    same nonzero eigenvalues.

    Args:
        features: Features `(n, d)`, without rows of zeros.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If features are not finite, or all 0 in one sample.

    References:
        Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410.
    """
    samples = as_samples(features, "features")
    norms = np.linalg.norm(samples, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(
            "Expected features that are not all 0, since they have no direction. Received: "
            f"{np.count_nonzero(norms == 0)} such samples of {len(samples)}. Choose another layer."
        )
    unit = samples / norms
    matrix = unit.T @ unit if len(unit) > unit.shape[1] else unit @ unit.T
    values = np.linalg.eigvalsh(matrix / len(unit))
    values = values[values > 0]
    return float(np.exp(-np.sum(values * np.log(values))))
