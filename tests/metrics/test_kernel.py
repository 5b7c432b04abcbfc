import numpy as np
import pytest

from fashion_gan.metrics import kernel_distance


def features(n, d=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, d))


def by_loops(x, y):
    """Computes the unbiased estimate from single kernel values."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    xy = sum(k(a, b) for a in x for b in y)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


def test_kernel_distance_of_whole_sets_is_the_unbiased_estimate():
    x, y = features(30, seed=1), features(30, seed=2, shift=0.5)
    result = kernel_distance(x, y, subsets=3, size=30)
    np.testing.assert_allclose(result.mean, by_loops(x, y), rtol=1e-11)
    assert result.std <= 1e-12 * result.mean


def test_kernel_distance_of_subsets_is_the_mean_and_deviation():
    x, y = features(40, seed=1), features(25, seed=2, shift=0.5)
    rng = np.random.default_rng(9)
    values = [
        by_loops(x[rng.choice(40, 12, replace=False)], y[rng.choice(25, 12, replace=False)])
        for _ in range(5)
    ]
    result = kernel_distance(x, y, subsets=5, size=12, seed=9)
    np.testing.assert_allclose(result.mean, np.mean(values), rtol=1e-10)
    np.testing.assert_allclose(result.std, np.std(values), rtol=1e-10)


@pytest.mark.parametrize("block", [100, 2**25])
def test_kernel_distance_of_all_samples_has_the_deviation_over_halves(block, monkeypatch):
    monkeypatch.setattr("fashion_gan.metrics.kernel.BLOCK_BYTES", block)
    x, y = features(21, seed=1), features(14, seed=2, shift=0.5)
    rng = np.random.default_rng(9)
    halves = [[rng.permutation(n)[: n // 2] for _ in range(4)] for n in (21, 14)]
    values = [by_loops(x[a], y[b]) for a, b in zip(*halves, strict=True)]
    result = kernel_distance(x, y, subsets=4, size=None, seed=9)
    np.testing.assert_allclose(result.mean, by_loops(x, y), rtol=1e-10)
    np.testing.assert_allclose(result.std, np.std(values), rtol=1e-10)


@pytest.mark.parametrize("shift, low, high", [(0.0, 1.0, 2.2), (0.5, 0.75, 1.35)])
def test_kernel_distance_of_all_samples_estimates_its_standard_error(shift, low, high):
    results = [
        kernel_distance(features(100, seed=s), features(150, seed=s + 1, shift=shift), size=None)
        for s in range(0, 200, 2)
    ]
    spread = np.std([result.mean for result in results])
    assert low * spread < np.mean([result.std for result in results]) < high * spread


def test_kernel_distance_of_two_points_matches_the_formula():
    x, y = np.tile([1.0, 2.0], (4, 1)), np.tile([3.0, -1.0], (5, 1))
    expected = (5 / 2 + 1) ** 3 + (10 / 2 + 1) ** 3 - 2 * (1 / 2 + 1) ** 3
    np.testing.assert_allclose(kernel_distance(x, y, size=3).mean, expected, rtol=1e-13)


def test_kernel_distance_within_a_distribution_is_0_on_average():
    distances = [
        kernel_distance(features(50, seed=s), features(50, seed=s + 1), size=50, subsets=1).mean
        for s in range(0, 400, 2)
    ]
    standard_error = np.std(distances) / np.sqrt(len(distances))
    assert -3 * standard_error < np.mean(distances) < 3 * standard_error
    assert 0.3 < np.mean(np.array(distances) < 0) < 0.8


def test_kernel_distance_grows_with_the_shift():
    shifts = [0.0, 0.2, 0.5, 1.0]
    distances = [
        kernel_distance(features(300, seed=1), features(300, seed=2, shift=s), size=100).mean
        for s in shifts
    ]
    assert distances == sorted(distances)


def test_kernel_distance_is_symmetric_and_ignores_order():
    x, y = features(60, seed=1), features(60, seed=2, shift=0.3)
    whole = dict(size=60, subsets=1)
    distance = kernel_distance(x, y, **whole).mean
    np.testing.assert_allclose(kernel_distance(y, x, **whole).mean, distance, rtol=1e-11)
    np.testing.assert_allclose(kernel_distance(x[::-1], y, **whole).mean, distance, rtol=1e-11)


def test_kernel_distance_depends_on_the_seed():
    x, y = features(200, seed=1), features(200, seed=2)
    few = dict(size=50, subsets=4)
    assert kernel_distance(x, y, seed=1, **few) == kernel_distance(x, y, seed=1, **few)
    assert kernel_distance(x, y, seed=1, **few) != kernel_distance(x, y, seed=2, **few)


@pytest.mark.parametrize("real, fake", [(99, 100), (100, 99)])
def test_kernel_distance_raises_for_too_few_samples(real, fake):
    kernel_distance(features(100), features(100), size=100, subsets=1)
    with pytest.raises(ValueError, match=f"size=100 .* Received: {real} real and {fake} fake"):
        kernel_distance(features(real), features(fake), size=100)


def test_kernel_distance_of_all_samples_raises_for_three():
    kernel_distance(features(4), features(4), size=None)
    with pytest.raises(ValueError, match="at least 4 samples"):
        kernel_distance(features(3), features(4), size=None)


@pytest.mark.parametrize("arguments", [dict(size=1), dict(subsets=0)])
def test_kernel_distance_raises_for_zero_subsets_or_pairs(arguments):
    kernel_distance(features(9), features(9), size=2, subsets=1)
    with pytest.raises(ValueError, match="subsets >= 1 and size >= 2"):
        kernel_distance(features(9), features(9), **arguments)
