import sys

import numpy as np
import pytest
import sklearn.cluster

from fashion_gan.metrics.kmeans import kmeans


def blobs(n=600, centers=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return 20 * rng.normal(size=(centers, d))[rng.integers(centers, size=n)] + rng.normal(
        size=(n, d)
    )


def labels(samples, centroids):
    return np.array([np.argmin([np.linalg.norm(x - c) for c in centroids]) for x in samples])


def cost(samples, centroids):
    return sum(min(np.sum((x - c) ** 2) for c in centroids) for x in samples)


def test_kmeans_centroids_are_the_means_of_their_nearest_samples():
    x = np.random.default_rng(1).normal(size=(300, 3)) + 100
    centroids = kmeans(x, 7, tolerance=0)
    nearest = labels(x, centroids)
    means = [x[nearest == index].mean(axis=0) for index in range(7)]
    np.testing.assert_allclose(centroids, means, rtol=1e-12)


def test_kmeans_finds_separate_clusters():
    x = blobs()
    ours = kmeans(x, 6)
    theirs = sklearn.cluster.KMeans(6, n_init=10, random_state=0).fit(x)
    np.testing.assert_allclose(cost(x, ours), theirs.inertia_, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_kmeans_inertia_is_close_to_the_best_of_ten_runs(seed):
    x = np.random.default_rng(2).normal(size=(500, 5))
    theirs = sklearn.cluster.KMeans(10, n_init=10, random_state=0).fit(x)
    assert 0.99 < cost(x, kmeans(x, 10, seed=seed)) / theirs.inertia_ < 1.15


def test_kmeans_depends_only_on_the_seed(monkeypatch):
    x = np.random.default_rng(3).normal(size=(400, 3))
    np.testing.assert_array_equal(kmeans(x, 9, seed=1), kmeans(x, 9, seed=1))
    assert np.any(kmeans(x, 9, seed=1) != kmeans(x, 9, seed=2))
    expected = kmeans(x, 9, seed=1)
    monkeypatch.setattr(sys.modules["fashion_gan.metrics.kmeans"], "ROWS", 7)
    np.testing.assert_allclose(kmeans(x, 9, seed=1), expected, rtol=1e-10)


def test_kmeans_tolerance_saves_iterations_at_a_similar_inertia():
    x = np.random.default_rng(4).normal(size=(500, 3))
    hasty, patient = cost(x, kmeans(x, 20)), cost(x, kmeans(x, 20, tolerance=0))
    assert patient < hasty <= 1.05 * patient
    assert cost(x, kmeans(x, 20, max_iterations=1)) > hasty


def test_kmeans_of_one_cluster_is_the_mean():
    x = blobs()
    np.testing.assert_allclose(kmeans(x, 1)[0], x.mean(axis=0), rtol=1e-10)


def test_kmeans_of_as_many_clusters_as_samples_is_the_samples():
    different = 1000 + np.random.default_rng(5).normal(size=(20, 7))
    x = np.repeat(different, np.arange(1, 21), axis=0)
    centroids = kmeans(x, 20)
    np.testing.assert_allclose(np.unique(centroids, axis=0), np.unique(x, axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="at least 21 different samples.*Received: 20 among 210"):
        kmeans(x, 21)


def test_kmeans_moves_an_empty_centroid_to_the_farthest_sample():
    step = sys.modules["fashion_gan.metrics.kmeans"]._step
    x = np.array([[0.0], [1.0], [10.0]])
    centroids, spent = step(x, x[:, 0] ** 2, np.array([[0.0], [99.0], [1.5]]))
    np.testing.assert_allclose(centroids, [[0.0], [10.0], [5.5]], rtol=1e-15)
    np.testing.assert_allclose(spent, 0 + 0.25 + 8.5**2, rtol=1e-12)


def test_kmeans_raises_for_zero_clusters():
    with pytest.raises(ValueError, match="num_clusters >= 1. Received: num_clusters=0"):
        kmeans(blobs(), 0)
