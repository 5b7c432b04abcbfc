"""Ways through the latent space: against closed forms, and at the angles that have none."""

import numpy as np
import pytest

from fashion_gan import latents

RNG = np.random.default_rng(0)


def test_interpolate_has_equal_angles_on_the_unit_circle():
    points = latents.interpolate([1, 0], [0, 1], 4)
    angles = np.deg2rad([0, 30, 60, 90])
    np.testing.assert_allclose(points, np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-7)


def test_loop_visits_each_point_in_equal_steps_and_returns():
    corners = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    angles = np.deg2rad(30 * np.arange(12))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(latents.loop(corners, 12), circle, atol=1e-6)


def test_loop_distributes_remaining_frames():
    points = RNG.standard_normal((3, 5)).astype("float32")
    way = latents.loop(points, 8)
    assert way.shape == (8, 5)
    np.testing.assert_array_equal(way[[0, 3, 5]], points)


@pytest.mark.parametrize(
    ("points", "frames", "message"),
    [
        (np.ones((1, 4)), 9, r"at least two latents.*shape \(1, 4\). Add a latent"),
        (np.ones((3, 4)), 2, "at least 3 frames.*frames=2. Raise"),
    ],
)
def test_loop_raises_for_too_few_points_or_frames(points, frames, message):
    with pytest.raises(ValueError, match=message):
        latents.loop(points, frames)


def test_interpolate_matches_slerp():
    a, b = RNG.standard_normal((2, 30))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    angle = np.arccos(a @ b / (a @ a))
    t = np.linspace(0, 1, 9)[:, None]
    expected = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    np.testing.assert_allclose(latents.interpolate(a, b, 9), expected, atol=1e-6)


def test_interpolate_accepts_many_pairs_and_changes_the_radius_linearly():
    a, b = RNG.standard_normal((2, 5, 8))
    arcs = latents.interpolate(a, b, 3)
    assert arcs.shape == (5, 3, 8)
    assert arcs.dtype == np.float32
    for i in range(5):
        np.testing.assert_array_equal(arcs[i], latents.interpolate(a[i], b[i], 3))
    radii = np.linalg.norm(arcs, axis=-1)
    np.testing.assert_allclose(radii[:, 1], (radii[:, 0] + radii[:, 2]) / 2, rtol=1e-5)
    np.testing.assert_allclose(arcs[:, 0], a, rtol=1e-6)
    np.testing.assert_allclose(arcs[:, 2], b, rtol=1e-6)


@pytest.mark.parametrize(
    "b", [[2.0, 4.0, 0.0], [1.0, 2.0, 1e-12], [-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]
)
def test_interpolate_is_finite_where_no_arc_is_unique(b):
    a = np.array([1.0, 2.0, 0.0])
    points = latents.interpolate(a, b, 5)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[[0, -1]], [a, b], atol=1e-6)
    if np.any(b):
        assert np.linalg.norm(points, axis=1).min() > 2, "it does not go through the middle"
    assert np.isfinite(latents.interpolate([1.0], [-1.0], 3)).all()


def test_traverse_changes_one_axis():
    latent = RNG.standard_normal(4)
    points = latents.traverse(latent, 2, [-1, 0, 3])
    np.testing.assert_array_equal(points[:, 2], [-1, 0, 3])
    np.testing.assert_allclose(points[:, [0, 1, 3]], np.tile(latent[[0, 1, 3]], (3, 1)), rtol=1e-6)


@pytest.mark.parametrize("threshold", [0.05, 0.7, 2.0])
def test_truncate_is_normal_within_the_threshold(threshold):
    from scipy import stats

    points = latents.truncate(500, 10, threshold, seed=1)
    assert np.abs(points).max() <= np.float32(threshold)
    assert stats.kstest(points.ravel(), stats.truncnorm(-threshold, threshold).cdf).pvalue > 0.01
    np.testing.assert_array_equal(points, latents.truncate(500, 10, threshold, seed=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latents.interpolate([1, 2], [1, 2, 3], 3), r"\(2,\) and \(3,\)"),
        (lambda: latents.interpolate([1, 2], [2, 3], 1), "steps=1"),
        (lambda: latents.traverse([1, 2], 2, [0]), "axis=2"),
        (lambda: latents.truncate(3, 2, 0.0), "threshold=0.0"),
    ],
)
def test_latents_functions_raise_for_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_directions_maximize_the_change_of_images():
    matrix = np.random.default_rng(0).standard_normal((7, 5)) * [1, 5, 0.1, 3, 2]
    found = latents.directions(lambda points: points @ matrix.T, 5, points=3)
    _, _, rows = np.linalg.svd(matrix)
    np.testing.assert_allclose(np.abs(np.sum(found * rows, axis=1)), 1, atol=1e-4)
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-5)
    assert (found.max(axis=1) >= -found.min(axis=1)).all()


def test_directions_average_over_many_latents():
    def draw(points):
        return np.stack([points[:, 0] ** 2, points[:, 1]], axis=1)  # mean of (2 x)² is 4, of 1² 1

    np.testing.assert_allclose(latents.directions(draw, 2, points=400), np.eye(2), atol=1e-3)
