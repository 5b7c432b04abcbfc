"""Scores of whatever a command is pointed at: a generator, or images."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fashion_gan import data, evaluation
from fashion_gan.evaluation import EvalConfig, Evaluator
from fashion_gan.runs.builder import build_gan, load_split
from fashion_gan.runs.checkpoints import find_source, load_pretrained
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory

__all__ = ["evaluate_source"]


def evaluate_source(
    name: str | os.PathLike[str],
    protocol: EvalConfig = evaluation.FULL,
    *,
    split: str = "test",
    baselines: bool = False,
    use_ema: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] = lambda what: None,
) -> tuple[dict[str, Any], np.ndarray, Evaluator]:
    """Computes the scores of a generator or of images, with all that they depend on.

    Args:
        name: Run folder, `.keras` file or pretrained name; or images, as a `.npy` file of uint8 or
            a folder of PNG files.
        protocol: What to measure.
        split: `"test"` or `"validation"`: the real images to compare with.
        baselines: Whether to score real images, whole and damaged, an untrained generator and the
            book's GAN as well.
        use_ema: Whether to sample from the averaged generator, if there is one.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        announce: Function that is called with a phrase on what is measured next.

    Returns:
        The evaluator's record, whose `scores` begin with those of `name`; the uint8 images that
        were scored; and the evaluator.

    Raises:
        FileNotFoundError: If there is nothing of that name.
        ValueError: If the images are not like Fashion-MNIST's, or fewer than the protocol needs.
    """
    source = find_source(name)
    config = source.config or Config()
    if config.data:
        images = load_split(config)
        RunDirectory(source.path).check_images(images)
        evaluator = evaluation.image_evaluator(images, protocol)
    else:
        evaluator = evaluation.fashion_mnist_evaluator(protocol, split=split, data_dir=data_dir)
    if config.data and baselines:
        raise ValueError(
            "Expected baselines=True for Fashion-MNIST alone. Received: a run on "
            f"{config.data}. Omit --baselines."
        )
    scores: dict[str, dict[str, Any]] = {}
    announce(f"measuring {source.name}")
    if source.config is not None:
        gan = source.load()
        samples = evaluator.sample(gan, use_ema)
        scores[source.name] = evaluator.evaluate(gan, use_ema)
    else:
        samples = _one_channel(data.load_images(source.path).images)[: protocol.count]
        if len(samples) < protocol.count:
            raise ValueError(
                f"Expected {protocol.count:,} images, as the protocol says. Received: "
                f"{len(samples):,} in {source.path}. Lower --num-images, and compare only with "
                "scores of that number."
            )
        scores[source.name] = evaluator(samples)
    if baselines:
        fashion = data.load_fashion_mnist(data_dir)
        sets = evaluation.baselines(fashion, protocol.count, protocol.seed)
        sets["untrained generator"] = evaluator.sample(build_gan(config))
        sets["the book's GAN"] = evaluator.sample(load_pretrained("dense"))
        for label, pixels in sets.items():
            announce(f"measuring {label}")
            scores[label] = evaluator(pixels)
    return evaluator.record(scores), samples, evaluator


def _one_channel(images: np.ndarray) -> np.ndarray:
    """Returns RGB images that are gray as images of one channel, and others as they are."""
    gray = images[..., :1]
    return gray if images.shape[-1] == 3 and (images == gray).all() else images
