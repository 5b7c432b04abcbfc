import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest
from prdc import compute_prdc

from fashion_gan.metrics import (
    Manifold,
    Neighbors,
    closest_pairs,
    copied_share,
    distances,
    manifold,
    memorization_ratio,
    nearest,
    prdc,
    realism,
)


def normal(n, d=5, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, d))


def grid(n, d=3, seed=0, shift=0.0):
    """Returns samples with many duplicates and equal distances."""
    return np.random.default_rng(seed).integers(0, 4, size=(n, d)) + np.ceil(shift)


def clusters(n, d=5, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return 10.0 * rng.integers(0, 2, (n, 1)) + rng.normal(shift, size=(n, d))


@pytest.mark.parametrize("make", [normal, grid, clusters])
@pytest.mark.parametrize("shift", [0.0, 0.6, 20.0])
@pytest.mark.parametrize("k", [1, 5])
def test_precision_recall_density_and_coverage_match_prdc(make, shift, k):
    real, fake = make(150, seed=1), make(120, seed=2, shift=shift)
    result = asdict(prdc(real, fake, k))
    assert result == pytest.approx(compute_prdc(real, fake, k), rel=1e-12)


@pytest.mark.parametrize("make", [normal, clusters])
def test_prdc_is_1_for_a_copy(make):
    x = make(200) + 1e6
    assert asdict(prdc(x, x[::-1])) == dict(precision=1, recall=1, density=1, coverage=1)


def test_prdc_is_0_for_sets_far_apart():
    result = prdc(normal(50), normal(50, shift=100))
    assert asdict(result) == dict(precision=0, recall=0, density=0, coverage=0)


def test_recall_is_half_for_one_of_two_modes():
    real = np.concatenate([normal(300, 2, seed=1), normal(300, 2, seed=2, shift=50)])
    result = prdc(real, normal(600, 2, seed=3))
    assert 0.9 < result.precision <= 1
    assert 0.9 < result.density < 1.1
    assert 0.4 < result.recall <= 0.5
    assert 0.4 < result.coverage <= 0.5


def test_recall_is_0_for_one_image_repeated():
    real = normal(100)
    result = prdc(real, np.tile(real.mean(0), (50, 1)))
    assert result.precision == 1
    assert result.recall == 0
    assert result.coverage < 1


def test_prdc_excludes_the_boundary_of_balls():
    rim = prdc([[0.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]], k=1)
    assert asdict(rim) == dict(precision=0, recall=0, density=0, coverage=0)
    inside = prdc([[0.0], [1.0], [2.0]], [[2.9], [3.9], [4.9]], k=1)
    assert asdict(inside) == pytest.approx(dict.fromkeys(asdict(inside), 1 / 3))


def test_precision_and_recall_swap_with_the_arguments():
    x, y = normal(100, seed=1), normal(80, seed=2, shift=0.5)
    there, back = prdc(x, y), prdc(y, x)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert 0 < there.precision < 1


@pytest.mark.parametrize("make", [normal, grid, clusters])
def test_prdc_is_bit_for_bit_equal_for_any_order_and_block_size(monkeypatch, make):
    real, fake = make(90, seed=1), make(70, seed=2)
    fake[:20] = real[:20]
    expected = prdc(real, fake)
    rng = np.random.default_rng(3)
    assert prdc(rng.permutation(real), rng.permutation(fake)) == expected
    for size in (1, 999, 7777):
        monkeypatch.setattr(distances, "BLOCK_BYTES", size)
        assert prdc(real, fake) == expected


def test_manifold_replaces_its_features_and_is_restored_from_a_file(tmp_path):
    real, fake = normal(60, seed=1), normal(50, seed=2)
    np.savez(tmp_path / "real.npz", **vars(manifold(real, 3)))
    cached = Manifold(**np.load(tmp_path / "real.npz"))
    assert prdc(cached, fake, 3) == prdc(real, fake, 3)
    assert prdc(fake, cached, 3) == prdc(fake, real, 3)
    assert manifold(cached, 3) is cached
    with pytest.raises(ValueError, match="manifold of k=5. Received: one of k=3"):
        prdc(cached, fake)


def test_manifold_radius_is_the_distance_to_the_kth_other_sample():
    x = grid(40)
    exact = np.sort([[np.linalg.norm(p - q) for q in x] for p in x], axis=1)
    np.testing.assert_allclose(manifold(x, 5).radii, exact[:, 5], rtol=1e-14)
    np.testing.assert_array_equal(manifold(np.ones((6, 2)), 5).radii, 0)


@pytest.mark.parametrize("k", [0, 5])
def test_manifold_raises_for_k_out_of_range(k):
    assert manifold(normal(5), 4).k == 4
    with pytest.raises(ValueError, match=f"at least k . 1 samples. Received: k={k}, 5 samples"):
        prdc(normal(5), normal(5), k)


def test_prdc_memory_is_constant_in_pairs(monkeypatch):
    real, fake = normal(3000, 8), normal(3000, 8, seed=1)
    monkeypatch.setattr(distances, "BLOCK_BYTES", 2**18)
    tracemalloc.start()
    prdc(real, fake)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2**18 < peak < 2**21 < 3000 * 3000 * 8 / 30


def to_nearest(samples, train):
    return nearest(samples, train).distances[:, 0]


@pytest.mark.parametrize("make", [normal, grid, clusters])
@pytest.mark.parametrize("k", [1, 5])
def test_realism_matches_a_loop_over_all_pairs(make, k):
    real, fake = make(151, seed=1), make(40, seed=2, shift=0.6)
    fake[0] = real[np.argmin(manifold(real, k).radii)]  # a copy of a real that is kept
    radii = np.array([np.sort(np.linalg.norm(real - x, axis=1))[k] for x in real])
    kept = np.argsort(radii, kind="stable")[:76]
    expected = []
    for x in fake:
        distance = np.linalg.norm(real[kept] - x, axis=1)
        copies = distance == 0
        ratios = radii[kept][~copies] / distance[~copies]
        expected.append(np.inf if copies.any() else ratios.max())
    np.testing.assert_allclose(realism(real, fake, k), expected, rtol=1e-9)
    assert np.isinf(realism(real, fake, k)[0])


def test_realism_is_higher_for_real_images_than_for_distant_samples():
    real = normal(300, seed=1)
    near, far = realism(real, normal(100, seed=2)), realism(real, normal(100, seed=3, shift=4.0))
    assert near.min() > 0 and np.median(near) > 2 * np.median(far)
    with pytest.raises(ValueError, match="k >= 1 and at least k"):
        realism(real[:5], near[:, np.newaxis])


def test_memorization_ratio_is_1_for_new_samples_and_less_for_copies():
    train = normal(2000, 4, seed=1)
    test = to_nearest(normal(500, 4, seed=2), train)
    more = to_nearest(normal(500, 4, seed=3), train)
    copies = to_nearest(train[:500] + 0.01 * normal(500, 4, seed=4), train)
    assert 0.9 < memorization_ratio(test, more) < 1.1
    assert 0 < memorization_ratio(test, copies) < 0.1
    assert memorization_ratio(test, to_nearest(train[:9], train)) == 0


def test_memorization_ratio_compares_medians():
    assert memorization_ratio([1.0, 2, 6], [3.0, 5]) == 4 / 2
    with pytest.raises(ValueError, match="differ from the train samples"):
        memorization_ratio(np.zeros(3), [3.0])


def test_closest_pairs_are_sorted_by_distance_and_then_by_order():
    neighbors = Neighbors(np.array([[3.0], [0], [2], [0]]), np.array([[7], [8], [9], [6]]))
    assert closest_pairs(neighbors, 3) == [(1, 8, 0), (3, 6, 0), (2, 9, 2)]
    assert closest_pairs(neighbors, 9)[3:] == [(0, 7, 3)]
    many = nearest(np.arange(300.0)[:, np.newaxis] % 3, [[0.0]])
    pairs = closest_pairs(many, 200)
    assert [pair.query for pair in pairs] == [*range(0, 300, 3), *range(1, 300, 3)]
    with pytest.raises(ValueError, match="count >= 1. Received: count=0"):
        closest_pairs(neighbors, 0)


def test_copied_share_measures_the_excess_of_near_copies():
    test = np.arange(1.0, 101)  # the nearest 5 % reach to 5.95
    fresh = np.random.default_rng(0).permutation(test)
    assert copied_share(test, fresh) == 0
    with_copies = np.concatenate([np.zeros(30), fresh[30:]])
    near = np.sum(fresh[30:] <= 5)
    assert copied_share(test, with_copies) == pytest.approx((30 + near) / 100 - 0.05)
    poor = np.concatenate([np.zeros(30), np.full(70, 1e6)])
    assert copied_share(test, poor) == pytest.approx(0.25)
    assert memorization_ratio(test, poor) > 1, "the median does not see them"


def test_copied_share_is_0_where_test_images_have_duplicates():
    test = np.concatenate([np.zeros(20), np.arange(1.0, 81)])
    assert copied_share(test, test) == 0
    assert copied_share(test, np.concatenate([np.zeros(30), np.arange(1.0, 71)])) == pytest.approx(
        0.1
    )


@pytest.mark.parametrize("quantile", [0, 1])
def test_copied_share_raises_for_a_quantile_of_0_or_1(quantile):
    with pytest.raises(ValueError, match="0 < quantile < 1"):
        copied_share([1.0, 2.0], [1.0], quantile=quantile)
