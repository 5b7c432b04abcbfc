"""Validates samples and converts them to a finite float64 matrix."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "as_samples", "check_dims"]

Floats = NDArray[np.float64]


def as_samples(x: ArrayLike, name: str) -> Floats:
    """Converts `x` to C-contiguous float64 `(n, d)`, with one row for each sample or image.

    Args:
        x: Real numbers of any dtype, `(n, ...)`.
        name: Name of the argument, for the message.

    Raises:
        TypeError: If `x` are not real numbers.
        ValueError: If `x` has no second axis, is empty, or holds NaN or infinity.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Expected {name} as floats or integers. Received: dtype={array.dtype}.")
    if array.ndim < 2 or not array.size:
        raise ValueError(
            f"Expected {name} of shape (samples, features), both at least 1. "
            f"Received: shape={array.shape}."
        )
    samples = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float64)
    broken = np.count_nonzero(~np.isfinite(samples).all(axis=1))
    if broken:
        raise ValueError(
            f"Expected finite {name} samples. Received: NaN or infinity in {broken} of "
            f"{len(samples)}. If a generator made them, its training has diverged."
        )
    return samples


def check_dims(**arrays: Floats) -> None:
    """Checks that the last axes of arrays are equal; the keywords name the arrays.

    Raises:
        ValueError: If the last axes differ. The message lists each array and its number of
            features.
    """
    dims = {name: array.shape[-1] for name, array in arrays.items()}
    if len(set(dims.values())) > 1:
        received = ", ".join(f"{name} with {dim}" for name, dim in dims.items())
        raise ValueError(
            f"Expected the same number of features. Received: {received}. "
            "Compute all of them in one feature space."
        )
