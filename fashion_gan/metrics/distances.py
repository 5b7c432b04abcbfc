"""Computes Euclidean distances between two sets, approximately for all pairs, then exactly.

`|x|² + |y|² - 2xy` is fast, but its rounding error scales with the norms, not with the distance.
Hence there are two steps. `blocks` yields approximate squares with a bound on their error. For
pairs that the bound leaves undecided, `between` computes the norm of the difference. The combined
result does not depend on the size of the blocks, and duplicates have distance exactly 0.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["Neighbors", "between", "blocks", "nearest", "where"]

BLOCK_BYTES = 2**25  # glibc's malloc maps new pages for larger blocks, at half the speed
CACHE_BYTES = 2**20


class Neighbors(NamedTuple):
    """Holds ascending distances and indices of the nearest references, both `(n, count)`."""

    distances: Floats
    indices: NDArray[np.intp]


def nearest(queries: ArrayLike, references: ArrayLike, count: int = 1) -> Neighbors:
    """Finds the nearest references of each query, with ties in the order of the references.

    A query that is among the references is its own neighbor, at distance 0. Memory use is a copy of
    the references plus a few times `BLOCK_BYTES`, independent of the number of samples.

    Args:
        queries: Samples `(n, d)`.
        references: Samples `(m, d)`, `m >= count`.
        count: Number of neighbors to find. Defaults to 1.

    Raises:
        TypeError: If samples are not real numbers.
        ValueError: If samples are not finite or differ in `d`, or unless `1 <= count <= m`.
    """
    queries, references = as_samples(queries, "queries"), as_samples(references, "references")
    check_dims(queries=queries, references=references)
    if not 1 <= count <= len(references):
        raise ValueError(
            f"Expected 1 <= count <= {len(references)}, the number of references. "
            f"Received: count={count}."
        )
    distances = np.empty((len(queries), count))
    indices = np.empty((len(queries), count), np.intp)
    for block, squared, error in blocks(queries, references):
        bound = np.partition(squared, count - 1)[:, count - 1] if count > 1 else squared.min(axis=1)
        rows, columns = where(squared <= bound[:, np.newaxis] + 2 * error)
        exact = between(queries[block], references, rows, columns)
        ranked = np.lexsort((exact, rows))  # stable: ties keep the order of the references
        first = np.searchsorted(rows, np.arange(len(squared)))
        best = ranked[first[:, np.newaxis] + np.arange(count)]
        distances[block], indices[block] = exact[best], columns[best]
    return Neighbors(distances, indices)


def blocks(queries: Floats, references: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
    """Computes approximate squared distances of all references to a block of queries at a time.

    Yields:
        Tuples `(rows, squared, error)`. `squared` `(b, m)` belongs to `queries[rows]` and differs
        from the exact value by at most `error` `(b, 1)`. It may be slightly negative.
    """
    center = references.mean(axis=0)  # centered samples have smaller norms and thus errors
    right = _with_norms(references, center)
    norms = right[:, -2].copy()
    right[:, :-2] *= -2
    right[:, -2], right[:, -1] = 1, norms  # so that one product gives |x|² + |y|² - 2xy
    largest = np.sqrt(norms.max())
    # Twice the error bound of a sum of d + 2 products: the other half is for errors of `between`.
    unit = (right.shape[1] + 8) * np.finfo(np.float64).eps
    step = max(1, BLOCK_BYTES // (8 * sum(references.shape)))
    for start in range(0, len(queries), step):
        left = _with_norms(queries[start : start + step], center)
        error = unit * (np.sqrt(left[:, -2:-1]) + largest) ** 2
        yield slice(start, start + len(left)), left @ right.T, error


def _with_norms(samples: Floats, center: Floats) -> Floats:
    """Returns the centered samples, their squared norms, and ones, as `(n, d + 2)`."""
    padded = np.empty((len(samples), samples.shape[1] + 2))
    shifted = np.subtract(samples, center, out=padded[:, :-2])
    np.einsum("ij,ij->i", shifted, shifted, out=padded[:, -2])
    padded[:, -1] = 1
    return padded


def where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the rows and columns of true entries, several times as fast as `np.nonzero`."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def between(
    queries: Floats, references: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Floats:
    """Computes `|queries[rows] - references[columns]|` to within a few rounding errors."""
    distances = np.empty(len(rows))
    step = max(1, CACHE_BYTES // (8 * queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = queries[rows[part]]
        difference -= references[columns[part]]
        distances[part] = np.linalg.norm(difference, axis=1)
    return distances
