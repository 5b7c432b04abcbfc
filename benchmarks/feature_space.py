"""Compares layers and image sizes of the ImageNet network, and tests the order of each number.

    python benchmarks/feature_space.py layers    # sensitivity and order of each layer at each size
    python benchmarks/feature_space.py cost      # seconds for 1,000 images
    python benchmarks/feature_space.py order     # the order test of each number

The real images of a collection are split into halves. One half is compared with the other half,
unchanged and with known degradations. The unchanged images must score best, and a stronger
degradation must score worse. The collections are Fashion-MNIST and those that
`python tools/fetch_images.py` fetches.
"""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _harness import describe_machine, make_parser, read_result, write_result

from fashion_gan import data, images, metrics
from fashion_gan.evaluation.imagenet import ImageNetFeatures, load_imagenet_features
from fashion_gan.metrics.kmeans import kmeans
from fashion_gan.models.efficientnet import LAYERS, SIZE, WIDTHS, load_imagenet_weights
from fashion_gan.runtime import import_tensorflow_quietly

IMAGES = Path(__file__).parent.parent / ".data/images"
COLLECTIONS = {"fashion-mnist": 28, "twitter-emoji": 32, "noto-emoji": 64, "silk": 16}
COLLECTIONS |= {"pokemon": 64}
"""Height and width of the images of each collection."""
CANDIDATES = {name: (name,) for name in WIDTHS}
CANDIDATES |= {"stages 3 and 5": ("stage_3", "stage_5"), "stages 5 and 7": ("stage_5", "stage_7")}
CANDIDATES |= {"stages 2, 3, 5, 7": ("stage_2", "stage_3", "stage_5", "stage_7")}
SIZES = (64, 96, 128, 160, 224)

BLURS, NOISES, BLENDS = (0.5, 1.0, 2.0), (0.05, 0.1, 0.2), (0.25, 0.5)
REMOVED, DISTINCT, COPIES = (1, 3, 5), (2, 5, 20), (0.1, 0.3, 1.0)
CLUSTERS = 10
CHAINS = {
    "blur": [f"blur {s}" for s in BLURS],
    "noise": [f"noise {s}" for s in NOISES],
    "blend": [f"blend {s}" for s in BLENDS],
    "removed": [f"removed {s}" for s in REMOVED],
    "repeated": [f"repeated {s}" for s in DISTINCT],
}
"""Degradations of each kind, from the weakest to the strongest."""

Measured = dict[str, dict[str, list[float]]]


class Halves:
    """Holds a collection of held-out images, training images, and degraded training images.

    Attributes:
        pool: Number of images in each degraded set.
        sets: uint8 images by name; `"train"` may hold more than `pool`.
        labels: Class or cluster of each image of `"train"`.
    """

    def __init__(self, name: str, pool: int, folder: Path, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        if name == "fashion-mnist":
            everything, labels = data.load_fashion_mnist().train_images, None
            labels = data.load_fashion_mnist().train_labels
        else:
            size = COLLECTIONS[name]
            options = data.ImageOptions(image_size=str(size), channels="3")
            everything, labels = np.asarray(data.load_images(folder / name, options).images), None
        order = rng.permutation(len(everything))
        self.pool = min(pool, len(order) // 2)
        held_out = order[: self.pool]
        train = order[self.pool : self.pool + 2 * self.pool]
        self.sets = {"held out": everything[held_out], "train": everything[train]}
        first = self.sets["train"][: self.pool] / 255
        other = first[rng.permutation(self.pool)]
        noise = rng.normal(size=first.shape)
        changed = {f"blur {s}": blur(first, s) for s in BLURS}
        changed |= {f"noise {s}": first + s * noise for s in NOISES}
        changed |= {f"blend {s}": (1 - s) * first + s * other for s in BLENDS}
        changed["noise alone"] = rng.random(first.shape)
        self.sets |= {key: images.to_uint8(value) for key, value in changed.items()}
        if labels is None:
            pixels = self.sets["train"] / 255
            pca = metrics.fit_pca(metrics.pca_images(pixels), 10)
            components = pca.transform(pixels)
            centroids = kmeans(components, CLUSTERS)
            self.labels = metrics.nearest(components, centroids).indices[:, 0]
        else:
            self.labels = labels[train]

    def draws(self, count: int, seed: int) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields the kind, set and rows of all images to compare with held-out images."""
        rng = np.random.default_rng(seed)
        rows = rng.choice(self.pool, count, replace=False)
        yield "train", "train", rows
        for key in self.sets:
            if key not in ("held out", "train"):
                yield key, key, rows
        sizes = np.bincount(self.labels)
        for number in REMOVED:
            left = np.flatnonzero(~np.isin(self.labels, np.argsort(-sizes)[:number]))
            if len(left) >= count:
                yield f"removed {number}", "train", rng.choice(left, count, replace=False)
        for divisor in DISTINCT:
            yield f"repeated {divisor}", "train", np.resize(rows[: count // divisor], count)


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs images with a Gaussian of `sigma` pixels."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (1, 2):
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(4)]
        padded = np.pad(pixels, padding, mode="edge")
        size = pixels.shape[axis]
        pixels = sum(
            weight * np.take(padded, np.arange(i, i + size), axis)
            for i, weight in enumerate(weights)
        )
    return pixels


def columns(layers: tuple[str, ...]) -> np.ndarray:
    """Returns the columns of some layers among the features of all layers."""
    starts = dict(zip(WIDTHS, np.cumsum([0, *WIDTHS.values()]), strict=False))
    return np.concatenate([np.arange(starts[x], starts[x] + WIDTHS[x]) for x in layers])


def unbiased_distances(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Returns the two distances by which layers are compared."""
    transport = metrics.sliced_transport_distance(real, fake, directions=64, halvings=4)
    kernel = metrics.kernel_distance(real, fake, size=None, subsets=1)
    return {"kernel_distance": kernel.mean, "transport_distance": transport.mean}


def all_numbers(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Returns all numbers that compare two sets of features, and the diversity of one set."""
    transport = metrics.sliced_transport_distance(real, fake)
    kernel = metrics.kernel_distance(real, fake, size=None, subsets=1)
    pca = metrics.fit_pca(real, min(64, len(real) // 2 - 1, real.shape[1]))
    neighbors = metrics.prdc(real, fake)
    return {
        "kernel_distance": kernel.mean,
        "transport_distance": transport.mean,
        "transport_distance_biased": transport.biased,
        "frechet_distance": metrics.frechet_distance(pca.transform(real), pca.transform(fake)),
        "precision": neighbors.precision,
        "recall": neighbors.recall,
        "density": neighbors.density,
        "coverage": neighbors.coverage,
        "vendi_score": metrics.vendi_score(fake),
    }


def measure(
    halves: Halves,
    features: dict[str, np.ndarray],
    count: int,
    draws: int,
    numbers: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> Measured:
    """Returns the values of each number for each set over several draws."""
    result: Measured = {}
    for seed in range(draws):
        real = np.random.default_rng(1000 + seed).choice(halves.pool, count, replace=False)
        for kind, key, rows in halves.draws(count, seed):
            for name, value in numbers(features["held out"][real], features[key][rows]).items():
                result.setdefault(name, {}).setdefault(kind, []).append(value)
    return result


def sensitivity(measured: Measured) -> dict[str, Any]:
    """Returns how well distances separate the degradations.

    `ordered` is the fraction of right comparisons with the next stronger degradation, over all
    draws. `separation` is the distance of the weakest degradation of each kind from the training
    images, in standard deviations of the training images.
    """
    result = {}
    for name, values in measured.items():
        clean, right, separation = np.array(values["train"]), [], {}
        right += list(clean < np.array(values["noise alone"]))
        for kind, chain in CHAINS.items():
            steps = [clean, *(np.array(values[key]) for key in chain if key in values)]
            right += [x for a, b in pairwise(steps) for x in a < b]
            if len(steps) > 1:
                distance = steps[1].mean() - clean.mean()
                separation[kind] = rounded(distance / clean.std(ddof=1))
        result[name] = {"ordered": rounded(np.mean(right)), "separation": separation}
    return result


def summary(measured: Measured, whole: bool) -> dict[str, Any]:
    """Returns means over the draws, and the standard deviation for the training images.

    If each draw is the whole pool, there is no standard deviation.
    """
    return {
        name: {
            **{kind: rounded(np.mean(draws)) for kind, draws in values.items()},
            **({} if whole else {"std": rounded(np.std(values["train"], ddof=1))}),
        }
        for name, values in measured.items()
    }


def rounded(value: float) -> float:
    """Returns a number with four significant digits."""
    return float(f"{value:.4g}")


def copying(
    halves: Halves, features: dict[str, np.ndarray], count: int
) -> dict[str, dict[str, float]]:
    """Returns the copying metrics for new images, some of which are slightly blurred copies."""
    half = min(count, halves.pool // 2)
    train = features["train"][: halves.pool]
    test, fresh = features["held out"][:half], features["held out"][half : 2 * half]
    baseline = metrics.nearest(test, train).distances[:, 0]
    result: dict[str, dict[str, float]] = {"nearest_ratio": {}, "copied_share": {}}
    for share in (0.0, *COPIES):
        fake = fresh.copy()
        fake[: int(share * half)] = features[f"blur {BLURS[0]}"][: int(share * half)]
        near = metrics.nearest(fake, train).distances[:, 0]
        result["copied_share"][f"copies {share}"] = rounded(metrics.copied_share(baseline, near))
        if np.median(baseline) > 0:
            ratio = metrics.memorization_ratio(baseline, near)
            result["nearest_ratio"][f"copies {share}"] = rounded(ratio)
    return result


def compare_layers(args: Any, result: dict[str, Any]) -> None:
    """Measures every candidate layer at every size, on few images of each collection."""
    weights = load_imagenet_weights()
    for size in args.sizes:
        extract = ImageNetFeatures(weights, tuple(WIDTHS), size)
        done = result.setdefault("layers", {}).setdefault(str(size), {})
        for name in args.collections:
            if name in done:
                continue
            halves = Halves(name, args.pool, args.images)
            found = {key: extract(value) for key, value in halves.sets.items()}
            done[name] = {}
            for candidate, layers in CANDIDATES.items():
                chosen = columns(layers)
                features = {key: value[:, chosen] for key, value in found.items()}
                values = measure(halves, features, args.count, args.draws, unbiased_distances)
                done[name][candidate] = sensitivity(values)
            write_result(args.out, "feature-space", result)
            print(f"layers: {size} pixels, {name}", flush=True)


def measure_cost(args: Any, result: dict[str, Any]) -> None:
    """Measures the seconds for 1,000 images of 64 by 64 pixels."""
    weights = load_imagenet_weights()
    batch = np.random.default_rng(0).integers(0, 256, (200, 64, 64, 3), np.uint8)
    for size in args.sizes:
        for name in ("stage_3", "stage_5", "stage_7", "head"):
            extract, seconds = ImageNetFeatures(weights, (name,), size), []
            extract(batch[:100])
            for turn in range(3):
                start = time.perf_counter()
                extract(np.roll(batch, turn + 1, axis=0))
                seconds.append(5 * (time.perf_counter() - start))
            cost = result.setdefault("cost", {}).setdefault(str(size), {})
            cost[name] = round(min(seconds), 2)
            print(f"cost: {size} pixels, {name}: {cost[name]} s", flush=True)
        write_result(args.out, "feature-space", result)


def test_order(args: Any, result: dict[str, Any]) -> None:
    """Measures every number at every count, in the features of the package and in pixels."""
    extract = load_imagenet_features()
    order = result.setdefault("order", {})
    order |= {"layers": list(LAYERS), "size": SIZE}
    done = order.setdefault("collections", {})
    for name in args.collections:
        halves = Halves(name, max(args.counts), args.images)
        pca = metrics.fit_pca(metrics.pca_images(halves.sets["train"] / 255), 64)
        spaces = {
            "imagenet": {key: extract(value) for key, value in halves.sets.items()},
            "pixels": {key: pca.transform(value / 255) for key, value in halves.sets.items()},
        }
        for count, draws in zip(args.counts, (5, 3, 1), strict=False):
            count = min(count, halves.pool)
            if f"{count}" in done.get(name, {}):
                continue
            done.setdefault(name, {})[f"{count}"] = {
                space: {
                    **summary(
                        measure(halves, features, count, draws, all_numbers), count == halves.pool
                    ),
                    **copying(halves, features, count),
                }
                for space, features in spaces.items()
            }
            write_result(args.out, "feature-space", result)
            print(f"order: {name}, {count} images", flush=True)


def main() -> None:
    import_tensorflow_quietly()  # with oneDNN, as in the commands
    parser = make_parser(__doc__)
    parser.add_argument("part", choices=["layers", "cost", "order"])
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS))
    parser.add_argument(
        "--images", type=Path, default=IMAGES, help="folder with collections of images"
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument(
        "--pool", type=int, default=200, help="number of images of each kind, for layers"
    )
    parser.add_argument(
        "--count", type=int, default=100, help="number of images of a draw, for layers"
    )
    parser.add_argument("--draws", type=int, default=4, help="for layers")
    parser.add_argument("--counts", nargs="+", type=int, default=(100, 500, 2000), help="for order")
    args = parser.parse_args()
    result = read_result(args.out, "feature-space")
    result["machine"] = describe_machine()
    {"layers": compare_layers, "cost": measure_cost, "order": test_order}[args.part](args, result)


if __name__ == "__main__":
    main()
