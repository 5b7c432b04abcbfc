"""Explains the scores of a generator on an HTML page, with images next to the numbers."""

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fashion_gan import images, metrics
from fashion_gan.evaluation.evaluator import Evaluator
from fashion_gan.evaluation.report import (
    Groups,
    describe_low_coverage,
    find_groups,
    group_grid,
    nearest_neighbor_grid,
    place_among_baselines,
)
from fashion_gan.files import SCORES, write_bytes, write_json
from fashion_gan.pages import charts
from fashion_gan.pages.html import html_figure, html_image, html_page, html_table
from fashion_gan.registry import printable

__all__ = ["write_report"]

_SHOWN, _COLUMNS = 48, 12  # images in a grid of the page
_WIDTH = 528  # pixels of the page


class _Score(NamedTuple):
    better: str
    meaning: str


_SCORES = {
    "frechet_distance": _Score(
        "lower",
        "distance between the means and covariances of features; rises with unclear samples and "
        "with missing variety, and is too high for few images",
    ),
    "kernel_distance": _Score(
        "lower, best about 0",
        "difference of the features as a whole (squared maximum mean discrepancy); rises with "
        "unclear samples and with missing variety, and is unbiased for few images",
    ),
    "transport_distance": _Score(
        "lower, best about 0",
        "how far the features would have to move (squared sliced Wasserstein distance)",
    ),
    "precision": _Score(
        "higher", "fraction of the samples near a real image; low if samples are unclear"
    ),
    "recall": _Score(
        "higher", "fraction of the real images near a sample; low if variety is missing"
    ),
    "density": _Score(
        "near 1",
        "mean number of real images near a sample, divided by k = 5; above 1 if samples crowd "
        "around typical images",
    ),
    "coverage": _Score(
        "higher",
        "fraction of the real images whose neighborhood has a sample; low if kinds of images are "
        "missing (mode collapse)",
    ),
    "class_entropy": _Score(
        "higher", "entropy of the predicted classes, divided by its maximum; 1 if all are equal"
    ),
    "class_total_variation": _Score(
        "lower", "fraction of the samples in excess of equal class fractions"
    ),
    "conditional_accuracy": _Score("higher", "fraction of the samples in the requested class"),
    "ndb": _Score("near 0.05", "fraction of the bins of pixels with too many or too few samples"),
    "bin_divergence": _Score(
        "lower", "difference of the bins of samples from those of training images"
    ),
    "copied_share": _Score(
        "near 0",
        "fraction of the samples that are almost a training image, minus that of real images; "
        "above 0 if the generator copies",
    ),
    "memorization_ratio": _Score(
        "near 1",
        "distance of samples to training images, divided by that of real images; far below 1 if "
        "the generator copies, above 1 if samples are unclear",
    ),
}


def write_report(
    folder: str | os.PathLike[str],
    result: Mapping[str, Any],
    samples: np.ndarray,
    evaluator: Evaluator,
) -> None:
    """Writes a self-contained HTML page, two of its images and the scores into a folder.

    The page `index.html` has the scores of all sets as a table and the watched score as bars. It
    shows samples at random, by realism, by class or cluster, and above their nearest training
    images. The last two are also written as `classes.png` or `clusters.png` and `closest.png`, and
    the scores as `scores.json`.

    Args:
        folder: Folder to write to, created if needed. Older files of these names are overwritten.
        result: Record of the evaluator. The first set of scores belongs to the samples.
        samples: uint8 images `(n, height, width, channels)` that were scored.
        evaluator: Evaluator that made the record.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    groups = find_groups(samples, evaluator)
    members = images.encode_png(group_grid(groups, samples, evaluator))
    closest = images.encode_png(nearest_neighbor_grid(samples, evaluator))
    sections = {
        "Scores": _score_section(result),
        "Samples": _sample_section(samples, evaluator),
        "Best and worst samples": _realism_section(samples, evaluator),
        groups.title: _group_section(groups, members),
        "Nearest training images": _figure(
            closest, "The samples nearest to a training image, each above that image."
        )
        + "<p>The pairs should differ. If they look the same, the generator copies.</p>",
    }
    name = printable(next(iter(result["scores"])))
    body = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{evaluator.protocol.count:,} samples are compared with as many images: "
        f"{escape(printable(evaluator.name))}. "
        f"{escape(printable(place_among_baselines(result)))} "
        f"{escape(printable(describe_low_coverage(result)))}</p>",
        *(f"<h2>{title}</h2>\n{content}" for title, content in sections.items()),
    ]
    page = html_page(f"Evaluation of {name}", "\n".join(body))
    write_json(folder / SCORES, result)
    write_bytes(folder / f"{groups.title.lower()}.png", members)
    write_bytes(folder / "closest.png", closest)
    write_bytes(folder / "index.html", page.encode())


def _score_section(result: Mapping[str, Any]) -> str:
    """Returns the watched score as bars, if there are baselines, and the table of all scores."""
    scores, watched = result["scores"], result["watched_score"]
    first = next(iter(scores.values()))
    names = [name for name in first if name.removeprefix("pixel_") in _SCORES]
    rows, meanings = [], []
    for name in names:
        better, meaning = _SCORES[name.removeprefix("pixel_")]
        meaning = f"in pixels: {meaning}" if name.startswith("pixel_") else meaning
        cells = [f"{of[name]:.3g}" if name in of else "" for of in scores.values()]
        rows.append((name, *cells, better))
        meanings.append(f"<li><b>{name}</b>: {escape(meaning)}</li>")
    bars = []
    for label, of in scores.items():
        value, spread = max(of[watched], 0.0), of.get(f"{watched}_std", 0.0)
        bars.append(charts.Bar(printable(label), value, max(value - spread, 0.0), value + spread))
    chart = charts.bars(f"{watched}: lower is better", "", bars) if len(bars) > 1 else ""
    head = ("", *map(printable, scores), "better")
    return f"{chart}{html_table(head, rows)}<ul>{''.join(meanings)}</ul>"


def _sample_section(samples: np.ndarray, evaluator: Evaluator) -> str:
    chosen = np.random.default_rng(0).permutation(len(samples))[:_SHOWN]
    real = _figure(_tile(evaluator.real[chosen]), f"{evaluator.name}, at random")
    return real + _figure(_tile(samples[chosen]), "samples, at random")


def _realism_section(samples: np.ndarray, evaluator: Evaluator) -> str:
    """Returns the samples with the highest and the lowest realism."""
    order = np.argsort(-metrics.realism(evaluator.embed(evaluator.real), evaluator.embed(samples)))
    return (
        _figure(_tile(samples[order[:_SHOWN]]), "highest realism, in descending order")
        + _figure(_tile(samples[order[::-1][:_SHOWN]]), "lowest realism, in ascending order")
        + "<p>The realism of Kynkäänniemi et al. 2019 is high for a sample near real images.</p>"
    )


def _group_section(groups: Groups, members: bytes) -> str:
    """Returns members of each group, and the fractions of real images and samples."""
    rows = [
        (
            printable(groups.names[index]),
            f"{100 * groups.real_shares[index]:.1f} %",
            f"{100 * groups.shares[index]:.1f} %",
        )
        for index in groups.order
    ]
    caption = (
        "A row for each group of similar images, the least covered first: real images on the left, "
        "samples on the right. Where the right is empty, the samples lack these images."
    )
    table = html_table((groups.title, "real images", "samples"), rows)
    return _figure(members, caption, 2 * _WIDTH) + table


def _tile(pictures: np.ndarray) -> bytes:
    grid = images.tile(pictures, _COLUMNS, invert=pictures.shape[-1] == 1)
    return images.encode_png(grid)


def _figure(png: bytes, caption: str, width: int = _WIDTH) -> str:
    caption = printable(caption)
    return html_figure(html_image(png, caption, width), caption)
