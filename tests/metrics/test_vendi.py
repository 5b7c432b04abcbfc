import numpy as np
import pytest

from fashion_gan.metrics import vendi_score


@pytest.mark.parametrize("n, d", [(12, 30), (30, 12), (15, 15)])
def test_vendi_score_matches_the_entropy_of_the_similarity_matrix(n, d):
    x = np.random.default_rng(0).normal(1, size=(n, d))
    cosines = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in x] for a in x]
    values = np.linalg.svd(np.array(cosines) / n, compute_uv=False)
    values = values[values > 1e-12]
    np.testing.assert_allclose(vendi_score(x), np.exp(-np.sum(values * np.log(values))), rtol=1e-9)


@pytest.mark.parametrize("repeats", [1, 40])
def test_vendi_score_counts_orthogonal_samples(repeats):
    x = np.repeat(np.diag([1.0, 2.0, 3.0, 0.5, 7.0]), repeats, axis=0)
    np.testing.assert_allclose(vendi_score(x), 5, rtol=1e-12)


def test_vendi_score_of_one_sample_repeated_is_1():
    np.testing.assert_allclose(vendi_score(np.tile([1.0, 2.0, 3.0], (9, 1))), 1, rtol=1e-12)


def test_vendi_score_falls_as_samples_repeat():
    x = np.random.default_rng(0).normal(size=(200, 20))
    scores = [vendi_score(np.resize(x[:n], x.shape)) for n in (200, 20, 5)]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] <= 5


def test_vendi_score_raises_for_a_zero_vector():
    with pytest.raises(ValueError, match="Received: 1 such samples of 3"):
        vendi_score([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
