import numpy as np
import pytest
import sklearn.decomposition

from fashion_gan.metrics import PCA, fit_pca, pca, pca_images


def images(n=60, seed=0):
    """Returns images of 5 x 4 correlated pixels."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 20)) @ rng.normal(size=(20, 20)) + 2).reshape(n, 5, 4)


def test_pca_matches_scikit_learn_up_to_signs():
    x, y = images(), images(7, seed=1)
    ours = fit_pca(x, 6)
    theirs = sklearn.decomposition.PCA(6, svd_solver="full").fit(x.reshape(60, 20))
    signs = np.sign(np.sum(ours.components * theirs.components_, axis=1))
    np.testing.assert_allclose(
        ours.components, signs[:, np.newaxis] * theirs.components_, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(ours.variances, theirs.explained_variance_, rtol=1e-11)
    np.testing.assert_allclose(
        ours.transform(y), signs * theirs.transform(y.reshape(7, 20)), rtol=1e-9, atol=1e-11
    )


def test_pca_features_are_centered_and_uncorrelated_with_the_given_variances():
    pca = fit_pca(images(), 8)
    features = pca.transform(images())
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-12)
    covariance = np.cov(features, rowvar=False)
    np.testing.assert_allclose(covariance, np.diag(pca.variances), atol=1e-10)
    assert list(pca.variances) == sorted(pca.variances, reverse=True)


def test_pca_keeps_all_distances_with_all_components():
    x = images().reshape(60, 20)
    features = fit_pca(x, 20).transform(x)
    np.testing.assert_allclose(
        np.linalg.norm(features[:-1] - features[1:], axis=1),
        np.linalg.norm(x[:-1] - x[1:], axis=1),
        rtol=1e-12,
    )


def test_pca_signs_do_not_depend_on_the_order_of_images():
    pca = fit_pca(images(), 5)
    largest = np.abs(pca.components).argmax(axis=1)
    assert np.all(pca.components[np.arange(5), largest] > 0)
    shuffled = fit_pca(np.random.default_rng(0).permutation(images()), 5)
    np.testing.assert_allclose(shuffled.components, pca.components, rtol=1e-8, atol=1e-11)


def test_pca_has_no_negative_variances_at_a_low_rank():
    rng = np.random.default_rng(0)
    variances = fit_pca(rng.normal(size=(30, 3)) @ rng.normal(size=(3, 20)), 20).variances
    assert np.all(variances[:3] > 0.1)
    assert np.all((variances[3:] >= 0) & (variances[3:] < 1e-12))


def test_pca_gives_constant_pixels_zero_weight():
    x = np.zeros((30, 20))
    x[:, 3:6] = np.random.default_rng(0).normal(size=(30, 3))
    x[:, 9] = 5.0
    constant = [0, 1, 2, *range(6, 20)]
    np.testing.assert_allclose(fit_pca(x, 3).components[:, constant], 0, atol=1e-12)


def test_pca_is_restored_from_a_file(tmp_path):
    pca = fit_pca(images(), 4)
    np.savez(tmp_path / "pca.npz", **vars(pca))
    again = PCA(**np.load(tmp_path / "pca.npz"))
    np.testing.assert_array_equal(again.transform(images()), pca.transform(images()))


def test_pca_raises_for_a_wrong_number_of_pixels():
    with pytest.raises(ValueError, match="pca with 20, images with 12"):
        fit_pca(images(), 3).transform(np.zeros((2, 4, 3)))


@pytest.mark.parametrize("n, dim, most", [(60, 21, 20), (60, 0, 20), (8, 8, 7)])
def test_pca_raises_for_more_components_than_the_rank(n, dim, most):
    assert fit_pca(images(n), most).components.shape == (most, 20)
    with pytest.raises(ValueError, match=f"1 <= dim <= {most} for {n} images of 20 pixels"):
        fit_pca(images(n), dim)


def test_fit_pca_finds_the_same_components_when_pixels_outnumber_images(monkeypatch):
    images = np.random.default_rng(0).normal(size=(40, 60)) * np.linspace(1, 5, 60)
    expected = fit_pca(images, 10)
    monkeypatch.setattr(pca, "_MANY_PIXELS", 50)
    found = fit_pca(images, 10)
    np.testing.assert_allclose(found.components, expected.components, atol=1e-10)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-10)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(10), atol=1e-12)


def test_pca_images_subsamples_many_large_images(monkeypatch):
    monkeypatch.setattr(pca, "_MANY_PIXELS", 9)
    monkeypatch.setattr(pca, "_ENOUGH_IMAGES", 5)
    few, small, many = np.zeros((5, 4, 4)), np.zeros((50, 3, 3)), np.arange(81 * 16).reshape(81, 16)
    assert pca_images(few) is few and pca_images(small) is small
    np.testing.assert_array_equal(pca_images(many)[:, 0] // 16, [0, 20, 40, 60, 80])
