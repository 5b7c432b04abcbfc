"""Reports the scores of a generator next to baselines, as tables, JSON and images."""

import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan import data, images, metrics
from fashion_gan.evaluation.classifier import load_classifier
from fashion_gan.evaluation.evaluator import Evaluator
from fashion_gan.files import SCORES, write_json

__all__ = [
    "class_grid",
    "nearest_neighbor_grid",
    "place_among_baselines",
    "score_tables",
    "write_report",
]


def score_tables(result: dict[str, Any]) -> Iterator[Any]:
    """Yields two `rich` tables: one row for each set of images, and all scores of the first set.

    A class is missing if it has less than 1 % of the images.
    """
    from rich.table import Table

    first = next(iter(result["scores"].values()))
    columns = {
        "frechet_distance": "Fréchet",
        "kernel_distance": "kernel",
        "transport_distance": "transport",
        "pixel_frechet_distance": "pixel Fréchet",
        "precision": "precision",
        "recall": "recall",
        "coverage": "coverage",
    }
    columns = {name: title for name, title in columns.items() if name in first}
    missing = ["missing"] if "missing_classes" in first else []
    compared = Table("", *columns.values(), *missing)
    for name, scores in result["scores"].items():
        cells = [f"{scores[key]:.3g}" for key in columns]
        compared.add_row(name, *cells, *(str(len(scores["missing_classes"])) for _ in missing))
    yield compared
    numbers = {name: f"{value:.4g}" for name, value in first.items() if isinstance(value, float)}
    known = first.get("class_shares", {})
    shares = {name: f"{100 * share:.1f} %" for name, share in known.items()}
    full = Table("number", "", *(["share of", ""] if shares else []))
    pairs = zip_longest(numbers.items(), shares.items(), fillvalue=("", ""))
    for (name, value), (label, share) in pairs:
        full.add_row(name, value, *([label, share] if shares else []))
    yield full


def place_among_baselines(record: dict[str, Any]) -> str:
    """Returns a sentence that places the watched score of the first set among the baselines.

    It names the nearest baselines on both sides, such as "kernel_distance: 1.9, between training
    images (0.8) and blurred (3.1)". It is empty without baselines.

    Args:
        record: Record of an evaluator, which names the watched score.
    """
    name = record["watched_score"]
    (first, scores), *others = record["scores"].items()
    ranked = sorted((scored[name], label) for label, scored in others)
    if not ranked:
        return ""
    value = scores[name]
    better = [f"{label} ({score:.3g})" for score, label in ranked if score <= value]
    worse = [f"{label} ({score:.3g})" for score, label in ranked if score > value]
    if better and worse:
        place = f"between {better[-1]} and {worse[0]}"
    else:
        place = f"worse than {better[-1]}" if better else f"better than {worse[0]}"
    return f"{name} of {first}: {value:.3g}, {place}."


def write_report(
    folder: str | os.PathLike[str],
    result: dict[str, Any],
    samples: np.ndarray,
    evaluator: Evaluator,
) -> None:
    """Writes `scores.json`, `classes.png` and `closest.png` into a folder, created if needed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SCORES, result)
    if evaluator.class_names is not None:
        images.write_png(folder / "classes.png", class_grid(samples, evaluator))
    images.write_png(folder / "closest.png", nearest_neighbor_grid(samples, evaluator))


def class_grid(samples: np.ndarray, evaluator: Evaluator, count: int = 12) -> np.ndarray:
    """Draws one row per class, the rarest first: `count` real images, a gap, `count` samples.

    If there are fewer samples of a class, the row ends early.
    """
    _, real_labels = load_classifier()(evaluator.real)
    _, labels = load_classifier()(samples)
    order = np.argsort(np.bincount(labels, minlength=len(data.CLASS_NAMES)), kind="stable")
    empty = np.full_like(samples[:1], 255 - 192)  # the gray of the margins once inverted
    cells = []
    for label in order:
        for pictures in (evaluator.real[real_labels == label], samples[labels == label]):
            shown = pictures[:count]
            cells += [shown, np.repeat(empty, count + 1 - len(shown), axis=0)]
    return images.tile(np.concatenate(cells), 2 * count + 2, invert=True)


def nearest_neighbor_grid(samples: np.ndarray, evaluator: Evaluator, count: int = 24) -> np.ndarray:
    """Draws the samples nearest to a training image, each above that image."""
    pairs = metrics.closest_pairs(evaluator.nearest_train(samples), count)
    rows = []
    for start in range(0, len(pairs), 12):
        some = pairs[start : start + 12]
        rows += [samples[[p.query for p in some]], evaluator.train[[p.reference for p in some]]]
    return images.tile(np.concatenate(rows), 12, invert=samples.shape[-1] == 1)
