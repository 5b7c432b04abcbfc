"""Computes the scores of a generator or of images, named by path or pretrained name."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fashion_gan import data, evaluation
from fashion_gan.evaluation import EvalConfig, Evaluator
from fashion_gan.gan import GAN
from fashion_gan.runs.builder import build_gan, load_split
from fashion_gan.runs.checkpoints import Source, find_source
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory

__all__ = ["evaluate_source", "quick_evaluator"]


def evaluate_source(
    name: str | os.PathLike[str],
    protocol: EvalConfig = evaluation.FULL,
    *,
    against: str | os.PathLike[str] | None = None,
    options: data.ImageOptions | None = None,
    split: str = "test",
    baselines: bool = False,
    which: str = "last",
    use_ema: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] = lambda what: None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], np.ndarray, Evaluator]:
    """Computes the scores of a generator or of images, and records all that they depend on.

    Args:
        name: Run folder, `.keras` file or pretrained name. Or a path of images: a `.npy` file of
            uint8 or a folder of PNG files, and with `against` any path that `data.load_images`
            reads.
        protocol: Metrics and number of images. With `against`, the number is limited to that of
            the smaller set. Defaults to the full protocol.
        against: Path of the images to compare with, as `data.load_images` reads them. They are
            resized to the size of the measured images, as the training images of a run were.
            Defaults to the images of the run, or to Fashion-MNIST for other sources.
        options: Options that convert the images of `name`, such as their size. Defaults to None,
            which keeps their size.
        split: Real images to compare with, `"test"` or `"validation"`. Defaults to `"test"`.
        baselines: Whether to also score intact and degraded training images and an untrained
            generator, and for Fashion-MNIST the book's GAN. Defaults to False.
        which: State of a run, see `checkpoints.load`. Defaults to `"last"`.
        use_ema: Whether to sample from the averaged generator, if there is one. Defaults to True.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        announce: Function that is called with a phrase on the next measurement.
        report: Function that is called with lines on the backup, if a backup is measured, and on
            the images of `against`.

    Returns:
        The evaluator's record, whose `scores` begin with the scores of `name`; the scored uint8
        images; and the evaluator.

    Raises:
        FileNotFoundError: If there is no source of that name.
        ValueError: If the images differ in their channels from the images to compare with, or
            without `against` in their shape; if there are fewer images than the protocol needs; if
            `options` are given for a generator.
    """
    source = find_source(name)
    if source.config is None and which != "last":
        raise ValueError(
            f"Expected the folder of a run, which has a best state. Received: {name}, "
            f"which holds images. Omit which={which!r}."
        )
    if source.config is None:
        collection = data.load_images(source.path, options)
        measured: GAN | np.ndarray = _one_channel(collection.images)
        for line in [f"{name}:", *collection.describe()] if options else ():
            report(line)
    elif options is None:
        measured = source.load(which, report)
    else:
        raise ValueError(
            f"Expected images to convert. Received: the generator {name}, whose images keep their "
            "size. Omit --image-size and --resize."
        )
    train = None
    if against is not None:
        if baselines:
            raise ValueError(
                "Expected training images to damage, for baselines=True. Received: "
                f"against={against!s}. Omit --baselines."
            )
        announce(f"reading {against}")
        options = options or data.ImageOptions()
        measured, evaluator = _compare_with(source, measured, against, options, protocol, report)
    else:
        if isinstance(measured, np.ndarray):
            measured = _first(measured, protocol.count, source)
        train, evaluator = _read_data(source, protocol, split, data_dir)
    scores: dict[str, dict[str, Any]] = {}
    announce(f"measuring {source.name}")
    if isinstance(measured, GAN):
        images = evaluator.sample(measured, use_ema)
        scores[source.name] = evaluator.evaluate(measured, use_ema)
    else:
        images = measured
        scores[source.name] = evaluator(images)
    if baselines and train is not None:
        config = source.config or Config()
        sets = evaluation.baselines(
            evaluator.train, train.train_labels, evaluator.protocol.count, protocol.seed
        )
        sets["untrained generator"] = evaluator.sample(build_gan(config, train))
        if not config.data:
            sets["the book's GAN"] = evaluator.sample(GAN.from_preset("dense"))
        for label, pixels in sets.items():
            announce(f"measuring {label}")
            scores[label] = evaluator(pixels)
    return evaluator.record(scores), images, evaluator


def quick_evaluator(
    run: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None
) -> Evaluator:
    """Returns the evaluator of a run for choices, as the quick evaluation in its training.

    It compares with the held-out images of the run, or with the validation images of Fashion-MNIST.

    Args:
        run: Run folder.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If the images of the run have changed.
    """
    source = find_source(run)
    split = "test" if source.config is not None and source.config.data else "validation"
    return _read_data(source, evaluation.QUICK, split, data_dir)[1]


def _read_data(
    source: Source,
    protocol: EvalConfig,
    split: str,
    data_dir: str | os.PathLike[str] | None,
) -> tuple[data.Split, Evaluator]:
    """Returns the images of a run, or Fashion-MNIST, and their evaluator."""
    config = source.config or Config()
    if not config.data:
        fashion = data.load_fashion_mnist(data_dir)
        return fashion, evaluation.fashion_mnist_evaluator(protocol, split=split, images=fashion)
    if source.pretrained:
        raise ValueError(
            f"Expected real images to compare with. Received: {source.name}, which comes with the "
            f"package, but without its images ({config.data}). Name images: --against FOLDER."
        )
    if split != "test":
        raise ValueError(
            "Expected split='test' for a run on own images, of which one part is held out. "
            f"Received: split={split!r}. Omit --split."
        )
    images = load_split(config)
    RunDirectory(source.path).check_images(images)
    return images, evaluation.image_evaluator(images, protocol)


def _compare_with(
    source: Source,
    measured: GAN | np.ndarray,
    against: str | os.PathLike[str],
    options: data.ImageOptions,
    protocol: EvalConfig,
    report: Callable[[str], None],
) -> tuple[GAN | np.ndarray, Evaluator]:
    """Returns the generator or images to measure, and an evaluator of `against`.

    The images to compare with are resized to the size of the measured images. If one set is larger
    than the other, a random subset of it is taken by the protocol's seed.
    """
    if isinstance(measured, GAN):
        shape = measured.image_shape
        options = source.image_options(shape)
    else:
        shape = measured.shape[1:]
        options = dataclasses.replace(options, image_size=f"{shape[1]}x{shape[0]}")
    collection = data.load_images(os.fspath(against), options)
    real = _one_channel(collection.images) if options.channels == "auto" else collection.images
    if len(shape) == 3 and shape[2] != real.shape[3]:
        raise ValueError(
            f"Expected images with as many channels as those of {source.name}, which have shape "
            f"{shape}. Received: images of shape {real.shape[1:]} in {against}. Convert them."
        )
    for line in [f"{against}:", *collection.describe()]:
        report(line)
    available = len(measured) if isinstance(measured, np.ndarray) else protocol.count
    count = min(protocol.count, len(real), available)
    fitting = dataclasses.replace(protocol, count=count, kernel_size=None, bins=0)
    features = evaluation.load_imagenet_features() if evaluation.has_imagenet_weights() else None
    evaluator = Evaluator(
        _choose(real, count, protocol.seed),
        real,
        features,
        protocol=fitting,
        name=os.fspath(against),
    )
    if isinstance(measured, np.ndarray):
        measured = _choose(measured, count, protocol.seed)
    return measured, evaluator


def _choose(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns a random subset of `count` images, in the original order."""
    if len(images) == count:
        return images
    return images[np.sort(np.random.default_rng(seed).permutation(len(images))[:count])]


def _first(images: np.ndarray, count: int, source: Source) -> np.ndarray:
    """Returns the first `count` images, or raises if there are fewer."""
    if len(images) < count:
        raise ValueError(
            f"Expected {count:,} images, as the protocol requires. Received: {len(images):,} in "
            f"{source.path}. Lower --num-images, and compare only with scores of that number."
        )
    return images[:count]


def _one_channel(images: np.ndarray) -> np.ndarray:
    """Reduces RGB images to one channel if all are gray, and returns other images unchanged."""
    gray = images[..., :1]
    return gray if images.shape[-1] == 3 and (images == gray).all() else images
