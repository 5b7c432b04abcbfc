"""What a generator learned, for a person: scores beside yardsticks, as table, JSON and pictures."""

import os
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan import (
    assembly,
    data,
    evaluate,
    features,
    images,
    metrics,
    pretrained,
    run,
    run_folder,
)
from fashion_gan.evaluate import Evaluator, Protocol
from fashion_gan.files import write_json
from fashion_gan.source import check, config_of, gan_of, is_known

__all__ = ["classes_picture", "closest_picture", "judge", "tables", "write"]

Announce = Callable[[str], None]


def judge(
    source: str | os.PathLike[str],
    protocol: Protocol = evaluate.FULL,
    *,
    held_out: str = "test",
    yardsticks: bool = False,
    use_ema: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    announce: Announce = lambda what: None,
) -> tuple[dict[str, Any], np.ndarray, Evaluator]:
    """Scores of a generator, or of images from anywhere, and all that they depend on.

    Args:
        source: a run folder, a `.keras` file or a name of `pretrained.cards`; or images, as a
            `.npy` file of uint8 or a folder of PNG files.
        protocol: what to measure.
        held_out: `"test"` or `"validation"`: the real images to compare with.
        yardsticks: also score real images, whole and damaged, an untrained generator, the book's.
        use_ema: whether the averaged generator draws the samples, if there is one.
        data_dir: see `data.find`.
        announce: is told what is being measured.

    Returns:
        The evaluator's record, whose `scores` begin with the source's; the source's uint8 images;
        and the evaluator.

    Raises:
        FileNotFoundError: if there is no such source.
        ValueError: if it holds other images than Fashion-MNIST's, or fewer than the protocol needs.
    """
    check(str(source))
    path = Path(source)
    known = is_known(str(source))
    config = config_of(str(source))
    if config.data:
        evaluator = evaluate.own_images(run.images_of(config, folder=path), protocol)
    else:
        evaluator = evaluate.fashion_mnist(protocol, held_out=held_out, data_dir=data_dir)
    if config.data and yardsticks:
        raise ValueError("There are yardsticks for Fashion-MNIST alone. Leave --yardsticks out.")
    scores: dict[str, dict[str, Any]] = {}
    announce(f"measuring {source}")
    if known:
        gan = gan_of(str(source))
        samples = evaluator.sample(gan, use_ema)
        scores[str(source)] = evaluator.judge(gan, use_ema)
    else:
        samples = _one_channel(images.read_images(path))[: protocol.count]
        if len(samples) < protocol.count:
            raise ValueError(
                f"The protocol needs {protocol.count:,} images. Received: {len(samples):,} in "
                f"{path}. Lower --count, and compare only with scores of that count."
            )
        scores[str(source)] = evaluator(samples)
    if yardsticks:
        sets = evaluate.yardsticks(data.load(data_dir), protocol.count, protocol.seed)
        sets["untrained generator"] = evaluator.sample(assembly.build(config))
        sets["the book's GAN"] = evaluator.sample(pretrained.load_pretrained("dense"))
        for name, pixels in sets.items():
            announce(f"measuring {name}")
            scores[name] = evaluator(pixels)
    return evaluator.record(scores), samples, evaluator


def tables(result: dict[str, Any]) -> Iterator[Any]:
    """Two `rich` tables: a row for each set of images, and all numbers of the first set.

    A class is missing with less than 1 % of the images.
    """
    from rich.table import Table

    first = next(iter(result["scores"].values()))
    columns = {
        "frechet_distance": "Fréchet",
        "pixel_frechet_distance": "pixel Fréchet",
        "precision": "precision",
        "recall": "recall",
        "coverage": "coverage",
        "pixel_coverage": "pixel coverage",
    }
    columns = {name: title for name, title in columns.items() if name in first}
    missing = ["missing"] if "missing_classes" in first else []
    compared = Table("", *columns.values(), *missing)
    for name, scores in result["scores"].items():
        cells = [f"{scores[key]:.2f}" for key in columns]
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


def write(
    folder: str | os.PathLike[str],
    result: dict[str, Any],
    samples: np.ndarray,
    evaluator: Evaluator,
) -> None:
    """Write `scores.json`, `classes.png` and `closest.png` into a folder, made when needed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / run_folder.SCORES, result)
    if evaluator.class_names is not None:
        images.write_png(folder / "classes.png", classes_picture(samples, evaluator))
    images.write_png(folder / "closest.png", closest_picture(samples, evaluator))


def classes_picture(samples: np.ndarray, evaluator: Evaluator, count: int = 12) -> np.ndarray:
    """A row for each class, the rarest first: `count` real images, a gap, `count` samples.

    Where there are fewer samples of a class, the row ends early.
    """
    _, real_labels = features.load()(evaluator.real)
    _, labels = features.load()(samples)
    order = np.argsort(np.bincount(labels, minlength=len(data.CLASS_NAMES)), kind="stable")
    empty = np.full_like(samples[:1], 255 - 192)  # shown inverted, as grey as the margins
    cells = []
    for label in order:
        for pictures in (evaluator.real[real_labels == label], samples[labels == label]):
            shown = pictures[:count]
            cells += [shown, np.repeat(empty, count + 1 - len(shown), axis=0)]
    return images.tile(np.concatenate(cells), 2 * count + 2, invert=True)


def closest_picture(samples: np.ndarray, evaluator: Evaluator, count: int = 24) -> np.ndarray:
    """The samples that come nearest to a training image, each above that image."""
    pairs = metrics.closest_pairs(evaluator.nearest_train(samples), count)
    rows = []
    for start in range(0, len(pairs), 12):
        some = pairs[start : start + 12]
        rows += [samples[[p.query for p in some]], evaluator.train[[p.reference for p in some]]]
    return images.tile(np.concatenate(rows), 12, invert=samples.shape[-1] == 1)


def _one_channel(pictures: np.ndarray) -> np.ndarray:
    """RGB images that are grey as images of one channel; others as they are."""
    grey = pictures[..., :1]
    return grey if pictures.shape[-1] == 3 and (pictures == grey).all() else pictures
