"""Training of a run: a config, trained in a folder from which it is resumed and sampled."""

import dataclasses
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import keras

from fashion_gan import callbacks, data, evaluation, runtime
from fashion_gan.files import write_bytes
from fashion_gan.gan import GAN
from fashion_gan.runs.builder import (
    FASHION_MNIST_SIZE,
    Experiment,
    load_split,
    prepare,
    steps_per_epoch,
)
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.presets import PRESETS, closest_preset
from fashion_gan.training.distribute import assert_equal_on_workers, is_chief

__all__ = ["check_configs", "describe_training", "train_run"]

Watch = Callable[[int, Mapping[str, float]], bool]


@runtime.with_workers()
def train_run(
    config: Config,
    run_dir: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    devices: int | None = None,
    resume: bool = False,
    backup_interval: float = 60.0,
    verbose: str | int = "auto",
    watch: Watch | None = None,
    final: bool = True,
) -> GAN:
    """Trains a config on Fashion-MNIST or on images of your own, in a folder of its own.

    `RunDirectory` lists what the folder holds then. Of several workers, the chief writes it; all
    need the folder on a shared disk to resume.

    This seeds Python, NumPy and TensorFlow and sets the global dtype policy as the config says. No
    other function of the package does.

    Args:
        config: Config to train.
        run_dir: Folder of the run. It is created if it does not exist.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        devices: Number of devices of this host, see `runtime.strategy`.
        resume: Whether to resume the run in `run_dir`, if it has begun.
        backup_interval: Seconds between two backups within an epoch. Defaults to 60.
        verbose: 0, 1, 2 or `"auto"`, as in `keras.Model.fit`.
        watch: Function that is called after each epoch with the number of finished epochs and the
            logs. Training ends if it returns True.
        final: Whether to compute the scores of the full protocol at the end, and to write
            `projector` and `scores.json`.

    Returns:
        The trained GAN.

    Raises:
        BlockingIOError: If another process of this host trains in `run_dir`.
        ConnectionError: If another worker is lost.
        FileExistsError: If `run_dir` holds something that is not to be resumed.
        FloatingPointError: If a loss or weight became NaN repeatedly, see `RestoreOnNaN`.
        ValueError: If the run to resume has another config, of which only `epochs` may grow, or
            other images.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once a backup is made.
    """
    run, config = RunDirectory(run_dir), _with_absolute_path(config)
    strategy = runtime.strategy(devices)
    chief = is_chief(strategy)
    assert_equal_on_workers(strategy, "what to train", (config, resume))
    if chief:
        run.check_available(config, resume)
    split = load_split(config, data_dir)
    run.check_images(split)
    runtime.prepare(config.seed, config.dtype_policy)
    experiment = prepare(config, split=split, strategy=strategy)
    gan = experiment.gan
    with run.lock() if chief else nullcontext():
        if chief:
            run.begin(config, runtime.versions(), split)
            if verbose:
                _warn_if_short(experiment)
                print(gan.jit_decision, flush=True)
        gan.fit(
            experiment.train,
            epochs=config.epochs,
            verbose=verbose if chief else 0,
            validation_data=experiment.validation,
            callbacks=_callbacks(run, experiment, backup_interval, watch, final),
        )
        if chief:
            model = io.BytesIO()
            gan.save(model)
            write_bytes(run.model_path, model.getvalue())
        # The other workers wait here for the chief.
        assert_equal_on_workers(strategy, "the number of steps", gan.steps)
        return gan


def describe_training(
    config: Config,
    run_dir: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None = None,
    devices: int | None = None,
    resume: bool = False,
) -> Iterator[str]:
    """Yields lines on what `train_run` would do; it does not wait for other workers.

    Args:
        config: See `train_run`.
        run_dir: Folder of the run, or None for a new one.
        data_dir: See `train_run`.
        devices: See `train_run`.
        resume: See `train_run`.

    Raises:
        OSError, ValueError: As `train_run` before it begins.
    """
    config = _with_absolute_path(config)
    if run_dir is not None:
        RunDirectory(run_dir).check_available(config, resume)
    split = load_split(config, data_dir)
    if run_dir is not None:
        RunDirectory(run_dir).check_images(split)
    strategy = runtime.strategy(None if runtime.workers() else devices)
    experiment = prepare(config, split=split, strategy=strategy)
    _warn_if_short(experiment)
    yield f"data           {config.data or data.find_fashion_mnist(data_dir)}"
    for network in (experiment.gan.generator, experiment.gan.discriminator):
        yield f"{network.name:<14} {network.count_params():,} parameters"
    yield f"training       {_describe_length(experiment)}"
    yield f"compilation    {experiment.gan.jit_decision}"
    for name, value in dataclasses.asdict(config).items():
        yield f"  {name:<20} {value}"


def _describe_length(experiment: Experiment) -> str:
    config, steps = experiment.config, len(experiment.train)
    num_images = len(experiment.split.train_images) * (1 + config.mirror)
    passes = config.epochs * steps * config.batch_size * config.d_steps / num_images
    images = f"{num_images:,} {'images and mirror images' if config.mirror else 'images'}"
    return (
        f"{config.epochs} epochs of {steps:,} steps: {config.epochs * steps:,} steps, "
        f"{passes:,.1f} passes over {images}"
    )


def _warn_if_short(experiment: Experiment) -> None:
    """Warns of a training on passes over so few images that it makes less than half of its steps.

    The steps to compare with are those that the closest preset makes on Fashion-MNIST.
    """
    config = experiment.config
    if not config.data or config.steps_per_epoch:
        return
    name, _ = closest_preset(config)
    usual = PRESETS[name].epochs * steps_per_epoch(PRESETS[name], FASHION_MNIST_SIZE)
    steps = config.epochs * len(experiment.train)
    if steps < usual / 2:
        warnings.warn(
            f"{config.epochs} passes over {len(experiment.split.train_images):,} images are "
            f"{steps:,} steps. Preset {name} makes {usual:,} on Fashion-MNIST. Give the length in "
            f"steps: --steps {usual}.",
            stacklevel=3,
        )


def check_configs(
    configs: Iterable[Config], data_dir: str | os.PathLike[str] | None = None
) -> None:
    """Checks that `train_run` would begin with each of these configs; writes nothing.

    Args:
        configs: Configs to check.
        data_dir: See `train_run`.

    Raises:
        OSError, ValueError: As `train_run` before it begins.
    """
    splits: dict[tuple[str, bool], data.Split] = {}
    for config in configs:
        key = config.data, config.skip_corrupt
        if key not in splits:
            splits[key] = load_split(config, data_dir)
        prepare(config, split=splits[key])


def _with_absolute_path(config: Config) -> Config:
    """Returns the config with a path to the images that holds wherever the run is resumed."""
    return dataclasses.replace(config, data=os.path.abspath(config.data)) if config.data else config


def _callbacks(
    run: RunDirectory,
    experiment: Experiment,
    backup_interval: float,
    watch: Watch | None,
    final: bool,
) -> list[keras.callbacks.Callback]:
    config, split = experiment.config, experiment.split
    labeled = () if config.data else (evaluation.load_classifier(), data.CLASS_NAMES)
    evaluators: dict[str, Any] = {}
    extra: list[keras.callbacks.Callback] = []
    if config.eval_freq:
        evaluators["evaluator"] = _evaluator(experiment, evaluation.QUICK, "validation")
        if final:
            evaluators["final_evaluator"] = _evaluator(experiment, evaluation.FULL, "test")
            if labeled:
                extra.append(
                    callbacks.FeatureProjector(run.path, split.validation_images, *labeled)
                )
    if watch is not None:
        extra.append(_StopWhen(watch))
    return callbacks.default(
        run.path,
        split.train_images,
        *labeled,
        **evaluators,
        eval_freq=config.eval_freq or 1,
        on_collapse=config.on_collapse,
        image_freq=config.image_freq,
        seed=config.seed,
        backup_interval=backup_interval,
        settings=dataclasses.asdict(config),
        extra=extra,
    )


def _evaluator(experiment: Experiment, protocol: Any, split: str) -> evaluation.Evaluator:
    if experiment.config.data:
        return evaluation.image_evaluator(experiment.split, protocol)
    return evaluation.fashion_mnist_evaluator(protocol, split=split, images=experiment.split)


class _StopWhen(keras.callbacks.Callback):
    """Ends training after an epoch for which `watch` returns True."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._watch(epoch + 1, logs or {}):
            self.model.stop_training = True
