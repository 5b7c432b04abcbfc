"""Fits the thresholds of the monitor for color images without labels, and measures its detections.

    python tools/fetch_images.py twitter-emoji pokemon
    python benchmarks/mode_collapse/color_cases.py    # about 20 minutes

Chooses the thresholds on one draw of sets from two collections, and writes them to
fashion_gan/monitor/thresholds.json. Then evaluates them on another draw. Writes
docs/results/mode-collapse-color.json.

The images have no classes. Their kinds are ten clusters of their ImageNet features, other clusters
than those of the monitor, which knows a part of the images only. A set is collapsed if one or two
kinds are missing, or if it repeats at most 50 different images. A set is healthy if no kind has
less than half its share and no image is repeated.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cases
import numpy as np
from cases import Case, Maker
from fit_thresholds import FITTED, UNUSED, fit, measure, write_thresholds

from fashion_gan import data, evaluation, metrics, monitor, runtime
from fashion_gan.files import write_json
from fashion_gan.metrics.kmeans import kmeans

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs/results/mode-collapse-color.json"
COLLECTIONS = {"Twitter emoji": ("twitter-emoji", "crop"), "Pokemon sprites": ("pokemon", "pad")}
NUM_REAL, KINDS, SEED = 1_000, 10, 1
DRAWS = {"fitted": 1, "reported": 2}
"""Seeds of the draws on which thresholds are chosen, and on which they are measured."""


class CachedFeatures:
    """Computes ImageNet features, those of the given images only once.

    Args:
        images: uint8 images `(n, height, width, 3)` that many sets consist of.

    Attributes:
        values: Features of these images, `(n, d)`.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.values = evaluation.load_imagenet_features()(images)
        self._rows = {image.tobytes(): row for row, image in enumerate(images)}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        rows = [self._rows.get(image.tobytes()) for image in images]
        if None in rows:
            return evaluation.load_imagenet_features()(images)
        return self.values[rows]


def find_kinds(features: np.ndarray) -> np.ndarray:
    """Returns the kind of each image, `(n,)`, by its features `(n, d)`."""
    embedded = metrics.fit_pca(features, 64).transform(features)
    return metrics.nearest(embedded, kmeans(embedded, KINDS, seed=SEED)).indices[:, 0]


def agreement(features: np.ndarray, kinds: np.ndarray) -> float:
    """Returns the fraction of the 20 nearest neighbors of an image that have its kind."""
    embedded = metrics.fit_pca(features, 64).transform(features)
    neighbors = metrics.nearest(embedded, embedded, count=21).indices[:, 1:]
    return float((kinds[neighbors] == kinds[:, np.newaxis]).mean())


def make_color_cases(images: np.ndarray, kinds: np.ndarray, seed: int) -> Iterator[Case]:
    """Yields all cases that are made from RGB images of the given kinds."""
    maker, rng = Maker(images, np.zeros(len(images), int), seed), np.random.default_rng(seed)

    def draw(shares: dict[int, float]) -> np.ndarray:
        """Draws images at random, those of some kinds with a multiple of their probability."""
        weights = np.array([shares.get(kind, 1.0) for kind in kinds])
        chosen = rng.choice(len(images), cases.NUM_IMAGES, replace=False, p=weights / weights.sum())
        return images[chosen]

    for i in range(60):
        yield Case("real images", f"draw {i}", False, maker.draw())
    for group, arguments in cases.DISTORTIONS.items():
        for i in range(8):
            yield Case(group, f"draw {i}", False, maker.spoil(maker.draw(), **arguments))
    for i in range(10):
        yield Case("blends of two", f"draw {i}", False, maker.blend({}))
    for i in range(20):
        # Each kind keeps at least half its share: 0.6 times, divided by at most 1.2.
        uneven = dict(enumerate(rng.uniform(0.6, 1.2, KINDS)))
        yield Case("all kinds uneven", f"draw {i}", False, draw(uneven))
    for kind in range(KINDS):
        for i in range(2):
            yield Case("kind halved", f"kind {kind}, draw {i}", False, draw({kind: 0.5}))
            yield Case("kind removed", f"kind {kind}, draw {i}", True, draw({kind: 0.0}))
            pair = [kind, int(rng.choice(np.delete(np.arange(KINDS), kind)))]
            yield Case("2 kinds removed", f"kinds {pair}", True, draw(dict.fromkeys(pair, 0.0)))
    yield from cases.near_duplicates(maker)


class Sets(NamedTuple):
    """Cases of a collection with their signals, by the name of the draw.

    Attributes:
        shares: Fractions of the kinds, in ascending order.
        agreement: Result of `agreement` for all images of the collection.
        cases: Cases by the name of the draw in `DRAWS`.
        signals: Signals of the cases.
    """

    shares: list[float]
    agreement: float
    cases: dict[str, list[Case]]
    signals: dict[str, list[monitor.HealthSignals]]


def make_sets(folder: str, resize: str) -> Sets:
    """Splits a collection into reals and a pool for the draws, and measures the signals."""
    path = ROOT / ".data/images" / folder
    images = data.load_images(path, data.ImageOptions(image_size="32", resize=resize)).images
    images = np.unique(images.reshape(len(images), -1), axis=0).reshape(-1, *images.shape[1:])
    images = images[np.random.default_rng(SEED).permutation(len(images))]
    features = CachedFeatures(images)
    kinds = find_kinds(features.values)
    reference = monitor.ReferenceSet(images[:NUM_REAL], features.values[:NUM_REAL])
    pool, examples, signals = images[NUM_REAL:], {}, {}
    for draw, seed in DRAWS.items():
        examples[draw] = list(make_color_cases(pool, kinds[NUM_REAL:], seed))
        signals[draw] = [
            reference.signals(case.images, features(case.images)) for case in examples[draw]
        ]
        print(folder, draw, f"{len(examples[draw])} sets", flush=True)
    shares = np.bincount(kinds, minlength=KINDS) / len(kinds)
    same = agreement(features.values, kinds)
    return Sets(sorted(shares.round(3).tolist()), same, examples, signals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE.json")
    options = parser.parse_args()
    sets = {name: make_sets(*source) for name, source in COLLECTIONS.items()}
    collapsed = [case.collapsed for s in sets.values() for case in s.cases["fitted"]]
    signals = [signal for s in sets.values() for signal in s.signals["fitted"]]
    thresholds = fit(signals, np.array(collapsed), FITTED["color"])
    limits = monitor.Thresholds(**thresholds, **UNUSED["color"])
    collections = {
        name: {
            "shares_of_kinds": s.shares,
            "neighbors_of_same_kind": s.agreement,
            **{draw: measure(s.cases[draw], s.signals[draw], limits) for draw in DRAWS},
        }
        for name, s in sets.items()
    }
    print(thresholds)
    for name, of in collections.items():
        print(name, {key: of["reported"][key] for key in ("detection", "false_alarms")})
    result = {
        "versions": runtime.versions(),
        "real_images": NUM_REAL,
        "thresholds": thresholds,
        "collections": collections,
    }
    write_json(options.out, result)
    if options.out == RESULT:
        write_thresholds({"color": thresholds})


if __name__ == "__main__":
    main()
