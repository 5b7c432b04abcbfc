import numpy as np
import pytest
import scipy.stats

from fashion_gan.metrics import class_balance


@pytest.mark.parametrize("counts", [[5, 5, 5], [1, 0, 0], [10, 3, 900], [0, 7, 7]])
def test_class_balance_matches_scipy_entropy(counts):
    result = class_balance(np.repeat([0, 1, 2], counts), 3)
    shares = np.array(counts) / sum(counts)
    np.testing.assert_allclose(result.shares, shares, rtol=1e-15)
    entropy = scipy.stats.entropy(counts)
    np.testing.assert_allclose(result.entropy, entropy, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        result.normalized_entropy, entropy / np.log(3), rtol=1e-12, atol=1e-15
    )
    distance = scipy.spatial.distance.cityblock(shares, [1 / 3] * 3) / 2
    np.testing.assert_allclose(result.total_variation, distance, rtol=1e-12, atol=1e-15)


def test_class_balance_entropy_is_1_for_even_classes_and_0_for_one_class():
    even = class_balance(np.arange(1000) % 10, 10)
    np.testing.assert_allclose(even.entropy, np.log(10), rtol=1e-14)
    np.testing.assert_allclose(even.normalized_entropy, 1, rtol=1e-14)
    np.testing.assert_allclose(even.total_variation, 0, atol=1e-15)
    assert even.missing == ()
    single = class_balance(np.full(7, 3), 10)
    assert (single.entropy, single.normalized_entropy) == (0, 0)
    np.testing.assert_allclose(single.total_variation, 0.9, rtol=1e-14)
    assert single.missing == tuple("012456789")
    assert sum(single.shares) == single.shares[3] == 1


def test_class_balance_lists_classes_below_one_percent_as_missing():
    labels = np.repeat([0, 1, 2, 3], [9, 10, 0, 981])
    assert class_balance(labels, 4, names=["a", "b", "c", "d"]).missing == ("a", "c")
    assert class_balance(labels, 4, missing_below=0.0).missing == ()
    assert class_balance(labels, 4, missing_below=0.02).missing == ("0", "1", "2")


def test_class_balance_ignores_label_order():
    labels = np.random.default_rng(0).integers(0, 5, 100).astype(np.uint8)
    assert class_balance(labels, 6) == class_balance(np.sort(labels), 6)


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0, 3], r"0..2. Received: labels from 0 to 3"),
        ([-1, 2], r"0..2. Received: labels from -1 to 2"),
        (np.zeros(0, int), r"shape \(n,\), n >= 1. Received: shape=\(0,\)"),
        (np.zeros((4, 1), int), r"Received: shape=\(4, 1\)"),
    ],
)
def test_class_balance_raises_for_labels_of_a_wrong_shape(labels, message):
    with pytest.raises(ValueError, match=message):
        class_balance(labels, 3)


def test_class_balance_raises_for_non_integer_labels():
    with pytest.raises(TypeError, match="argmax makes them. Received: dtype=float64"):
        class_balance([0.0, 1.0], 3)


@pytest.mark.parametrize("num_classes, names", [(1, None), (3, ["a", "b"])])
def test_class_balance_raises_for_missing_class_names(num_classes, names):
    with pytest.raises(ValueError, match=f"Received: num_classes={num_classes}"):
        class_balance([0, 0], num_classes, names=names)
