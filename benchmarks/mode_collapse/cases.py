"""Makes labeled cases for the monitor: sets of 1,000 images, healthy or collapsed by design.

A set is collapsed if a class has less than 1 % or more than 30 % of it, or if it repeats at most
50 different images. It is healthy if every class has 4 to 25 % and no image is repeated. Sets in
between form the gray zone and are omitted, since there is no clear label for a class at 2 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fashion_gan import data
from fashion_gan.metrics import fit_pca

NUM_IMAGES = 1_000
MISSING, DOMINANT = 0.01, 0.30
HEALTHY = (0.04, 0.25)
DISTORTIONS = {
    "blurred": {"blur": 1},
    "blurred twice": {"blur": 2},
    "noise of 5 %": {"noise": 0.05},
    "noise of 10 %": {"noise": 0.1},
    "shifted by 1": {"shift": 1},
    "blurred, noise of 5 %": {"blur": 1, "noise": 0.05},
    "contrast of 1.5": {"contrast": 1.5},
    "contrast of 0.8": {"contrast": 0.8},
}
"""Arguments of `Maker.spoil` for distortions that are no collapse, by group."""


@dataclass(frozen=True, eq=False)
class Case:
    """Holds a set of images with its label.

    Attributes:
        group: How the images were made.
        name: Name of the case within its group.
        collapsed: Whether the set is collapsed.
        images: uint8 images `(1000, 28, 28, 1)`.
    """

    group: str
    name: str
    collapsed: bool
    images: np.ndarray


def is_collapsed(shares: np.ndarray) -> bool | None:
    """Returns whether class shares are those of a collapsed set, or None in the gray zone."""
    if shares.min() < MISSING or shares.max() > DOMINANT:
        return True
    if shares.min() >= HEALTHY[0] and shares.max() <= HEALTHY[1]:
        return False
    return None


class Maker:
    """Makes sets of images from real images.

    Args:
        images: uint8 images `(n, height, width, channels)`.
        labels: Classes of the images `(n,)`, integers from 0.
        seed: Seed of all random choices.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.images = images
        self.labels = labels
        self.rng = np.random.default_rng(seed)
        self.members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]

    def draw(self, shares: dict[int, float] | None = None) -> np.ndarray:
        """Draws images at random, or with given class shares and the others in equal numbers."""
        if not shares:
            return self.images[self.rng.choice(len(self.images), NUM_IMAGES, replace=False)]
        return self.images[np.concatenate(self._rows(shares))]

    def blend(self, shares: dict[int, float]) -> np.ndarray:
        """Averages two images of a class, where the second is among the 20 nearest to the first."""
        pixels = self.images.reshape(len(self.images), -1) / 255
        blends = []
        for rows, members in zip(self._rows(shares), self.members, strict=True):
            distances = -2 * pixels[rows] @ pixels[members].T + (pixels[members] ** 2).sum(axis=1)
            ranked = np.argsort(distances, axis=1)[:, 1:21]
            partners = members[ranked[np.arange(len(rows)), self.rng.integers(0, 20, len(rows))]]
            blends.append((pixels[rows] + pixels[partners]) / 2)
        return self._images(np.concatenate(blends))

    def draw_normal(self, shares: dict[int, float]) -> np.ndarray:
        """Draws from a normal distribution of each class, in its 64 principal components."""
        draws = []
        for rows, members in zip(self._rows(shares), self.members, strict=True):
            pca = fit_pca(self.images[members] / 255)
            z = self.rng.normal(size=(len(rows), 64)) * np.sqrt(pca.variances)
            draws.append(pca.mean + z @ pca.components)
        return self._images(np.concatenate(draws))

    def _rows(self, shares: dict[int, float]) -> list[np.ndarray]:
        """Draws the indices of the images of each class."""
        count = len(self.members)
        rest = (1 - sum(shares.values())) / (count - len(shares))
        expected = np.array([shares.get(c, rest) for c in range(count)])
        counts = self.rng.multinomial(NUM_IMAGES, expected / expected.sum())
        return [
            self.rng.choice(m, n, replace=False) for m, n in zip(self.members, counts, strict=True)
        ]

    def _images(self, pixels: np.ndarray) -> np.ndarray:
        pixels = pixels.reshape(-1, *self.images.shape[1:])
        return (pixels.clip(0, 1) * 255).round().astype(np.uint8)

    def duplicates(self, different: int, noise: float, shift: int) -> np.ndarray:
        """Repeats `different` images under noise and shifts of up to `shift` pixels."""
        originals = self.draw()[:different]
        return self.spoil(originals[np.arange(NUM_IMAGES) % different], noise=noise, shift=shift)

    def spoil(
        self,
        images: np.ndarray,
        *,
        blur: int = 0,
        noise: float = 0.0,
        shift: int = 0,
        contrast: float = 1.0,
    ) -> np.ndarray:
        """Distorts images as an imperfect generator would.

        Args:
            images: Images to distort.
            blur: Number of passes of a 3 by 3 mean.
            noise: Standard deviation of normal noise, for pixels in [0, 1].
            shift: Largest shift along each side in pixels.
            contrast: Factor of the difference from gray.
        """
        x = images.astype(np.float64) / 255
        if shift:
            moves = self.rng.integers(-shift, shift + 1, (len(x), 2))
            x = np.stack([np.roll(i, tuple(m), (0, 1)) for i, m in zip(x, moves, strict=True)])
        for _ in range(blur):
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
            height, width = x.shape[1:3]
            x = sum(padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
            x /= 9
        x = 0.5 + contrast * (x - 0.5) if contrast != 1 else x
        x = x + self.rng.normal(0, noise, x.shape) if noise else x
        return self._images(x)


def make_cases(split: data.Split, seed: int = 0) -> Iterator[Case]:
    """Yields all cases that are made from the test images."""
    maker = Maker(split.test_images, split.test_labels, seed)
    names = [name.lower() for name in data.CLASS_NAMES]
    rng = np.random.default_rng(seed + 1)

    def several(count: int) -> list[int]:
        return sorted(rng.choice(10, count, replace=False).tolist())

    def healthy(group: str, name: str, images: np.ndarray) -> Case:
        return Case(group, name, False, images)

    def collapsed(group: str, name: str, images: np.ndarray) -> Case:
        return Case(group, name, True, images)

    for i in range(60):
        yield healthy("real images", f"draw {i}", maker.draw())
    for c, name in enumerate(names):
        for share in (0.05, 0.06):
            yield healthy("class halved", f"{name} {share:.0%}", maker.draw({c: share}))
        for share in (0.15, 0.18):
            yield healthy("class at 15 to 18 %", f"{name} {share:.0%}", maker.draw({c: share}))
    for _ in range(8):
        pair = several(2)
        yield healthy("two classes halved", f"{pair}", maker.draw(dict.fromkeys(pair, 0.05)))
    for group, arguments in DISTORTIONS.items():
        for i in range(8):
            yield healthy(group, f"draw {i}", maker.spoil(maker.draw(), **arguments))
    for i in range(10):
        yield healthy("blends of two", f"draw {i}", maker.blend({}))
        yield healthy("normal distributions", f"draw {i}", maker.draw_normal({}))
    for c, name in enumerate(names):
        yield collapsed("class removed, blends of two", name, maker.blend({c: 0.0}))
        yield collapsed("class removed, normal distributions", name, maker.draw_normal({c: 0.0}))
        for i in range(6):
            yield collapsed("class removed", f"{name} {i}", maker.draw({c: 0.0}))
        yield collapsed("class at 0.5 %", name, maker.draw({c: 0.005}))
        blurred = maker.spoil(maker.draw({c: 0.0}), blur=1)
        yield collapsed("class removed, blurred", name, blurred)
        noisy = maker.spoil(maker.draw({c: 0.0}), noise=0.05)
        yield collapsed("class removed, noise of 5 %", name, noisy)
        for share in (0.35, 0.5):
            yield collapsed("class above 30 %", f"{name} {share:.0%}", maker.draw({c: share}))
    for count in (2, 3, 5):
        for _ in range(5):
            missing = several(count)
            yield collapsed(
                f"{count} classes removed", f"{missing}", maker.draw(dict.fromkeys(missing, 0.0))
            )
    yield from near_duplicates(maker)


def near_duplicates(maker: Maker) -> Iterator[Case]:
    """Yields collapsed cases of at most 50 different images."""
    for different in (5, 10, 20, 50):
        for noise, shift in ((0.0, 0), (0.02, 0), (0.05, 0), (0.0, 1), (0.02, 1)):
            name = f"{different} images, noise {noise:.0%}, shift {shift}"
            images = maker.duplicates(different, noise, shift)
            yield Case("near-duplicates", name, True, images)
