from dataclasses import asdict

import numpy as np
import pytest
import scipy.spatial
import scipy.stats

from fashion_gan.metrics import NDBBins, fit_ndb_bins, ndb

CENTROIDS = 10.0 * np.arange(6)[:, np.newaxis]


def fakes(counts):
    """Makes images of one pixel, a given number of them near each centroid."""
    return np.repeat(CENTROIDS, counts, axis=0) + 1.5


def bins(counts):
    return NDBBins(CENTROIDS, np.array(counts))


@pytest.mark.parametrize(
    "real, fake",
    [
        ([100, 200, 50, 0, 10, 640], [12, 15, 9, 0, 0, 64]),
        ([100, 200, 50, 0, 10, 640], [20, 2, 5, 3, 1, 69]),
        ([1, 1, 1, 1, 1, 1], [600, 0, 0, 0, 0, 0]),
        ([500, 0, 0, 0, 0, 0], [30, 0, 0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("significance", [0.05, 0.3])
def test_ndb_matches_scipy(real, fake, significance):
    different = 0
    for r, f in zip(real, fake, strict=True):
        table = [[r, sum(real) - r], [f, sum(fake) - f]]
        if 0 < r + f < sum(real) + sum(fake):  # the pooled z-test is the chi-squared test of 2 x 2
            different += scipy.stats.chi2_contingency(table, correction=False).pvalue < significance
    result = ndb(bins(real), fakes(fake), significance=significance)
    assert result.ratio == different / 6
    distance = scipy.spatial.distance.jensenshannon(real, fake)
    np.testing.assert_allclose(result.divergence, distance**2, rtol=1e-10, atol=1e-15)


def test_ndb_depends_on_the_critical_value():
    # z = 0.2 / sqrt(0.25 * 2 / 50) = 2, hence p = 0.0455
    real, fake = bins([30, 20, 0, 0, 0, 0]), fakes([20, 30, 0, 0, 0, 0])
    assert ndb(real, fake, significance=0.0456).ratio == 2 / 6
    assert ndb(real, fake, significance=0.0454).ratio == 0


def test_ndb_is_0_for_equal_shares_and_1_for_disjoint_ones():
    equal = ndb(bins([20, 40, 60, 80, 20, 20]), fakes([1, 2, 3, 4, 1, 1]))
    assert asdict(equal) == dict(ratio=0, divergence=0)
    disjoint = ndb(bins([99, 99, 99, 0, 0, 0]), fakes([0, 0, 0, 99, 99, 99]))
    assert disjoint.ratio == 1
    np.testing.assert_allclose(disjoint.divergence, np.log(2), rtol=1e-14)


def test_ndb_bins_count_every_train_image_once():
    x = np.random.default_rng(0).normal(size=(500, 3, 3))
    fitted = fit_ndb_bins(x, 12, seed=4)
    flat = x.reshape(500, 9)
    nearest = [np.argmin(np.linalg.norm(fitted.centroids - p, axis=1)) for p in flat]
    np.testing.assert_array_equal(fitted.counts, np.bincount(nearest, minlength=12))
    assert fitted.counts.min() > 0
    result = ndb(fitted, x)
    assert asdict(result) == dict(ratio=0, divergence=0)


def test_ndb_grows_when_a_mode_is_missing():
    rng = np.random.default_rng(1)
    fitted = fit_ndb_bins(rng.normal(size=(4000, 6)), 40)
    same, other = rng.normal(size=(2, 2000, 6))
    part = ndb(fitted, other[other[:, 0] > -0.5])
    result = ndb(fitted, same)
    assert result.ratio <= 0.15 < 0.4 < part.ratio
    assert result.divergence < 0.02 < part.divergence


def test_ndb_ignores_the_order_of_the_fakes():
    rng = np.random.default_rng(2)
    fitted, fake = fit_ndb_bins(rng.normal(size=(300, 4)), 9), rng.normal(0.5, size=(100, 4))
    assert ndb(fitted, fake) == ndb(fitted, rng.permutation(fake))


def test_ndb_bins_depend_on_the_seed_and_are_restored_from_a_file(tmp_path):
    x = np.random.default_rng(3).normal(size=(300, 4))
    fitted = fit_ndb_bins(x, 9, seed=1)
    np.testing.assert_array_equal(fit_ndb_bins(x, 9, seed=1).centroids, fitted.centroids)
    assert np.any(fit_ndb_bins(x, 9, seed=2).centroids != fitted.centroids)
    np.savez(tmp_path / "bins.npz", **vars(fitted))
    again = NDBBins(**np.load(tmp_path / "bins.npz"))
    assert ndb(again, x[:100]) == ndb(fitted, x[:100])


def test_ndb_is_0_for_a_single_bin():
    x = np.random.default_rng(4).normal(size=(30, 2))
    assert asdict(ndb(fit_ndb_bins(x, 1), x + 9)) == dict(ratio=0, divergence=0)


@pytest.mark.parametrize("significance", [0.0, 1.0, 5])
def test_ndb_raises_for_a_significance_out_of_range(significance):
    with pytest.raises(ValueError, match=f"Received: significance={significance}"):
        ndb(bins([1] * 6), fakes([1] * 6), significance=significance)


def test_ndb_bins_raise_for_too_few_distinct_images():
    with pytest.raises(ValueError, match="at least 3 different samples"):
        fit_ndb_bins([[0.0], [1.0], [0.0], [1.0]], 3)
