"""Measures class balance: whether all classes are generated, and how evenly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ClassBalance", "class_balance"]


@dataclass(frozen=True)
class ClassBalance:
    """Describes the distribution of labels over the classes.

    Attributes:
        shares: Fraction of the labels in each class, summing to 1.
        entropy: Entropy of the shares, in nats: 0 for one class, `log(num_classes)` for even
            shares.
        normalized_entropy: Entropy divided by its maximum, in [0, 1].
        total_variation: Fraction of the labels that would have to change class for even shares.
        missing: Names of the classes with less than `missing_below` of the labels.
    """

    shares: tuple[float, ...]
    entropy: float
    normalized_entropy: float
    total_variation: float
    missing: tuple[str, ...]


def class_balance(
    labels: ArrayLike,
    num_classes: int,
    *,
    names: Sequence[str] | None = None,
    missing_below: float = 0.01,
) -> ClassBalance:
    """Measures how evenly labels are distributed over the classes.

    Args:
        labels: Integers `(n,)` in `0..num_classes - 1`, such as a classifier's predictions.
        num_classes: Number of classes, at least 2.
        names: Names of the classes. Defaults to the class numbers.
        missing_below: Fraction of the labels below which a class is missing. Defaults to 0.01.

    Raises:
        TypeError: If `labels` are not integers.
        ValueError: If `labels` are empty or out of range; if the number of names is wrong.
    """
    names = tuple(map(str, range(num_classes) if names is None else names))
    if num_classes < 2 or len(names) != num_classes:
        raise ValueError(
            "Expected num_classes >= 2 and as many names. "
            f"Received: num_classes={num_classes}, names={names}."
        )
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"Expected integer labels; argmax makes them. Received: dtype={labels.dtype}."
        )
    if labels.ndim != 1 or not labels.size:
        raise ValueError(f"Expected labels of shape (n,), n >= 1. Received: shape={labels.shape}.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"Expected labels in 0..{num_classes - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    present = shares[shares > 0]
    entropy = float(np.sum(present * np.log(1 / present)))
    return ClassBalance(
        shares=tuple(shares.tolist()),
        entropy=entropy,
        normalized_entropy=entropy / float(np.log(num_classes)),
        total_variation=float(np.abs(shares - 1 / num_classes).sum() / 2),
        missing=tuple(
            name for name, share in zip(names, shares, strict=True) if share < missing_below
        ),
    )
