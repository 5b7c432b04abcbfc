"""Reports the scores of a generator next to baselines, as tables and images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashion_gan import images, metrics
from fashion_gan.evaluation.evaluator import Evaluator
from fashion_gan.metrics.kmeans import kmeans

__all__ = [
    "Groups",
    "describe_low_coverage",
    "find_groups",
    "group_grid",
    "nearest_neighbor_grid",
    "place_among_baselines",
    "score_tables",
]

_MAX_CLUSTERS, _CLUSTER_SIZE = 12, 20
_LOW_COVERAGE = 0.2
_COMPARED = ("training images", "blurred")


def score_tables(result: dict[str, Any]) -> Iterator[Any]:
    """Yields `rich` tables: a row for each set of images, all scores of the first set, its classes.

    The second table has the scores of training images and of blurred images too, if they are among
    the sets. There is no third table without classes. A class is missing if it has less than 1 % of
    the images.
    """
    from rich.table import Table

    (source, first), *_ = result["scores"].items()
    columns = {
        "frechet_distance": "Fréchet distance",
        "kernel_distance": "kernel distance",
        "transport_distance": "transport distance",
        "pixel_frechet_distance": "pixel Fréchet distance",
        "precision": "precision",
        "recall": "recall",
        "coverage": "coverage",
    }
    columns = {name: title for name, title in columns.items() if name in first}
    missing = ["missing classes"] if "missing_classes" in first else []
    compared = Table("", *columns.values(), *missing)
    for name, scores in result["scores"].items():
        cells = [f"{scores[key]:.3g}" for key in columns]
        compared.add_row(name, *cells, *(str(len(scores["missing_classes"])) for _ in missing))
    yield compared
    shown = [name for name in (source, *_COMPARED) if name in result["scores"]]
    full = Table("number", *shown)
    for name, value in first.items():
        if isinstance(value, float):
            full.add_row(name, *(f"{result['scores'][images][name]:.4g}" for images in shown))
    yield full
    if "class_shares" in first:
        shares = Table("class", "share of the samples")
        for name, share in first["class_shares"].items():
            shares.add_row(name, f"{100 * share:.1f} %")
        yield shares


def place_among_baselines(record: Mapping[str, Any]) -> str:
    """Returns a sentence that places the watched score of the first set among the baselines.

    It names the nearest baselines on both sides, such as 'kernel_distance of logs/emoji: 1.9, worse
    than "training images" (0.8) and better than "blurred" (3.1).' It is empty without baselines.

    Args:
        record: Record of an evaluator, which names the watched score.
    """
    name = record["watched_score"]
    (first, scores), *others = record["scores"].items()
    ranked = sorted((scored[name], label) for label, scored in others)
    if not ranked:
        return ""
    value = scores[name]
    better = [f'"{label}" ({score:.3g})' for score, label in ranked if score <= value]
    worse = [f'"{label}" ({score:.3g})' for score, label in ranked if score > value]
    places = [f"worse than {better[-1]}"] if better else []
    places += [f"better than {worse[0]}"] if worse else []
    return f"{name} of {first}: {value:.3g}, {' and '.join(places)}."


def describe_low_coverage(record: Mapping[str, Any]) -> str:
    """Returns a sentence if the first set covers less than half of what training images cover.

    Without the baseline of training images, the limit is a coverage of 0.2. The sentence is empty
    above the limit.

    Args:
        record: Record of an evaluator, whose first scores belong to the samples.
    """
    first, scores = next(iter(record["scores"].items()))
    covered = scores.get("coverage")
    possible = record["scores"].get("training images", {}).get("coverage")
    if covered is None or covered >= (_LOW_COVERAGE if possible is None else possible / 2):
        return ""
    best = "" if possible is None else f', while "training images" reach {possible:.2f}'
    return (
        f"coverage of {first}: {covered:.2f}{best}. The samples lack many kinds of images: mode "
        "collapse, or a training that was too short."
    )


@dataclass(frozen=True, eq=False)
class Groups:
    """Classes of real images and samples, or clusters if there is no classifier.

    Attributes:
        title: Kind of the groups, `"Classes"` or `"Clusters"`.
        names: Names of the `k` groups.
        real_labels: Group of each real image, `(n,)`.
        labels: Group of each sample, `(m,)`.
    """

    title: str
    names: Sequence[str]
    real_labels: np.ndarray
    labels: np.ndarray

    @property
    def real_shares(self) -> np.ndarray:
        """Returns the fraction of the real images in each group, `(k,)`."""
        return np.bincount(self.real_labels, minlength=len(self.names)) / len(self.real_labels)

    @property
    def shares(self) -> np.ndarray:
        """Returns the fraction of the samples in each group, `(k,)`."""
        return np.bincount(self.labels, minlength=len(self.names)) / len(self.labels)

    @property
    def order(self) -> np.ndarray:
        """Returns the groups, those first that have few samples for their real images."""
        return np.argsort(self.shares / np.maximum(self.real_shares, 1e-9), kind="stable")


def find_groups(samples: np.ndarray, evaluator: Evaluator) -> Groups:
    """Assigns real images and samples to classes, or to clusters if there is no classifier.

    Clusters are computed by k-means from the real images, in the features of the watched score.
    They have about 20 real images each, and there are at most 12.

    Args:
        samples: uint8 images `(m, height, width, channels)`.
        evaluator: Evaluator with the real images.
    """
    if evaluator.class_names is not None:
        real, fake = evaluator.classify(evaluator.real), evaluator.classify(samples)
        return Groups("Classes", evaluator.class_names, real, fake)
    embedded = evaluator.embed(evaluator.real)
    different = len(np.unique(embedded, axis=0))
    count = max(1, min(_MAX_CLUSTERS, len(embedded) // _CLUSTER_SIZE, different))
    centroids = kmeans(embedded, count)
    labels = [
        metrics.nearest(of, centroids).indices[:, 0] for of in (embedded, evaluator.embed(samples))
    ]
    return Groups("Clusters", [f"cluster {i}" for i in range(count)], *labels)


def group_grid(
    groups: Groups, samples: np.ndarray, evaluator: Evaluator, count: int = 12
) -> np.ndarray:
    """Draws one row per group, the rarest first: `count` real images, a gap, `count` samples.

    If there are fewer samples in a group, the row ends early.
    """
    real, fake = (
        images.tile_rows(
            [pictures[labels == label] for label in groups.order],
            count,
            invert=samples.shape[-1] == 1,
        )
        for pictures, labels in ((evaluator.real, groups.real_labels), (samples, groups.labels))
    )
    gap = np.full_like(real[:, : samples.shape[2] + 2], 192)
    gap[..., 3:] = 255  # opaque
    return np.concatenate([real, gap, fake], axis=1)


def nearest_neighbor_grid(samples: np.ndarray, evaluator: Evaluator, count: int = 24) -> np.ndarray:
    """Draws the samples nearest to a training image, each above that image."""
    pairs = metrics.closest_pairs(evaluator.nearest_train(samples), count)
    rows = []
    for start in range(0, len(pairs), 12):
        some = pairs[start : start + 12]
        rows += [samples[[p.query for p in some]], evaluator.train[[p.reference for p in some]]]
    return images.tile(np.concatenate(rows), 12, invert=samples.shape[-1] == 1)
