"""The real side of a comparison: measured once, and kept on disk under all that it depends on."""

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
_FORMAT = "2"  # to be changed with whatever the numbers below mean


@dataclass(frozen=True, eq=False)
class ReferenceStats:
    """What generated images are compared with.

    Attributes:
        features: of the real images `(n, d)`, with the radii of their neighborhoods; None if they
            have none but the pixels.
        pixels: likewise, of their first principal components.
        pca: those components, fitted to the train images.
        bins: of the train images; None if they are not asked for.
        nearest_train_distance: Distance of each real image to its nearest train image, by the
            components, `(n,)`; None without bins.
    """

    features: Manifold | None
    pixels: Manifold
    pca: PCA
    bins: NDBBins | None
    nearest_train_distance: np.ndarray | None


def num_components(train: np.ndarray, count: int) -> int:
    """Returns how many principal components of the pixels are compared.

    Args:
        train: Training images, whose components they are.
        count: Number of images on each side, at least twice as many as components.
    """
    return max(min(64, train[0].size, len(train) - 1, count // 2), 1)


def project_pixels(pca: PCA, images: np.ndarray) -> np.ndarray:
    """Components of uint8 images, scaled to [0, 1]: the kernel distance depends on the scale.

    Colors of RGBA images are multiplied by alpha, see `images.premultiply`.
    """
    visible = premultiply(images)
    if images.size <= _MAX_VALUES:
        return pca.transform(visible / 255)
    chunks = np.array_split(visible, -(-images.size // _MAX_VALUES))
    return np.concatenate([pca.transform(chunk / 255) for chunk in chunks])


def compute_reference_stats(
    features: np.ndarray | None, real: np.ndarray, train: np.ndarray, bins: int, seed: int
) -> ReferenceStats:
    """Measure the real side.

    What is measured of pixels is measured of `images.premultiply`.

    Args:
        features: of the real images, `(n, d)`, or None.
        real: uint8 images `(n, height, width, channels)`.
        train: the same, that the generator was trained on.
        bins: how many; 0 leaves out what needs all train images.
        seed: of the bins.
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
    """`make()`, or what an earlier call with the same dependencies left in the folder.

    A file that cannot be read is made anew; a folder that cannot be written to is done without.

    Args:
        folder: of the files; None for none.
        dependencies: arrays, and other values that print alike if and only if they are alike.
        make: measures.
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
    """`(name, array)` of each number in it, as `part.field`."""
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
