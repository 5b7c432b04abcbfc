import numpy as np
import pytest

from fashion_gan.metrics import sliced_transport_distance


def features(n, d=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, d))


def squared_distance(a, b):
    """Computes the squared 2-Wasserstein distance of values from their ranks."""
    return np.mean((np.sort(np.repeat(a, len(b))) - np.sort(np.repeat(b, len(a)))) ** 2)


def by_loops(x, y, directions, halvings, seed):
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(directions, x.shape[1]))
    orders = [(rng.permutation(len(x)), rng.permutation(len(y))) for _ in range(halvings)]
    axes = [axis / np.linalg.norm(axis) for axis in axes]

    def distance(a, b):
        return x.shape[1] * np.mean([squared_distance(a @ axis, b @ axis) for axis in axes])

    half = min(len(x), len(y)) // 2

    def halves(samples, order):
        return samples[order[:half]], samples[order[half : 2 * half]]

    across, within = [], []
    for first, second in orders:
        of_x, of_y = halves(x, first), halves(y, second)
        across += [distance(a, b) for a in of_x for b in of_y]
        within += [distance(*of_x), distance(*of_y)]
    return np.mean(across) - np.mean(within), np.std(across), distance(x, y)


@pytest.mark.parametrize("n, m", [(20, 20), (21, 14), (7, 30)])
@pytest.mark.parametrize("block", [50, 2**21])
def test_sliced_transport_distance_matches_its_definition(n, m, block, monkeypatch):
    monkeypatch.setattr("fashion_gan.metrics.transport._BLOCK_VALUES", block)
    x, y = features(n, seed=1), features(m, seed=2, shift=0.5)
    result = sliced_transport_distance(x, y, directions=9, halvings=3, seed=5)
    expected = by_loops(x, y, 9, 3, 5)
    np.testing.assert_allclose((result.mean, result.std, result.biased), expected, rtol=1e-10)


def test_sliced_transport_distance_of_a_shift_is_its_square():
    x = features(50, d=4)
    shifted = x + [3.0, 0, 0, -4.0]
    result = sliced_transport_distance(x, shifted, directions=20_000, halvings=1)
    np.testing.assert_allclose(result.biased, 25, rtol=0.03)
    assert sliced_transport_distance(x, x).biased == 0


def test_sliced_transport_distance_within_a_distribution_is_0_on_average():
    results = [
        sliced_transport_distance(features(40, seed=s), features(60, seed=s + 1), directions=16)
        for s in range(0, 300, 2)
    ]
    means = np.array([result.mean for result in results])
    error = np.std(means) / np.sqrt(len(means))
    assert -3 * error < np.mean(means) < 3 * error
    assert np.mean([result.biased for result in results]) > 20 * error


@pytest.mark.parametrize("shift, low, high", [(0.0, 1.0, 2.0), (0.5, 0.75, 1.35)])
def test_sliced_transport_distance_estimates_its_standard_error(shift, low, high):
    results = [
        sliced_transport_distance(
            features(100, seed=s), features(150, seed=s + 1, shift=shift), directions=32
        )
        for s in range(0, 200, 2)
    ]
    spread = np.std([result.mean for result in results])
    assert low * spread < np.mean([result.std for result in results]) < high * spread


def test_sliced_transport_distance_grows_as_samples_repeat():
    x, y = features(200, seed=1), features(200, seed=2)
    distances = [
        sliced_transport_distance(x, np.resize(y[:n], y.shape)).mean for n in (200, 50, 10)
    ]
    assert distances == sorted(distances)
    assert distances[2] > 5 * abs(distances[0])


@pytest.mark.parametrize("arguments", [dict(directions=0), dict(halvings=0)])
def test_sliced_transport_distance_raises_for_zero_directions_or_halvings(arguments):
    sliced_transport_distance(features(4), features(5), directions=1, halvings=1)
    with pytest.raises(ValueError, match="directions >= 1 and halvings >= 1"):
        sliced_transport_distance(features(4), features(5), **arguments)


@pytest.mark.parametrize("real, fake", [(3, 4), (4, 3)])
def test_sliced_transport_distance_raises_for_three_samples(real, fake):
    with pytest.raises(ValueError, match=f"Received: {real} real and {fake} fake"):
        sliced_transport_distance(features(real), features(fake))
