"""A run: a config trained in a folder of its own, from which it is resumed and sampled."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan import data, evaluate, features, images, own_images, run_folder, runtime
from fashion_gan.assembly import build
from fashion_gan.callbacks import (
    Backup,
    FeatureProjector,
    ImageGrid,
    MetricEvaluation,
    MetricsFile,
    ModeCollapseMonitor,
    NaNGuard,
    Progress,
    TensorBoard,
)
from fashion_gan.config import Config
from fashion_gan.files import atomic_write, write_json
from fashion_gan.gan import GAN
from fashion_gan.registry import ending
from fashion_gan.training.distribute import assert_equal_on_workers, is_chief

__all__ = [
    "check",
    "images_of",
    "load",
    "sample",
    "summary",
    "train",
]

_VERSIONS = "versions.json"
_DATA = "data.json"  # of a run on images of one's own: their number and hash


@runtime.with_workers()
def train(
    config: Config,
    folder: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    devices: int | None = None,
    resume: bool = False,
    backup_seconds: float = 60.0,
    verbose: str | int = "auto",
    watch: Callable[[int, Mapping[str, float]], bool] | None = None,
    final: bool = True,
) -> GAN:
    """Train a config on Fashion-MNIST or on images of one's own; `folder` then holds the run.

    The folder gets `config.json`, `versions.json`, TensorBoard's events in `train`, `validation`
    and `images`, the grids as PNG in `samples`, `metrics.jsonl` with a line for each epoch,
    `monitor.json` and `backup` to resume from, and at last `projector`, `scores.json` and
    `model.keras`. Of several workers, the chief writes it; all need it on a shared disk to resume.

    This seeds Python, NumPy and TensorFlow and sets the global dtype policy as the config says. No
    other function of the package does.

    Args:
        config: what to train.
        folder: of the run; made when needed.
        data_dir: folder with Fashion-MNIST's files; by default they are searched, see `data.find`.
        devices: of this host, see `runtime.strategy`.
        resume: go on with the run in `folder`, if it has begun.
        backup_seconds: time between two backups within an epoch.
        verbose: 0, 1 or 2, as in `keras.Model.fit`.
        watch: called after each epoch with the number of finished epochs and the logs; the training
            ends if it returns True.
        final: measure by the full protocol at the end, and write `projector` and `scores.json`.

    Raises:
        BlockingIOError: if another process of this host trains in `folder`.
        ConnectionError: if another worker is lost.
        FileExistsError: if `folder` holds something, and is not to be resumed.
        FloatingPointError: if a loss or weight became NaN again and again, see `NaNGuard`.
        ValueError: if the run to be resumed has another config, of which only `epochs` may grow, or
            if its images have changed.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once a backup is made.
    """
    folder = Path(folder)
    config = _settled(config)
    strategy = runtime.strategy(devices)
    chief = is_chief(strategy)
    assert_equal_on_workers(strategy, "what to train", (config, resume))
    with ExitStack() as held:
        if chief:
            run_folder.check_free(folder, config, resume)
        split = images_of(config, data_dir, folder)
        runtime.prepare(config.seed, config.precision)
        with strategy.scope():
            gan = _build(config, split)
        dataset, validation = _datasets(split, config, gan.value_range)
        if chief:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(run_folder.occupied(folder))
            write_json(folder / run_folder.CONFIG, dataclasses.asdict(config))
            write_json(folder / _VERSIONS, runtime.versions())
            if config.data:
                write_json(folder / _DATA, _fingerprint(split))
            if verbose:
                print(gan.jit_decision, flush=True)
        gan.fit(
            dataset,
            epochs=config.epochs,
            verbose=verbose if chief else 0,
            validation_data=validation,
            callbacks=[
                NaNGuard(),
                *_measures(folder, config, split, final),
                *_watched(gan, watch),
                TensorBoard(folder, settings=dataclasses.asdict(config)),
                ImageGrid(
                    folder,
                    every=config.image_every,
                    seed=config.seed,
                    invert=split.train_images.shape[-1] == 1,
                    real_images=split.train_images,
                    png_dir=folder / run_folder.SAMPLES,
                ),
                MetricsFile(folder / run_folder.METRICS),
                Progress(),
                Backup(folder / "backup", backup_seconds),
            ],
        )
        if chief:
            with atomic_write(folder / run_folder.MODEL) as partial:
                gan.save(partial)
        assert_equal_on_workers(
            strategy, "the steps they made", gan.steps
        )  # the others wait for the chief
        return gan


def _settled(config: Config) -> Config:
    """With a path to the images that holds wherever the run is resumed."""
    return dataclasses.replace(config, data=os.path.abspath(config.data)) if config.data else config


def load(run: str | os.PathLike[str], *, safe_mode: bool = True) -> GAN:
    """Loads the trained GAN of a run folder or of a `.keras` file.

    Args:
        run: Run folder or file.
        safe_mode: Whether to refuse networks with code of their own, such as a Lambda layer. Pass
            False for files that you trust.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, holds another model, or, in safe mode, could run code.
    """
    path = Path(run)
    if path.is_dir():
        path = path / run_folder.MODEL
    if not path.is_file():
        hint = (
            " The run is not finished: `fashion-gan train --resume` goes on with it."
            if (path.parent / "backup").is_dir()
            else " `fashion-gan train` makes one."
        )
        raise FileNotFoundError(f"There is no trained model {path}.{hint}")
    try:
        with runtime.build_scope():
            gan = keras.saving.load_model(path, safe_mode=safe_mode)
    except Exception as error:  # Keras, zipfile and HDF5 know a dozen kinds of damage
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    if not isinstance(gan, GAN):
        raise ValueError(f"{path} holds a {type(gan).__name__}, not a GAN.")
    return gan


def sample(
    gan: GAN,
    count: int,
    seed: int,
    out: str | os.PathLike[str],
    *,
    labels: Any = None,
    use_ema: bool = True,
) -> None:
    """Generate images into a file or folder.

    Args:
        gan: that generates.
        count: number of images.
        seed: of the latents.
        out: `FILE.png` for a grid; `FILE.npy` for uint8 `(count, height, width, channels)`; a name
            without an ending for a folder of PNG files, `00000.png` and so on, one for each image.
            An older file is replaced. In a folder, the images of an earlier sample are replaced,
            and those beyond `count` are removed.
        labels: see `GAN.sample`.
        use_ema: see `GAN.sample`.

    Raises:
        FileExistsError: If the folder is a file, or holds anything but images of earlier samples.
        ValueError: for another ending.
    """
    out = Path(out)
    kind = ending(out, (".png", ".npy"), folder=True)
    if not kind:
        images.numbered_pngs(out)
    pictures = images.to_uint8(
        gan.sample(count, labels=labels, seed=seed, use_ema=use_ema), gan.value_range
    )
    pictures = images.with_channels(pictures)
    out.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".png":
        by_class = gan.num_classes if labels is None else None
        images.write_png(out, images.tile(pictures, by_class, invert=pictures.shape[-1] == 1))
    elif kind == ".npy":
        with atomic_write(out) as partial:
            np.save(partial, pictures)
    else:
        images.write_pngs(out, pictures)


def summary(
    config: Config,
    folder: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None = None,
    devices: int | None = None,
    resume: bool = False,
) -> Iterator[str]:
    """What `train` would do, line by line; it does not wait for other workers.

    Args:
        config: see `train`.
        folder: of the run, or None for a new one.
        data_dir: see `train`.
        devices: see `train`.
        resume: see `train`.

    Raises:
        OSError, ValueError: as `train` would before it begins.
    """
    config = _settled(config)
    if folder is not None:
        run_folder.check_free(Path(folder), config, resume)
    place = config.data or data.find(data_dir)
    split = images_of(config, data_dir, folder)
    workers = runtime.workers()
    with runtime.strategy(None if workers else devices).scope():
        gan = _build(config, split)
    dataset, _ = _datasets(split, config, gan.value_range)
    yield f"data           {place}"
    for network in (gan.generator, gan.discriminator):
        yield f"{network.name:<14} {network.count_params():,} parameters"
    yield f"training       {config.epochs} epochs of {len(dataset):,} steps"
    yield f"compilation    {gan.jit_decision}"
    for name, value in dataclasses.asdict(config).items():
        yield f"  {name:<20} {value}"


def check(configs: Iterable[Config], data_dir: str | os.PathLike[str] | None = None) -> None:
    """Make sure that `train` would begin with each of these configs; nothing is written.

    Args:
        configs: see `train`.
        data_dir: see `train`.

    Raises:
        OSError, ValueError: as `train` would before it begins.
    """
    splits: dict[tuple[str, bool], data.Split] = {}
    for config in configs:
        key = config.data, config.skip_broken
        if key not in splits:
            splits[key] = images_of(config, data_dir)
        _build(config, splits[key])


def _build(config: Config, split: data.Split) -> GAN:
    batch_size, there = config.batch_size * config.d_steps, len(split.train_images)
    if batch_size > there:
        times = f" and d_steps={config.d_steps}" if config.d_steps > 1 else ""
        raise ValueError(
            f"A step needs {batch_size:,} images, and there are {there:,} to train on. "
            f"Received: batch_size={config.batch_size}{times}. Lower it."
        )
    return build(config, split)


def images_of(
    config: Config,
    data_dir: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> data.Split:
    """Fashion-MNIST, or the images that a config names.

    Args:
        config: of a run.
        data_dir: see `data.find`.
        folder: of that run, if it has begun.

    Raises:
        ValueError: if the images are not those that the run began with: others would be held out.
    """
    if not config.data:
        return data.load(data_dir)
    split = own_images.split(own_images.read(config.data, config.skip_broken))
    path = None if folder is None else Path(folder) / _DATA
    if path is not None and path.exists():
        before, now = json.loads(path.read_text()), _fingerprint(split)
        if before != now:
            raise ValueError(
                f"The images in {config.data} have changed since the run in {folder} began: it had "
                f"{before['images']:,} of them, now there are {now['images']:,}, or others. Bring "
                "them back, or begin a new run."
            )
    return split


def _fingerprint(split: data.Split) -> dict[str, Any]:
    parts = (split.train_images, split.train_labels, split.test_images, split.test_labels)
    digest = hashlib.sha256(repr(split.class_names).encode())
    for part in parts:
        digest.update(b"" if part is None else np.ascontiguousarray(part).data)
    return {"images": len(parts[0]) + len(parts[2]), "sha256": digest.hexdigest()}


def _datasets(split: data.Split, config: Config, value_range: tuple[float, float]) -> Any:
    """The batches to train on, and those held out."""
    batch_size = config.batch_size * config.d_steps
    held_out = len(split.validation_images) // config.d_steps * config.d_steps

    def batches(part: str, batch_size: int, **more: Any) -> Any:
        return data.make_dataset(
            getattr(split, f"{part}_images"),
            batch_size,
            labels=getattr(split, f"{part}_labels") if config.conditional else None,
            value_range=value_range,
            **more,
        )

    return (
        batches("train", batch_size, seed=config.seed),
        batches("validation", min(batch_size, held_out), shuffle=False),
    )


def _watched(gan: GAN, watch: Callable[[int, Mapping[str, float]], bool] | None) -> list[Any]:
    def look(epoch: int, logs: dict[str, float]) -> None:
        if watch is not None and watch(epoch + 1, logs):
            gan.stop_training = True

    return [keras.callbacks.LambdaCallback(on_epoch_end=look)] if watch else []


def _measures(folder: Path, config: Config, split: data.Split, final: bool) -> list[Any]:
    """What measures: between epochs against validation images, at the end against test images."""
    own = bool(config.data)
    labelled = () if own else (features.load(), data.CLASS_NAMES)
    measures: list[Any] = []
    if config.evaluate_every:
        if own:
            quick, full = (evaluate.own_images(split, p) for p in (evaluate.QUICK, evaluate.FULL))
        else:
            quick, full = (
                evaluate.fashion_mnist(protocol, held_out=held_out, split=split)
                for protocol, held_out in (
                    (evaluate.QUICK, "validation"),
                    (evaluate.FULL, "test"),
                )
            )
        scores = folder / run_folder.SCORES
        measures.append(
            MetricEvaluation(
                quick, config.evaluate_every, final=full if final else None, final_file=scores
            )
        )
        if not own and final:
            measures.append(FeatureProjector(folder, split.validation_images, *labelled))
    if config.alarm != "off":
        measures.append(
            ModeCollapseMonitor(
                split.train_images,
                *labelled,
                action=config.alarm,
                state_file=folder / run_folder.MONITOR,
            )
        )
    return measures
