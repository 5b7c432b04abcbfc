"""Euclidean distances between two sets: all pairs by BLAS in blocks, the ones that count exactly.

`|x|² + |y|² - 2xy` is fast, but its rounding error is one of the norms, not of the distance. Hence
two steps. `blocks` gives approximate squares with a bound of their error; whatever the bound leaves
undecided is settled by `between`, which takes differences first. What comes out of both does not
depend on the size of the blocks, and duplicates are exactly 0 apart.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["Neighbors", "between", "blocks", "nearest", "where"]

BLOCK_BYTES = 2**25  # glibc's malloc maps fresh pages for anything larger, at half the speed
CACHE_BYTES = 2**20


class Neighbors(NamedTuple):
    """Distances, ascending, and indices of the `count` nearest references: both `(n, count)`."""

    distances: Floats
    indices: NDArray[np.intp]


def nearest(queries: ArrayLike, references: ArrayLike, count: int = 1) -> Neighbors:
    """The nearest references of each query; of two at the same distance, the first one first.

    A query that is among the references is its own neighbor, at distance 0. Besides a copy of the
    references, memory stays at a few times `BLOCK_BYTES`, whatever the numbers of samples.

    Args:
        queries: samples `(n, d)`.
        references: samples `(m, d)`, `m >= count`.
        count: how many neighbors to find.

    Raises:
        TypeError: if samples are not real numbers.
        ValueError: if they are not finite or of different `d`, or unless `1 <= count <= m`.
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
        ranked = np.lexsort((exact, rows))  # stable: equals stay in the order of the references
        first = np.searchsorted(rows, np.arange(len(squared)))
        best = ranked[first[:, np.newaxis] + np.arange(count)]
        distances[block], indices[block] = exact[best], columns[best]
    return Neighbors(distances, indices)


def blocks(queries: Floats, references: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
    """Approximate squared distances, all references for some of the queries at a time.

    Yields:
        `(rows, squared, error)`: `squared` `(b, m)` belongs to `queries[rows]`, and differs from
        the truth by at most `error` `(b, 1)`. Slightly negative squares occur.
    """
    center = references.mean(axis=0)  # nearer to 0, the norms and thus the errors are smaller
    right = _with_norms(references, center)
    norms = right[:, -2].copy()
    right[:, :-2] *= -2
    right[:, -2], right[:, -1] = 1, norms  # so that one product gives |x|² + |y|² - 2xy
    largest = np.sqrt(norms.max())
    # Twice the bound of a rounded sum of d + 2 products: `between` may use up the other half.
    unit = (right.shape[1] + 8) * np.finfo(np.float64).eps
    step = max(1, BLOCK_BYTES // (8 * sum(references.shape)))
    for start in range(0, len(queries), step):
        left = _with_norms(queries[start : start + step], center)
        error = unit * (np.sqrt(left[:, -2:-1]) + largest) ** 2
        yield slice(start, start + len(left)), left @ right.T, error


def _with_norms(samples: Floats, center: Floats) -> Floats:
    """`(n, d + 2)`: the samples less the center, their squared norms, and ones."""
    padded = np.empty((len(samples), samples.shape[1] + 2))
    shifted = np.subtract(samples, center, out=padded[:, :-2])
    np.einsum("ij,ij->i", shifted, shifted, out=padded[:, -2])
    padded[:, -1] = 1
    return padded


def where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of all that is true in a mask: `np.nonzero`, several times as fast."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def between(
    queries: Floats, references: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Floats:
    """Distances `|queries[rows] - references[columns]|`, to within a few units of rounding."""
    distances = np.empty(len(rows))
    step = max(1, CACHE_BYTES // (8 * queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = queries[rows[part]]
        difference -= references[columns[part]]
        distances[part] = np.linalg.norm(difference, axis=1)
    return distances
