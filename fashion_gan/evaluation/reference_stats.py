"""Computes the reference statistics of real images, and caches them by their dependencies."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan import metrics
from fashion_gan.files import atomic_write
from fashion_gan.images import premultiply
from fashion_gan.metrics import PCA, Manifold, NDBBins

__all__ = [
    "ReferenceStats",
    "cached",
    "compute_reference_stats",
    "num_components",
    "project_pixels",
]

_MAX_VALUES = 2**27  # pixels that are projected at once
_FORMAT = "2"  # change it whenever the meaning of the statistics changes


@dataclass(frozen=True, eq=False)
class ReferenceStats:
    """Holds the reference statistics that generated images are compared with.

    Attributes:
        features: Features of the real images `(n, d)`, with the radii of their neighborhoods. None
            if only pixels are measured.
        pixels: First principal components of the real images, with the radii of their
            neighborhoods.
        pca: Principal components, fitted to the training images.
        bins: NDB bins of the training images, or None if no bins are requested.
        nearest_train_distance: Distances of the real images to their nearest training images in the
            principal components, `(n,)`. None without bins.
    """

    features: Manifold | None
    pixels: Manifold
    pca: PCA
    bins: NDBBins | None
    nearest_train_distance: np.ndarray | None


def num_components(train: np.ndarray, count: int) -> int:
    """Returns the number of principal components of the pixels to compare.

    Args:
        train: Training images that the components are fitted to.
        count: Number of images on each side. The result is at most half of it.
    """
    return max(min(64, train[0].size, len(train) - 1, count // 2), 1)


def project_pixels(pca: PCA, images: np.ndarray) -> np.ndarray:
    """Projects uint8 images, scaled to [0, 1], to principal components.

    The scale matters for the kernel distance. The colors of RGBA images are multiplied by alpha,
    see `images.premultiply`.
    """
    visible = premultiply(images)
    if images.size <= _MAX_VALUES:
        return pca.transform(visible / 255)
    chunks = np.array_split(visible, -(-images.size // _MAX_VALUES))
    return np.concatenate([pca.transform(chunk / 255) for chunk in chunks])


def compute_reference_stats(
    features: np.ndarray | None, real: np.ndarray, train: np.ndarray, bins: int, seed: int
) -> ReferenceStats:
    """Computes the reference statistics of real images.

    Pixels are measured after `images.premultiply`.

    Args:
        features: Features of the real images, `(n, d)`, or None.
        real: uint8 real images `(n, height, width, channels)`.
        train: uint8 training images `(m, height, width, channels)`.
        bins: Number of bins. 0 omits the statistics that need all training images.
        seed: Seed of the bins.
    """
    visible = premultiply(train)
    pca = metrics.fit_pca(metrics.pca_images(visible) / 255, num_components(train, len(real)))
    real_pixels = project_pixels(pca, real)
    return ReferenceStats(
        features=None if features is None else metrics.manifold(features),
        pixels=metrics.manifold(real_pixels),
        pca=pca,
        bins=metrics.fit_ndb_bins(visible, bins, seed=seed) if bins else None,
        nearest_train_distance=(
            metrics.nearest(real_pixels, project_pixels(pca, train)).distances[:, 0]
            if bins
            else None
        ),
    )


def cached(
    folder: str | os.PathLike[str] | None,
    dependencies: list[Any],
    make: Callable[[], ReferenceStats],
) -> ReferenceStats:
    """Returns the cached statistics with the same dependencies, or the result of `make()`.

    Recomputes unreadable cache files, and skips caching if the folder is not writable.

    Args:
        folder: Folder of the cache, or None to skip caching.
        dependencies: Arrays, and other values that have equal reprs if and only if they are equal.
        make: Function that computes the statistics.
    """
    if folder is None:
        return make()
    path = Path(folder) / f"reference-{_key(dependencies)}.npz"
    try:
        return _read(path)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        side = make()
    try:
        with atomic_write(path) as partial:
            np.savez(partial, **dict(_flat(side)))
    except OSError:
        pass
    return side


def _key(dependencies: list[Any]) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    for value in dependencies:
        is_array = isinstance(value, np.ndarray)
        digest.update(repr((value.shape, value.dtype.str) if is_array else value).encode())
        if is_array:
            digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()[:32]


def _flat(side: ReferenceStats) -> Any:
    """Yields a pair `(name, array)` for each field, with names such as `part.field`."""
    for part in fields(side):
        value = getattr(side, part.name)
        if isinstance(value, np.ndarray):
            yield part.name, value
        elif value is not None:
            yield from ((f"{part.name}.{f.name}", getattr(value, f.name)) for f in fields(value))


def _read(path: Path) -> ReferenceStats:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        content = dict(file)

    def part(kind: Any, name: str) -> Any:
        return kind(**{f.name: content[f"{name}.{f.name}"] for f in fields(kind)})

    manifolds = {
        name: Manifold(
            content[f"{name}.samples"], content[f"{name}.radii"], int(content[f"{name}.k"])
        )
        for name in ("features", "pixels")
    }
    return ReferenceStats(
        **manifolds,
        pca=part(PCA, "pca"),
        bins=part(NDBBins, "bins") if "bins.counts" in content else None,
        nearest_train_distance=content.get("nearest_train_distance"),
    )
