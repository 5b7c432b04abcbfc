"""Provides paths, directions and truncated samples in the latent space."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["directions", "interpolate", "loop", "traverse", "truncate"]

Floats = NDArray[np.float32]


def interpolate(start: ArrayLike, end: ArrayLike, steps: int) -> Floats:
    """Returns latents on the arc from one latent to another, at equal angles.

    Normal latents lie near a sphere. A straight line between two latents passes through its
    interior, where the generator was not trained. The radius is interpolated linearly. If both
    latents have the same direction, or one is 0, the arc is a straight line. If they have opposite
    directions, no arc is unique, and it passes through the axis that is farthest from them.

    Args:
        start: Latent `(latent_dim,)`, or latents `(n, latent_dim)` for n arcs.
        end: Latent or latents of the shape of `start`.
        steps: Number of points on an arc, including both ends. At least 2.

    Returns:
        float32 latents `(steps, latent_dim)` or `(n, steps, latent_dim)`.

    Raises:
        ValueError: If the shapes differ or have another rank, or if there are fewer than 2 steps.

    References:
        Shoemake 1985, Animating rotation with quaternion curves, section 3.3; White 2016,
        https://arxiv.org/abs/1609.04468, section 2.1.
    """
    a, b = (np.asarray(x, np.float64) for x in (start, end))
    if a.shape != b.shape or a.ndim not in (1, 2) or not a.shape[-1]:
        raise ValueError(
            "Expected two latents (latent_dim,) or (n, latent_dim). "
            f"Received: shapes {a.shape} and {b.shape}."
        )
    if steps < 2:
        raise ValueError(f"Expected at least 2 steps, for both ends. Received: steps={steps}.")
    arcs = [_arc(*pair, steps) for pair in zip(np.atleast_2d(a), np.atleast_2d(b), strict=True)]
    return np.reshape(arcs, (*a.shape[:-1], steps, a.shape[-1])).astype(np.float32)


def _arc(a: NDArray[np.float64], b: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    share = np.linspace(0, 1, steps)[:, None]
    radii = np.linalg.norm(a), np.linalg.norm(b)
    if min(radii) == 0:
        return a + share * (b - a)
    u, v = a / radii[0], b / radii[1]
    aside = v - (u @ v) * u
    sine, cosine = float(np.linalg.norm(aside)), float(u @ v)
    if sine < 1e-7 and cosine > 0:
        return a + share * (b - a)
    if sine < 1e-7 and len(u) > 1:
        aside = np.eye(len(u))[np.argmin(np.abs(u))]
        aside = aside - (u @ aside) * u
    elif sine < 1e-7:
        return a + share * (b - a)  # one dimension has no other axis to pass through
    angle = np.arctan2(sine, cosine) * share
    direction = np.cos(angle) * u + np.sin(angle) * aside / np.linalg.norm(aside)
    points = ((1 - share) * radii[0] + share * radii[1]) * direction
    points[0], points[-1] = a, b
    return points


def loop(points: ArrayLike, frames: int) -> Floats:
    """Returns latents on a closed path of arcs through all points.

    The frames are divided among the arcs as equally as possible. An animation of these latents
    loops seamlessly, since the last frame is one step before the first.

    Args:
        points: Latents `(n, latent_dim)`, at least 2.
        frames: Number of latents to return, at least `n`.

    Returns:
        float32 latents `(frames, latent_dim)`. They start with the first point and contain all
        points.

    Raises:
        ValueError: If `points` has another rank, or if there are too few points or frames.
    """
    array = np.asarray(points, np.float32)
    if array.ndim != 2 or len(array) < 2:
        raise ValueError(
            "Expected at least two latents, as an array (n, latent_dim). Received: shape "
            f"{array.shape}. Add a latent."
        )
    if frames < len(array):
        raise ValueError(
            f"Expected at least {len(array)} frames, one for each latent. Received: "
            f"frames={frames}. Raise the number of frames."
        )
    counts = np.diff(np.linspace(0, frames, len(array) + 1).round().astype(int))
    ends = np.roll(array, -1, axis=0)
    arcs = zip(array, ends, counts, strict=True)
    return np.concatenate([interpolate(a, b, count + 1)[:-1] for a, b, count in arcs])


def traverse(latent: ArrayLike, axis: int, values: ArrayLike) -> Floats:
    """Returns copies of a latent with other values along one axis.

    Their images show the effect of the axis on the generator.

    Args:
        latent: Latent `(latent_dim,)`.
        axis: Index of the axis in the latent.
        values: Values `(n,)` along the axis, in standard deviations.

    Returns:
        float32 latents `(n, latent_dim)`.

    Raises:
        ValueError: If a shape has another rank, or if the latent does not have the axis.
    """
    latent, values = np.asarray(latent, np.float32), np.asarray(values, np.float32)
    if latent.ndim != 1 or values.ndim != 1 or not 0 <= axis < len(latent):
        raise ValueError(
            "Expected a latent (latent_dim,), values (n,) and an axis of the latent. Received: "
            f"shapes {latent.shape} and {values.shape}, axis={axis}."
        )
    points = np.repeat(latent[None], len(values), axis=0)
    points[:, axis] = values
    return points


def truncate(count: int, latent_dim: int, threshold: float, seed: int | None = None) -> Floats:
    """Returns latents from a truncated normal distribution.

    Values beyond the threshold are drawn again. Truncation improves the samples and reduces their
    variety. Compute scores without it.

    Args:
        count: Number of latents.
        latent_dim: Size of a latent vector.
        threshold: Largest absolute value, in standard deviations. `GAN.sample` does not truncate.
        seed: Seed of the latents. Defaults to None, which draws new latents in each call.

    Returns:
        float32 latents `(count, latent_dim)`.

    Raises:
        ValueError: If the threshold is not positive.

    References:
        Brock et al. 2019, https://arxiv.org/abs/1809.11096, section 3.1.
    """
    if not threshold > 0:
        raise ValueError(f"Expected a positive threshold. Received: threshold={threshold}.")
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, latent_dim))
    while (beyond := np.abs(points) > threshold).any():
        # Below 0.1, most values would be drawn again many times, and the density is nearly flat.
        drawn = (
            rng.standard_normal(beyond.sum())
            if threshold > 0.1
            else rng.uniform(-threshold, threshold, beyond.sum())
        )
        points[beyond] = drawn
    return points.astype(np.float32)


def directions(
    draw: Callable[[Floats], ArrayLike], latent_dim: int, *, points: int = 16, seed: int = 0
) -> Floats:
    """Computes orthogonal directions of the latent space, sorted by their effect on images.

    They are the eigenvectors of the mean of JᵀJ, where J is the Jacobian of the image with respect
    to the latent, estimated by central differences. A step along the first direction changes the
    image most.

    Args:
        draw: Function that maps latents `(n, latent_dim)` to n images of any shape. It is called
            `points` times with `2 * latent_dim` latents.
        latent_dim: Size of a latent vector.
        points: Number of normal latents in the mean. Defaults to 16.
        seed: Seed of these latents. Defaults to 0.

    Returns:
        float32 unit vectors `(latent_dim, latent_dim)`, one direction in each row. The largest
        component of each is positive.

    References:
        Wang and Ponce 2021, https://arxiv.org/abs/2101.06006, section 2: the averaged metric.
    """
    step = 0.1  # standard deviations
    ends = np.concatenate([np.eye(latent_dim), -np.eye(latent_dim)]).astype(np.float32) * step
    metric = np.zeros((latent_dim, latent_dim))
    for point in np.random.default_rng(seed).standard_normal((points, latent_dim), np.float32):
        images = np.asarray(draw(point + ends), np.float64).reshape(2 * latent_dim, -1)
        slope = (images[:latent_dim] - images[latent_dim:]) / (2 * step)
        metric += slope @ slope.T / points
    rows = np.linalg.eigh(metric)[1].T[::-1]
    largest = rows[np.arange(latent_dim), np.abs(rows).argmax(axis=1)]
    return (rows * np.sign(largest)[:, None]).astype(np.float32)
