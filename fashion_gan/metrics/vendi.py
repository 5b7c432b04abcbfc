"""Vendi score: how many different samples a set amounts to, without anything to compare with."""

import numpy as np
from numpy.typing import ArrayLike

from fashion_gan.metrics.samples import as_samples

__all__ = ["vendi_score"]


def vendi_score(features: ArrayLike) -> float:
    r"""Computes the effective number of different samples, from 1 to `n`.

    It is $\exp(-\sum_i \lambda_i \log \lambda_i)$ with the eigenvalues $\lambda$ of $K / n$,
    where $K$ holds the cosines of all pairs of features. It grows with `n`: compare only scores of
    one count.

    The cost is that of a matrix of `min(n, d)` rows, since $X X^T$ and $X^T X$ have the same
    eigenvalues.

    Args:
        features: Features `(n, d)`, none of them all 0.

    Raises:
        TypeError: If features are not real numbers.
        ValueError: If they are not finite, or all 0 in one sample.

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
