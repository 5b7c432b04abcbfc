"""Trains a config in a run folder, and resumes it from there."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from fashion_gan import callbacks, data, evaluation, hub, monitor, runtime
from fashion_gan.gan import GAN
from fashion_gan.runs.builder import (
    FASHION_MNIST,
    Experiment,
    describe_length,
    load_split,
    prepare,
    steps_per_epoch,
)
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.init_from import AUTO, init_from
from fashion_gan.runs.presets import PRESETS, closest_preset
from fashion_gan.training.backups import newest_position
from fashion_gan.training.distribute import assert_equal_on_workers, is_chief
from fashion_gan.training.model_file import write_model_file

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
    allow_changed_data: bool = False,
    backup_interval: float = 60.0,
    verbose: str | int = "auto",
    watch: Watch | None = None,
    final: bool = True,
) -> GAN:
    """Trains a config on Fashion-MNIST or on your own images, in a run folder.

    `RunDirectory` lists the files of the folder. With several workers, only the chief writes to the
    folder. To resume, all workers need the folder on a shared disk.

    Seeds Python, NumPy and TensorFlow and sets the global dtype policy by the config. No other
    function of the package does so.

    Args:
        config: Config to train.
        run_dir: Folder of the run. Created if it does not exist.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        devices: Number of devices of this host, see `runtime.strategy`.
        resume: Whether to resume the run in `run_dir`, if it has begun. Only two settings may
            change: `epochs`, which may not fall below the finished epochs, and `data`, if it names
            the same images. Defaults to False.
        allow_changed_data: Whether to resume with images that have changed. `data.json` then lists
            the earlier images as well. Defaults to False.
        backup_interval: Seconds between two backups within an epoch. Defaults to 60.
        verbose: 0, 1, 2 or `"auto"`, as in `keras.Model.fit`. Defaults to `"auto"`.
        watch: Function that is called after each epoch with the number of finished epochs and the
            logs. Training ends if it returns True. Defaults to None.
        final: Whether to compute the scores of the full protocol at the end, and to write
            `projector` and `scores.json`. Defaults to True.

    Returns:
        The trained GAN.

    Raises:
        BlockingIOError: If another process of this host trains in `run_dir`.
        ConnectionError: If another worker is lost.
        FileExistsError: If `run_dir` holds a run and `resume` is False; if it holds other files
            but no run.
        FileNotFoundError: If `run_dir` is removed or moved during the training.
        FloatingPointError: If a loss or weight became NaN repeatedly, see `RestoreOnNaN`.
        ValueError: If the run to resume has another config or other images; if `init_from` names
            weights of other shapes.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once a backup is written.
        MemoryError: If the device has no memory for a step.
    """
    run, config = RunDirectory(run_dir), _with_absolute_paths(config)
    strategy = runtime.strategy(devices)
    chief = is_chief(strategy)

    def announce(line: str) -> None:
        if chief and verbose:
            print(line, flush=True)

    assert_equal_on_workers(strategy, "what to train", (config, resume))
    if chief:
        run.check_available(config, resume)
    split = _load_split(run, config, data_dir, announce)
    if changes := _check_images(run, config, split, allow_changed_data):
        announce(f"The images have changed: {changes}.")
    runtime.prepare(config.seed, config.dtype_policy)
    experiment = prepare(config, split=split, strategy=strategy)
    gan = experiment.gan
    if _begins_with_other_weights(run, config):
        with strategy.scope():
            init_from(gan, config.init_from, announce)
    with run.lock() if chief else nullcontext():
        if chief:
            run.begin(config, runtime.versions(), split)
            if verbose:
                _warn_if_short(experiment)
            announce(f"training       {describe_length(config, len(split.train_images))}")
            if gan.jit_compile:
                announce(str(gan.jit_decision))
            announce(_describe_start(run, experiment))
        guard = [_StopWithoutFolder(run)] if chief else []
        with _named_batch(config):
            gan.fit(
                experiment.train,
                epochs=config.epochs,
                verbose=verbose if chief else 0,
                validation_data=experiment.validation,
                callbacks=[*guard, *_callbacks(run, experiment, backup_interval, watch, final)],
            )
        if chief:
            epoch, batch = newest_position(run.backup_dir) or (config.epochs, 0)
            write_model_file(run.model_path, gan, {"epoch": epoch, "batch": batch})
        # The other workers wait here for the chief.
        assert_equal_on_workers(strategy, "the number of steps", gan.steps)
        return gan


def _describe_start(run: RunDirectory, experiment: Experiment) -> str:
    """Returns a line on the step at which training starts, and the wait before it."""
    epoch, batch = newest_position(run.backup_dir) or (0, 0)
    done, epochs = epoch * len(experiment.train) + batch, experiment.config.epochs
    resuming = f"Resuming {run} after {done:,} steps. " if done else ""
    if epoch >= epochs:
        return f"{resuming}All {epochs} epochs are done. To train longer, pass more --epochs."
    return f"{resuming}The train step is compiled first, which can take a minute."


@contextmanager
def _named_batch(config: Config) -> Iterator[None]:
    """Raises a short error that names the batch size if a device has no memory for a step.

    Raises:
        MemoryError: In place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        half, parts = config.batch_size // 2, 2 * config.accumulate
        remedy = (
            f"Start a new run with --batch-size {half}"
            if half
            else "Use smaller images or networks"
        )
        if config.batch_size % (4 * parts) == 0:  # 4 images in a group of MinibatchStdDev
            remedy += f", or with --accumulate {parts}, which trains on the same batch in parts"
        bfloat16 = "mixed_bfloat16"
        other = "" if config.dtype_policy == bfloat16 else f", or with --dtype-policy {bfloat16}"
        raise MemoryError(
            f"The device has no memory for a step of batch_size={config.batch_size} with the model "
            f"{config.model}. {remedy}{other}."
        ) from error


def describe_training(
    config: Config,
    run_dir: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None = None,
    devices: int | None = None,
    resume: bool = False,
    allow_changed_data: bool = False,
) -> Iterator[str]:
    """Yields lines on what `train_run` would do, without waiting for other workers.

    Args:
        config: Config to train.
        run_dir: Folder of the run, or None for a new folder.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        devices: Number of devices of this host, see `runtime.strategy`.
        resume: Whether to resume the run, see `train_run`. Defaults to False.
        allow_changed_data: Whether to accept images that have changed, see `train_run`. Defaults
            to False.

    Raises:
        OSError, ValueError: If `train_run` would raise before training starts.
    """
    config = _with_absolute_paths(config)
    run = None if run_dir is None else RunDirectory(run_dir)
    if run is not None:
        run.check_available(config, resume)
    found: list[str] = []
    split = _load_split(run, config, data_dir, found.append)
    if run is not None and (changes := _check_images(run, config, split, allow_changed_data)):
        yield f"changed data   {changes}"
    strategy = runtime.strategy(None if runtime.workers() else devices)
    experiment = prepare(config, split=split, strategy=strategy)
    if _begins_with_other_weights(run, config):
        lines: list[str] = []
        init_from(experiment.gan, config.init_from, lines.append)
        yield from lines
    _warn_if_short(experiment)
    yield f"data           {config.data or data.find_fashion_mnist(data_dir)}"
    yield from found
    gan = experiment.gan
    for network in filter(None, (gan.generator, gan.projector, gan.discriminator)):
        yield f"{network.name:<14} {network.count_params():,} parameters"
    yield f"training       {describe_length(config, len(split.train_images))}"
    yield f"compilation    {experiment.gan.jit_decision}"
    preset, changed = closest_preset(config)
    yield f"settings       * where they differ from the preset {preset}"
    for name, value in dataclasses.asdict(config).items():
        yield f"{'*' if name in changed else ' '} {name:<22} {value}"


def _warn_if_short(experiment: Experiment) -> None:
    """Warns if passes over few images make training less than half as long as its preset's.

    The length is compared in train steps, with the closest preset on Fashion-MNIST.
    """
    config = experiment.config
    if not config.data or config.steps_per_epoch:
        return
    name, _ = closest_preset(config)
    usual = PRESETS[name].epochs * steps_per_epoch(PRESETS[name], FASHION_MNIST.num_images)
    steps = config.epochs * len(experiment.train)
    if steps < usual / 2:
        passes = "1 pass" if config.epochs == 1 else f"{config.epochs} passes"
        warnings.warn(
            f"A training of {passes} over {len(experiment.split.train_images):,} images makes "
            f"{steps:,} steps. Preset {name} makes {usual:,} on Fashion-MNIST. Pass the length in "
            f"steps: --steps {usual}.",
            stacklevel=3,
        )


def check_configs(
    configs: Iterable[Config], data_dir: str | os.PathLike[str] | None = None
) -> None:
    """Checks that `train_run` could start with each config, without writing anything.

    Args:
        configs: Configs to check.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.

    Raises:
        OSError, ValueError: If `train_run` would raise before training starts.
    """
    splits: dict[Any, data.Split] = {}
    for config in configs:
        key = config.data, config.skip_corrupt, config.image_options(), config.held_out
        if key not in splits:
            splits[key] = load_split(config, data_dir)
        experiment = prepare(config, split=splits[key])
        if config.init_from:
            init_from(experiment.gan, config.init_from)


def _with_absolute_paths(config: Config) -> Config:
    """Returns the config with absolute paths, so that the run resumes from any folder."""
    source = config.init_from
    if source and source != AUTO and source not in hub.pretrained_cards():
        source = os.path.abspath(source)
    data_path = os.path.abspath(config.data) if config.data else ""
    return dataclasses.replace(config, data=data_path, init_from=source)


def _load_split(
    run: RunDirectory | None,
    config: Config,
    data_dir: str | os.PathLike[str] | None,
    announce: Callable[[str], None],
) -> data.Split:
    """Loads the images, with a hint in the error if the images of a run have moved."""
    try:
        return load_split(config, data_dir, announce)
    except FileNotFoundError as error:
        if run is None or not config.data or not run.exists():
            raise
        raise FileNotFoundError(
            f"Expected the images of the run in {run} in {config.data}. Received: a path that does "
            "not exist. If the images have moved, pass their new path with --data."
        ) from error


def _check_images(run: RunDirectory, config: Config, split: data.Split, allow_changed: bool) -> str:
    """Checks the images with `RunDirectory.check_images`, and that an epoch can be resumed.

    Returns:
        A phrase on the changes, or an empty string.
    """
    changes = run.check_images(split, config, allow_changed=allow_changed)
    epoch, batch = newest_position(run.backup_dir) or (0, 0)
    batches = steps_per_epoch(config, len(split.train_images))
    if changes and 0 < batches <= batch:
        raise ValueError(
            f"Expected more than {batch:,} batches in an epoch, since {batch:,} of epoch "
            f"{epoch + 1} are done. Received: images for {batches:,} ({changes}). Restore the "
            "images, or start a new run."
        )
    return changes


def _begins_with_other_weights(run: RunDirectory | None, config: Config) -> bool:
    """Returns whether training starts from the weights of another GAN, rather than resumes."""
    return bool(config.init_from) and (run is None or newest_position(run.backup_dir) is None)


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
        evaluators["best_checkpoint"] = callbacks.BestCheckpoint(
            run.best_path,
            evaluators["evaluator"].watched_score,
            reference=run.read_data_sha256() if config.data else "",
        )
        evaluators["baselines"] = _baselines(evaluators["evaluator"], split)
        if final:
            evaluators["final_evaluator"] = _evaluator(experiment, evaluation.FULL, "test")
            if labeled:
                extra.append(
                    callbacks.FeatureProjector(run.path, split.validation_images, *labeled)
                )
    if config.adaptive_augmentation:
        labels = (
            (split.train_labels, split.validation_labels) if config.conditional else (None,) * 2
        )
        extra.append(
            callbacks.AdaptiveAugmentation(
                split.train_images,
                split.validation_images,
                config.batch_size * config.d_steps,
                train_labels=labels[0],
                held_out_labels=labels[1],
                seed=config.seed,
            )
        )
    if config.post_hoc_ema:
        extra.append(callbacks.PowerAverageSnapshots(run.averages_dir))
    if watch is not None:
        extra.append(_StopWhen(watch))
    few = len(split.train_images) < monitor.MIN_IMAGES
    on_collapse = "off" if few else config.on_collapse
    needs_features = on_collapse != "off" and evaluation.has_imagenet_weights()
    unlabeled = (evaluation.load_imagenet_features(),) if needs_features else ()
    return callbacks.default(
        run.path,
        split.train_images,
        *(labeled or unlabeled),
        **evaluators,
        eval_freq=config.eval_freq or 1,
        on_collapse=on_collapse,
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


def _baselines(evaluator: evaluation.Evaluator, split: data.Split) -> dict[str, Any]:
    """Returns the images between whose scores a good generator lies; none if nothing is held out.

    Without held-out images, the scores compare with the training images themselves.
    """
    count = evaluator.protocol.count
    if not split.held_out or len(evaluator.train) < count:
        return {}
    sets = evaluation.baselines(evaluator.train, None, count, evaluator.protocol.seed)
    return {name: sets[name] for name in ("training images", "blurred")}


class _StopWithoutFolder(keras.callbacks.Callback):
    """Ends training if its folder was removed, before other callbacks create it again.

    Raises:
        FileNotFoundError: If the folder no longer holds the config of the run.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._check()

    def _check(self) -> None:
        if not self._run.exists():
            raise FileNotFoundError(
                f"Expected {self._run} to stay in place during a training. Received: no "
                f"config there after {self.model.steps:,} steps: the folder was removed or moved. "
                "Start a new run, or put the folder back and resume it."
            )


class _StopWhen(keras.callbacks.Callback):
    """Ends training after an epoch for which `watch` returns True."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._watch(epoch + 1, logs or {}):
            self.model.stop_training = True
