"""Labelled cases for the alarm: sets of 1,000 images that are healthy, or collapsed, by make.

A set is collapsed if a class has less than 1 % or more than 30 % of it, or if it repeats at most
50 different images. It is healthy if every class has 4 to 25 % and no image is repeated. Anything
between is grey, and left out: whether a class at 2 % is lost is a matter of taste.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fashion_gan import data
from fashion_gan.metrics import fit_pca

COUNT = 1_000
LOST, DOMINANT, DUPLICATES = 0.01, 0.30, 50
HEALTHY = (0.04, 0.25)


@dataclass(frozen=True, eq=False)
class Case:
    """Images uint8 `(1000, 28, 28, 1)`, whether they are collapsed, and how they were made."""

    group: str
    name: str
    collapsed: bool
    images: np.ndarray


def label(shares: np.ndarray) -> bool | None:
    """Whether shares of the classes are collapsed; None in the grey zone."""
    if shares.min() < LOST or shares.max() > DOMINANT:
        return True
    if shares.min() >= HEALTHY[0] and shares.max() <= HEALTHY[1]:
        return False
    return None


class Maker:
    """Draws sets from real images by class."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.images = images
        self.labels = labels
        self.rng = np.random.default_rng(seed)
        self.members = [np.flatnonzero(labels == c) for c in range(10)]

    def draw(self, shares: dict[int, float] | None = None) -> np.ndarray:
        """Classes with the given shares, the rest evenly from the others; at random otherwise."""
        if not shares:
            return self.images[self.rng.choice(len(self.images), COUNT, replace=False)]
        return self.images[np.concatenate(self._rows(shares))]

    def blended(self, shares: dict[int, float]) -> np.ndarray:
        """Means of two images of a class, the second one among the 20 most alike to the first."""
        pixels = self.images.reshape(len(self.images), -1) / 255
        made = []
        for rows, members in zip(self._rows(shares), self.members, strict=True):
            distances = -2 * pixels[rows] @ pixels[members].T + (pixels[members] ** 2).sum(axis=1)
            ranked = np.argsort(distances, axis=1)[:, 1:21]
            partners = members[ranked[np.arange(len(rows)), self.rng.integers(0, 20, len(rows))]]
            made.append((pixels[rows] + pixels[partners]) / 2)
        return self._images(np.concatenate(made))

    def imagined(self, shares: dict[int, float]) -> np.ndarray:
        """Drawn from a normal distribution of each class, in its first 64 principal components."""
        made = []
        for rows, members in zip(self._rows(shares), self.members, strict=True):
            pca = fit_pca(self.images[members] / 255)
            z = self.rng.normal(size=(len(rows), 64)) * np.sqrt(pca.variances)
            made.append(pca.mean + z @ pca.components)
        return self._images(np.concatenate(made))

    def _rows(self, shares: dict[int, float]) -> list[np.ndarray]:
        rest = (1 - sum(shares.values())) / (10 - len(shares))
        wanted = np.array([shares.get(c, rest) for c in range(10)])
        counts = self.rng.multinomial(COUNT, wanted / wanted.sum())
        return [
            self.rng.choice(m, n, replace=False) for m, n in zip(self.members, counts, strict=True)
        ]

    @staticmethod
    def _images(pixels: np.ndarray) -> np.ndarray:
        return (pixels.clip(0, 1) * 255).round().astype(np.uint8).reshape(-1, 28, 28, 1)

    def duplicates(self, different: int, noise: float, shift: int) -> np.ndarray:
        """`different` images, each repeated, under noise and shifted by up to `shift` pixels."""
        chosen = self.draw()[:different]
        return self.spoil(chosen[np.arange(COUNT) % different], noise=noise, shift=shift)

    def spoil(
        self,
        images: np.ndarray,
        *,
        blur: int = 0,
        noise: float = 0.0,
        shift: int = 0,
        contrast: float = 1.0,
    ) -> np.ndarray:
        """As an imperfect generator would make them: `blur` passes of a 3 by 3 mean, and so on."""
        x = images.astype(np.float64) / 255
        if shift:
            moves = self.rng.integers(-shift, shift + 1, (len(x), 2))
            x = np.stack([np.roll(i, tuple(m), (0, 1)) for i, m in zip(x, moves, strict=True)])
        for _ in range(blur):
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = sum(padded[:, i : i + 28, j : j + 28] for i in range(3) for j in range(3)) / 9
        x = 0.5 + contrast * (x - 0.5) if contrast != 1 else x
        x = x + self.rng.normal(0, noise, x.shape) if noise else x
        return self._images(x)


def made(fashion: data.Split, seed: int = 0) -> Iterator[Case]:
    """All cases made from the test images."""
    maker = Maker(fashion.test_images, fashion.test_labels, seed)
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
    spoilt = {
        "blurred": {"blur": 1},
        "blurred twice": {"blur": 2},
        "noise of 5 %": {"noise": 0.05},
        "noise of 10 %": {"noise": 0.1},
        "shifted by 1": {"shift": 1},
        "blurred, noise of 5 %": {"blur": 1, "noise": 0.05},
        "contrast of 1.5": {"contrast": 1.5},
        "contrast of 0.8": {"contrast": 0.8},
    }
    for group, how in spoilt.items():
        for i in range(8):
            yield healthy(group, f"draw {i}", maker.spoil(maker.draw(), **how))
    for i in range(10):
        yield healthy("blends of two", f"draw {i}", maker.blended({}))
        yield healthy("normal distributions", f"draw {i}", maker.imagined({}))
    for c, name in enumerate(names):
        yield collapsed("class removed, blends of two", name, maker.blended({c: 0.0}))
        yield collapsed("class removed, normal distributions", name, maker.imagined({c: 0.0}))
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
            lost = several(count)
            yield collapsed(
                f"{count} classes removed", f"{lost}", maker.draw(dict.fromkeys(lost, 0.0))
            )
    for different in (5, 10, 20, 50):
        for noise, shift in ((0.0, 0), (0.02, 0), (0.05, 0), (0.0, 1), (0.02, 1)):
            yield collapsed(
                "near-duplicates",
                f"{different} images, noise {noise:.0%}, shift {shift}",
                maker.duplicates(different, noise, shift),
            )
