import numpy as np
import pytest
import scipy.linalg

from fashion_gan.metrics import Gaussian, frechet_distance, gaussian


def features(n=500, d=8, seed=0):
    """Returns correlated samples of unequal scales, away from the origin."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)


def by_matrix_square_root(x, y):
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root.real)


@pytest.mark.parametrize("d", [2, 8, 40])
def test_frechet_distance_matches_the_published_formula(d):
    x, y = features(300, d, seed=1), features(700, d, seed=2)
    np.testing.assert_allclose(frechet_distance(x, y), by_matrix_square_root(x, y), rtol=1e-9)


def test_frechet_distance_of_a_shifted_copy_is_the_squared_shift():
    x = features()
    np.testing.assert_allclose(frechet_distance(x, x + 2.0), 4.0 * 8, rtol=1e-10)


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_frechet_distance_of_a_scaled_copy_matches_its_second_moments(scale):
    x = features()
    moments = np.sum(x.mean(0) ** 2) + np.sum(x.var(0, ddof=1))
    np.testing.assert_allclose(
        frechet_distance(x, scale * x), (scale - 1) ** 2 * moments, rtol=1e-10
    )


def test_frechet_distance_of_independent_features_compares_deviations():
    a, b = np.array([1.0, 4.0, 0.0]), np.array([9.0, 4.0, 1.0])
    real = Gaussian(np.zeros(3), np.diag(a), 10)
    fake = Gaussian(np.array([0.0, 1.0, 0.0]), np.diag(b), 10)
    np.testing.assert_allclose(frechet_distance(real, fake), 1 + (4 + 0 + 1), rtol=1e-12)


def test_frechet_distance_accepts_single_features():
    x, y = features(50, 1, seed=3), features(60, 1, seed=4)
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-10)


def test_frechet_distance_adds_the_squared_difference_of_constant_features():
    x, y = features(seed=5), features(seed=6)
    plain = frechet_distance(x, y)
    x, y = np.insert(x, [0, 4], 7.0, axis=1), np.insert(y, [0, 4], 9.0, axis=1)
    np.testing.assert_allclose(frechet_distance(x, y), plain + 2 * 4.0, rtol=1e-10)


def test_frechet_distance_at_a_low_rank_matches_its_coordinates():
    rng = np.random.default_rng(7)
    x, y = features(400, 3, seed=8), features(400, 3, seed=9)
    isometry = np.linalg.qr(rng.normal(size=(20, 3)))[0].T
    np.testing.assert_allclose(
        frechet_distance(x @ isometry, y @ isometry), frechet_distance(x, y), rtol=1e-7
    )


@pytest.mark.parametrize("rank", [3, 30])
@pytest.mark.parametrize("seed", range(8))
def test_frechet_distance_of_a_set_to_itself_is_0_at_any_rank(rank, seed):
    x = features(200, rank, seed) @ np.random.default_rng(1).normal(size=(rank, 30))
    assert 0 <= frechet_distance(x, x) <= 1e-10 * x.var(0).sum()


def test_frechet_distance_is_symmetric():
    x, y = features(300, seed=1), features(400, seed=2)
    np.testing.assert_allclose(frechet_distance(x, y), frechet_distance(y, x), rtol=1e-13)


def test_frechet_distance_ignores_the_order_of_samples():
    x, y = features(seed=1), features(seed=2)
    shuffled = np.random.default_rng(0).permutation(y)
    np.testing.assert_allclose(frechet_distance(x, shuffled), frechet_distance(x, y), rtol=1e-12)


def test_gaussian_replaces_its_features_and_is_restored_from_a_file(tmp_path):
    x, y = features(seed=1), features(seed=2)
    np.savez(tmp_path / "real.npz", **vars(gaussian(x)))
    cached = Gaussian(**np.load(tmp_path / "real.npz"))
    assert frechet_distance(cached, y) == frechet_distance(x, y)
    assert frechet_distance(y, cached) == frechet_distance(y, x)
    assert gaussian(cached) is cached


def test_gaussian_computes_the_mean_and_the_unbiased_covariance():
    x = np.array([[0, 0], [2, 0], [0, 4], [2, 4]], np.uint8)
    fitted = gaussian(x)
    np.testing.assert_array_equal(fitted.mean, [1, 2])
    np.testing.assert_allclose(fitted.covariance, [[4 / 3, 0], [0, 16 / 3]], rtol=1e-15)
    assert fitted.count == 4


def test_frechet_distance_bias_falls_with_the_number_of_samples():
    def distance(n):
        rng = np.random.default_rng(0)
        return frechet_distance(rng.normal(size=(n, 32)), rng.normal(size=(n, 32)))

    assert 3.4 < distance(500) / distance(2000) < 4.9


def test_frechet_distance_raises_for_fewer_samples_than_features():
    assert gaussian(features(9, 8)).count == 9
    with pytest.raises(ValueError, match=r"at least 9 for a covariance of 8 features. Received 8"):
        frechet_distance(features(9, 8), features(8, 8))
