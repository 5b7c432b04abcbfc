"""Class balance: whether every class is made, and how evenly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ClassBalance", "class_balance"]


@dataclass(frozen=True)
class ClassBalance:
    """How labels spread over the classes.

    Attributes:
        shares: of the labels in each class, summing to 1.
        entropy: of the shares, in nats: 0 for one class, `log(num_classes)` for even shares.
        normalized_entropy: the entropy over its maximum, in [0, 1].
        total_variation: share of the labels that would have to change class for even shares.
        missing: the classes with less than `missing_below` of the labels, by name.
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
    """Measure how evenly labels spread over the classes.

    Args:
        labels: integers `(n,)` in `0..num_classes - 1`, such as a classifier's predictions.
        num_classes: at least 2.
        names: of the classes; by default their numbers.
        missing_below: the share from which on a class counts as present.

    Raises:
        TypeError: if `labels` are not integers.
        ValueError: if there are none, or one is out of range; for a wrong number of names.
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
            f"Received labels from {labels.min()} to {labels.max()}."
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
