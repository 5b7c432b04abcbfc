"""Measures the monitor without labels on two collections of color images.

    python tools/fetch_images.py twitter-emoji pokemon
    python benchmarks/mode_collapse/color_cases.py    # about 3 minutes of one core

The thresholds are those of the package, which fit_thresholds.py chose on Fashion-MNIST. Writes
docs/results/mode-collapse-color.json.

The images have no classes. Their kinds are ten clusters of their ImageNet features, other clusters
than those of the monitor, which knows a part of the images only. A set is collapsed if one or two
kinds are missing, or if it repeats at most 50 different images. A set is healthy if no kind has
less than half its share and no image is repeated.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cases
import numpy as np
from cases import Case, Maker
from fit_thresholds import count_alarms

from fashion_gan import data, evaluation, metrics, monitor, runtime
from fashion_gan.files import write_json
from fashion_gan.metrics.kmeans import kmeans

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs/results/mode-collapse-color.json"
COLLECTIONS = {"Twitter emoji": ("twitter-emoji", "crop"), "Pokemon sprites": ("pokemon", "pad")}
NUM_REAL, KINDS, SEED = 1_000, 10, 1


def find_kinds(images: np.ndarray) -> np.ndarray:
    """Returns the kind of each image, `(n,)`."""
    features = evaluation.load_imagenet_features()(images)
    embedded = metrics.fit_pca(features, 64).transform(features)
    return metrics.nearest(embedded, kmeans(embedded, KINDS, seed=SEED)).indices[:, 0]


def make_color_cases(images: np.ndarray, kinds: np.ndarray, seed: int) -> Iterator[Case]:
    """Yields all cases that are made from RGB images of the given kinds."""
    maker, rng = Maker(images, np.zeros(len(images), int), seed), np.random.default_rng(seed)

    def draw(rarer: Sequence[int], share: float) -> np.ndarray:
        """Draws images at random, those of some kinds with `share` times their probability."""
        weights = np.where(np.isin(kinds, rarer), share, 1.0)
        chosen = rng.choice(len(images), cases.NUM_IMAGES, replace=False, p=weights / weights.sum())
        return images[chosen]

    for i in range(60):
        yield Case("real images", f"draw {i}", False, maker.draw())
    for group, arguments in cases.DISTORTIONS.items():
        for i in range(8):
            yield Case(group, f"draw {i}", False, maker.spoil(maker.draw(), **arguments))
    for i in range(10):
        yield Case("blends of two", f"draw {i}", False, maker.blend({}))
    for kind in range(KINDS):
        for i in range(2):
            yield Case("kind halved", f"kind {kind}, draw {i}", False, draw([kind], 0.5))
            yield Case("kind removed", f"kind {kind}, draw {i}", True, draw([kind], 0.0))
            pair = [kind, int(rng.choice(np.delete(np.arange(KINDS), kind)))]
            yield Case("2 kinds removed", f"kinds {pair}", True, draw(pair, 0.0))
    yield from cases.near_duplicates(maker)


def measure(real: np.ndarray, examples: Sequence[Case]) -> dict:
    """Returns the detections and false alarms of the monitor without labels, also by group."""
    reference = monitor.ReferenceSet(real, evaluation.load_imagenet_features()(real))
    issues = [
        monitor.diagnose(reference.signals(case.images), monitor.UNLABELED) for case in examples
    ]
    collapsed = np.array([case.collapsed for case in examples])
    alarm = np.array([bool(found) for found in issues])
    return {
        "real_images": len(real),
        "collapsed": int(collapsed.sum()),
        "detection": float(alarm[collapsed].mean()),
        "healthy": int((~collapsed).sum()),
        "false_alarms": float(alarm[~collapsed].mean()),
        "groups": count_alarms(examples, alarm),
    }


def measure_collection(folder: str, resize: str) -> dict:
    """Returns the result for a collection, split into reals and a pool for the draws."""
    path = ROOT / ".data/images" / folder
    images = data.load_images(path, data.ImageOptions(image_size="32", resize=resize)).images
    images = np.unique(images.reshape(len(images), -1), axis=0).reshape(-1, *images.shape[1:])
    images = images[np.random.default_rng(SEED).permutation(len(images))]
    kinds, real, pool = find_kinds(images), images[:NUM_REAL], images[NUM_REAL:]
    shares = np.bincount(kinds, minlength=KINDS) / len(kinds)
    result = measure(real, list(make_color_cases(pool, kinds[NUM_REAL:], SEED)))
    return {"shares_of_kinds": sorted(shares.round(3).tolist()), **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE.json")
    options = parser.parse_args()
    results = {name: measure_collection(*source) for name, source in COLLECTIONS.items()}
    for name, result in results.items():
        print(name, {key: value for key, value in result.items() if key != "groups"})
    write_json(options.out, {"versions": runtime.versions(), **results})


if __name__ == "__main__":
    main()
