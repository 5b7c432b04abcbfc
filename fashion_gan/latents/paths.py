"""Ways through the latent space: between points, along an axis or what matters, to the middle."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["directions", "interpolate", "loop", "traverse", "truncate"]

Floats = NDArray[np.float32]


def interpolate(start: ArrayLike, end: ArrayLike, steps: int) -> Floats:
    """Points on the arc from one latent to another, in equal angles.

    Normal latents lie near a sphere; the straight line between two of them leads through its
    inside, where the generator was never trained. The radius goes from the one's to the other's on
    a line. Where the two point the same way, or one is 0, the arc is a line; where they point
    opposite ways, which leaves the arc open, it turns through the axis that is farthest from them.

    Args:
        start: `(latent_dim,)`, or `(n, latent_dim)` for n arcs.
        end: likewise.
        steps: points on an arc, both ends included; at least 2.

    Returns:
        float32 `(steps, latent_dim)` or `(n, steps, latent_dim)`.

    Raises:
        ValueError: for shapes that differ or are others, or for fewer than 2 steps.

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
        return a + share * (b - a)  # on a line there is no way around
    angle = np.arctan2(sine, cosine) * share
    direction = np.cos(angle) * u + np.sin(angle) * aside / np.linalg.norm(aside)
    points = ((1 - share) * radii[0] + share * radii[1]) * direction
    points[0], points[-1] = a, b
    return points


def loop(points: ArrayLike, frames: int) -> Floats:
    """Returns latents along arcs from point to point, and from the last one back to the first.

    The frames are divided among the arcs as equally as possible. A film of them has no seam: the
    last frame is one step before the first.

    Args:
        points: Latents `(n, latent_dim)`, at least 2.
        frames: Number of latents, at least `n`.

    Returns:
        float32 `(frames, latent_dim)`. Each of the points is among them, the first one first.

    Raises:
        ValueError: If the shape is another, or there are fewer points or frames.
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
    """One latent with other values along one axis: what that axis means to the generator.

    Args:
        latent: `(latent_dim,)`.
        axis: index into it.
        values: `(n,)`, in standard deviations.

    Returns:
        float32 `(n, latent_dim)`.

    Raises:
        ValueError: for another shape, or an axis that it does not have.
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
    """Normal latents without the rare ones: numbers beyond the threshold are drawn again.

    Samples become better and more alike; scores are to be measured without it.

    Args:
        count: number of latents.
        latent_dim: size of one.
        threshold: the largest absolute value, in standard deviations; `GAN.sample` knows none.
        seed: the same seed gives the same latents.

    Returns:
        float32 `(count, latent_dim)`.

    Raises:
        ValueError: unless the threshold is positive.

    References:
        Brock et al. 2019, https://arxiv.org/abs/1809.11096, section 3.1.
    """
    if not threshold > 0:
        raise ValueError(f"Expected a positive threshold. Received: threshold={threshold}.")
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, latent_dim))
    while (beyond := np.abs(points) > threshold).any():
        # Below 0.1 most would be drawn again and again; there the density is flat.
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
    """Unit vectors of the latent space, at right angles, in the order of what they do to images.

    They are the eigenvectors of the mean of JᵀJ, with J the derivative of the image by the latent,
    here by central differences. A step along the first changes the image most.

    Args:
        draw: from latents `(n, latent_dim)` to n images of any shape; it is called `points` times
            with `2 * latent_dim` of them.
        latent_dim: size of a latent vector.
        points: normal latents to take the mean over.
        seed: of those.

    Returns:
        float32 `(latent_dim, latent_dim)`, a direction a row; in each the largest number is
        positive.

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
