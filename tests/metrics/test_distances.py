import tracemalloc

import numpy as np
import pytest

from fashion_gan.metrics import distances, nearest


def by_loops(queries, references, count):
    """Computes all distances from differences, sorted with ties by index."""
    exact = np.array([[np.linalg.norm(q - r) for r in references] for q in queries])
    order = np.argsort(exact, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(exact, order, axis=1), order


def normal(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def grid(n, d=3, seed=0):
    """Returns samples with many duplicates and equal distances."""
    return np.random.default_rng(seed).integers(0, 3, size=(n, d)).astype(float)


def close(n, d=5, seed=0):
    """Pairs 1e-9 apart, around points at distance 1 and more: hopeless for |x|² + |y|² - 2xy."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(1).normal(size=(4, d))
    return centers[rng.integers(4, size=n)] + 1e-9 * rng.normal(size=(n, d))


def far(n, d=5, seed=0):
    return normal(n, d, seed) + 1e7


@pytest.mark.parametrize("make", [normal, grid, close, far])
@pytest.mark.parametrize("count", [1, 2, 6, 50])
def test_nearest_matches_a_loop(make, count):
    queries, references = make(40, seed=2), make(50, seed=3)
    expected, order = by_loops(queries, references, count)
    result = nearest(queries, references, count)
    np.testing.assert_array_equal(result.indices, order)
    np.testing.assert_allclose(result.distances, expected, rtol=1e-13)


@pytest.mark.parametrize("make", [normal, grid, close, far])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("size", [1, 1000, 5000])
def test_nearest_is_bit_for_bit_equal_for_any_block_size(monkeypatch, make, count, size):
    queries, references = make(70, seed=4), make(60, seed=5)
    expected = nearest(queries, references, count)
    monkeypatch.setattr(distances, "BLOCK_BYTES", size)
    monkeypatch.setattr(distances, "CACHE_BYTES", size // 10)
    result = nearest(queries, references, count)
    np.testing.assert_array_equal(result.distances, expected.distances)
    np.testing.assert_array_equal(result.indices, expected.indices)


def test_nearest_finds_a_sample_itself_at_distance_0():
    x = far(30)
    result = nearest(x, x)
    np.testing.assert_array_equal(result.indices[:, 0], np.arange(30))
    np.testing.assert_array_equal(result.distances, 0)


def test_nearest_takes_the_first_of_duplicates():
    result = nearest(np.ones((2, 4)), np.ones((9, 4)), 3)
    np.testing.assert_array_equal(result.indices, [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(result.distances, 0)


def test_nearest_distances_ignore_the_order_of_samples():
    queries, references = normal(40, seed=6), normal(50, seed=7)
    rng = np.random.default_rng(8)
    p, q = rng.permutation(40), rng.permutation(50)
    plain, shuffled = nearest(queries, references, 3), nearest(queries[p], references[q], 3)
    np.testing.assert_array_equal(shuffled.distances, plain.distances[p])
    np.testing.assert_array_equal(q[shuffled.indices], plain.indices[p])


def test_nearest_accepts_one_feature_and_one_reference():
    result = nearest([[1.0], [5.0]], [[2.0]])
    np.testing.assert_array_equal(result.distances, [[1], [3]])
    np.testing.assert_array_equal(result.indices, [[0], [0]])


def test_nearest_flattens_images():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    result = nearest(images, images[::-1], 2)
    flat = images.reshape(6, 16).astype(float)
    np.testing.assert_array_equal(result.distances, nearest(flat, flat[::-1], 2).distances)


def test_nearest_ignores_the_memory_layout():
    x, y = normal(30, 7, seed=1), normal(20, 7, seed=2)
    result = nearest(np.asfortranarray(x), y[::2][::-1], 3)
    np.testing.assert_array_equal(result.distances, nearest(x, y[::2][::-1].copy(), 3).distances)


@pytest.mark.parametrize("make", [normal, close, far])
def test_approximate_squares_are_within_their_error(make):
    queries, references = make(40, 64, seed=2), make(50, 64, seed=3)
    wide = queries.astype(np.longdouble)[:, np.newaxis] - references.astype(np.longdouble)
    for rows, squared, error in distances.blocks(queries, references):
        assert np.all(np.abs(squared - np.sum(wide[rows] ** 2, axis=-1)) <= error / 2)
        assert np.all(error <= 1e-10 * np.sum((references - references.mean(0)) ** 2))


def peak_bytes(function, *arguments):
    tracemalloc.start()
    function(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("count", [1, 6])
def test_nearest_memory_is_constant_in_pairs(monkeypatch, count):
    queries, references = normal(3000, 8), normal(4000, 8, seed=1)
    monkeypatch.setattr(distances, "BLOCK_BYTES", 2**18)
    peak = peak_bytes(nearest, queries, references, count)
    assert 2**18 < peak < 2**21 < 3000 * 4000 * 8 / 40


def test_nearest_memory_is_constant_in_ties(monkeypatch):
    ones = np.ones((400, 300))
    monkeypatch.setattr(distances, "BLOCK_BYTES", 2**18)
    monkeypatch.setattr(distances, "CACHE_BYTES", 2**16)
    assert peak_bytes(nearest, ones, ones, 6) < 2**23 < 400 * 400 * 300 * 8 / 40


@pytest.mark.parametrize("count", [0, 4])
def test_nearest_raises_for_k_out_of_range(count):
    nearest(normal(2), normal(3), 3)
    with pytest.raises(ValueError, match=f"1 <= count <= 3.* Received: count={count}"):
        nearest(normal(2), normal(3), count)
