"""Provides a callback that monitors training for mode collapse and unbalanced losses."""

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan.files import CLUSTERS, atomic_write, read_json, write_json
from fashion_gan.images import tile_rows, to_uint8, with_channels, write_png
from fashion_gan.keras_compat import iter_layers
from fashion_gan.losses import Relativistic
from fashion_gan.models import MinibatchStdDev
from fashion_gan.monitor import (
    COLOR,
    LABELED,
    UNLABELED,
    HealthSignals,
    Issue,
    MonitorState,
    Recipe,
    ReferenceSet,
    Thresholds,
    diagnose,
)
from fashion_gan.penalties import R1
from fashion_gan.registry import lookup
from fashion_gan.training.distribute import is_chief
from fashion_gan.typing import Images

from .evaluate_gan import has_scores, slug

__all__ = ["ModeCollapseMonitor"]

_WARMUP_STEPS = 1_000
_STATES = 10  # number of epochs that a resumed run may go back
_ACTIONS = {name: name for name in ("warn", "stop", "restore")}
_LEAST = {"check_freq": 1, "patience": 1, "window": 4, "num_samples": 2, "num_real": 100}
_LEAST |= {"seed": 0, "max_restores": 0, "warmup_steps": 0}


class ModeCollapseMonitor(keras.callbacks.Callback):
    """Warns of mode collapse and other issues of a GAN, and optionally stops or restores it.

    It compares samples with real images after every `check_freq`-th epoch and the last one, and
    monitors the losses of all epochs. It warns of an issue when `patience` evaluations in a row
    have found it. It warns again only if the issue disappears and returns, or concerns a further
    class. The signals are added to the logs, for callbacks later in the list. They do not overwrite
    the scores of an `EvaluateGAN` before it in the list. docs/monitor.md explains the signals, and
    how often the monitor is right.

    With the classifier of the package, warnings name the classes:
    `ModeCollapseMonitor(fashion.train_images, evaluation.load_classifier(), data.CLASS_NAMES)`.
    Without labels, clusters of the real images replace the classes. Pass
    `evaluation.load_imagenet_features()`, whose clusters separate kinds of images better than those
    of pixels. The monitor then misses the loss of a class whose images resemble another class.

    Args:
        real_images: Real images `(n, height, width[, channels])`, n >= 100, uint8 or floats in the
            generator's range. `num_real` images are chosen at random.
        features: Function that maps uint8 images to features `(n, d)`. It is applied to the real
            images for their clusters, and with colors to the samples as well. Or to a pair of
            features and labels `(n,)`, such as `evaluation.load_classifier()`. Defaults to None,
            which uses the principal components of the pixels.
        class_names: Names of the classes, in the order of their labels. Defaults to None.
        action: `"warn"`, `"stop"` or `"restore"`. `"stop"` also ends training. `"restore"` restores
            the last state without any issue and continues with other latents. It stops if there is
            no such state. Defaults to `"warn"`.
        check_freq: Number of epochs between two evaluations. Defaults to 1.
        patience: Number of evaluations in a row that must find an issue. Defaults to 2.
        warmup_steps: Number of train steps before the first warning, since the samples of any
            generator are alike at first. The signals are logged from the start, `num_issues` and
            `missing_classes` only from here on. Defaults to None, for 1,000 steps. Missing clusters
            are then reported only in the second half of the epochs, since generators gain kinds of
            images for long.
        window: Number of epochs over which the losses are compared. Defaults to 10.
        num_samples: Number of samples in an evaluation. The thresholds were fitted for 1,000.
            Defaults to 1,000.
        num_real: Number of real images to compare with. Defaults to 5,000.
        seed: Seed of the latents, of the choice of real images and of the clusters. Defaults to 0.
        max_restores: Number of restores after which `"restore"` stops. Defaults to 3.
        thresholds: Thresholds of the signals. Defaults to `monitor.LABELED` with class names, to
            `monitor.COLOR` for color images with features, and to `monitor.UNLABELED` otherwise.
        state_path: JSON file for the state of the monitor. Without it, a resumed run starts
            monitoring from scratch. A `.npz` file of the same name holds the state that `"restore"`
            restores. Without labels, `clusters.png` beside it shows 12 real images of each cluster,
            a row for each. Defaults to None.

    Attributes:
        signals: Signals of the last evaluation.
        issues: Issues of the last evaluation, among those that the monitor has warned of.
        warned: All issues that the monitor has warned of, each with the number of finished epochs.

    Raises:
        TypeError: When training begins, if the model has no `sample` or `value_range`.
        ValueError: If an argument is out of range. When training begins, if only one of labels and
            class names is given, or if the real images are too few or out of range.
    """

    def __init__(
        self,
        real_images: Images,
        features: Callable[[np.ndarray], Any] | None = None,
        class_names: Sequence[str] | None = None,
        *,
        action: str = "warn",
        check_freq: int = 1,
        patience: int = 2,
        warmup_steps: int | None = None,
        window: int = 10,
        num_samples: int = 1_000,
        num_real: int = 5_000,
        seed: int = 0,
        max_restores: int = 3,
        thresholds: Thresholds | None = None,
        state_path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.action = lookup(_ACTIONS, action, "action")
        self.check_freq, self.patience, self.window = check_freq, patience, window
        self.num_samples, self.num_real, self.seed = num_samples, num_real, seed
        self.warmup_steps = _WARMUP_STEPS if warmup_steps is None else warmup_steps
        self._awaits_clusters = class_names is None and warmup_steps is None
        self.max_restores = max_restores
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"Expected an integer of at least {least}. Received: {name}={value!r}."
                )
        self.class_names, self.thresholds = class_names, thresholds
        self.state_path = None if state_path is None else Path(state_path)
        self.signals = HealthSignals()
        self.issues: tuple[Issue, ...] = ()
        self.warned: list[tuple[int, Issue]] = []
        real = real_images if hasattr(real_images, "shape") else np.asarray(real_images)
        chosen = np.random.default_rng(seed).permutation(len(real))[:num_real]
        self._real = with_channels(real[np.sort(chosen)])
        self._features = features
        self._reference: ReferenceSet | None = None
        self._state = MonitorState()
        self._states_by_epoch: dict[str, dict[str, Any]] = {}  # by finished epochs
        self._healthy: list[np.ndarray] = []
        self._begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Computes the reference statistics of the real images."""
        if not hasattr(self.model, "sample") or not hasattr(self.model, "value_range"):
            raise TypeError(
                "ModeCollapseMonitor needs a model with `sample(count, seed=...)` and "
                f"`value_range`, such as a GAN. Received: model={type(self.model).__name__}."
            )
        self._begun = False
        if self._reference is None:
            low, high = self.model.value_range
            real = self._real
            if real.dtype != np.uint8 and (real.min() < low - 0.01 or real.max() > high + 0.01):
                raise ValueError(
                    f"Expected real_images as uint8, or as floats from {low:g} to {high:g}, as the "
                    f"generator makes. Received: {real.dtype}, {real.min():g} to {real.max():g}."
                )
            real = to_uint8(real, self.model.value_range)
            features, labels = self._measure(real)
            if (labels is None) != (self.class_names is None):
                raise ValueError(
                    "Expected class_names and features that give a pair of features and labels, or "
                    f"neither. Received: class_names={self.class_names}, and features that give "
                    f"{'no labels' if labels is None else 'labels'}."
                )
            self._reference = ReferenceSet(real, features, labels, self.class_names, seed=self.seed)
            self._write_clusters(real)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Loads the state of the monitor before the first epoch of this run."""
        if self._begun:
            return
        self._begun = True
        if self.state_path is not None and self.state_path.exists():
            self._states_by_epoch = _read_states(self.state_path)
        path = self._healthy_file
        if epoch == 0:
            self._states_by_epoch, self._healthy = {}, []
            if path is not None and is_chief(self.model.distribute_strategy):
                path.unlink(missing_ok=True)  # of an earlier run
        elif path is not None and path.exists():
            with np.load(path, allow_pickle=False) as file:
                self._healthy = [file[f"arr_{i}"] for i in range(len(file.files))]
        self._state = MonitorState.from_dict(self._states_by_epoch.get(str(epoch), {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates samples in some epochs, warns or acts, and saves the state."""
        logs = {} if logs is None else logs
        self._state.record(logs, self.window)
        if has_scores(epoch, self.check_freq, self.params):
            self._evaluate(epoch + 1, logs)
        state = json.dumps(dataclasses.asdict(self._state))
        self._states_by_epoch[str(epoch + 1)] = json.loads(state)  # a copy
        for old in sorted(self._states_by_epoch, key=int)[:-_STATES]:
            del self._states_by_epoch[old]
        if self.state_path is not None and is_chief(self.model.distribute_strategy):
            write_json(self.state_path, self._states_by_epoch, indent=None)

    def _evaluate(self, epochs: int, logs: dict[str, Any]) -> None:
        self.signals = self._state.add_history(
            self._measured(), logs, self.num_samples, self.window
        )
        thresholds = self.thresholds or self._default_thresholds()
        has_begun = getattr(self.model, "steps", self.warmup_steps) >= self.warmup_steps
        found = diagnose(self.signals, thresholds, _recipe(self.model)) if has_begun else ()
        awaits_clusters = self._awaits_clusters and epochs <= self.params.get("epochs", 0) / 2
        if awaits_clusters:
            found = tuple(issue for issue in found if issue.kind != "missing")
        news = self._state.new_issues(found, self.patience)
        self.issues = self._state.active(found)
        numbers = self._signal_numbers()
        if has_begun:
            numbers["num_issues"] = float(len(self.issues))
        if has_begun and self.signals.names and not awaits_clusters:
            lost = [len(issue.classes) for issue in found if issue.kind == "missing"]
            numbers["missing_classes"] = float(sum(lost))
        for name, value in numbers.items():
            logs.setdefault(name, value)
        for issue in news:
            self.warned.append((epochs, issue))
            names_clusters = self._clusters_file is not None and "cluster " in issue.text
            where = f" {self._clusters_file} shows the clusters." if names_clusters else ""
            warnings.warn(f"After {epochs} epochs: {issue}{where}", stacklevel=2)
        if news and self.action == "stop":
            self.model.stop_training = True
        elif news and self.action == "restore":
            self._restore()
        elif not found and self.action == "restore":
            self._keep()

    def _measured(self) -> HealthSignals:
        samples = self.model.sample(self.num_samples, seed=self.seed)
        if not np.isfinite(samples).all():
            self._state.series["g_loss"] = [float("nan")]  # so that training counts as diverged
            return HealthSignals()
        samples = with_channels(to_uint8(samples, self.model.value_range))
        assert self._reference is not None  # noqa: S101 - set when training begins
        output = self._measure(samples) if self._reference.needs_features else (None, None)
        return self._reference.signals(samples, *output)

    def _default_thresholds(self) -> Thresholds:
        if self.class_names is not None:
            return LABELED
        return COLOR if self._reference and self._reference.needs_features else UNLABELED

    def _measure(self, images: np.ndarray) -> tuple[Any, Any]:
        output = None if self._features is None else self._features(images)
        return output if isinstance(output, tuple) else (output, None)

    def _write_clusters(self, real: np.ndarray) -> None:
        """Draws real images of each cluster."""
        path, reference = self._clusters_file, self._reference
        if path is not None and reference and is_chief(self.model.distribute_strategy):
            rows = [real[reference.labels == i] for i in range(len(reference.names))]
            write_png(path, tile_rows(rows, 12, invert=real.shape[-1] == 1, scale=None))

    def _signal_numbers(self) -> dict[str, float]:
        numbers = self.signals.numbers()
        if self.class_names is not None:
            for name, share in zip(self.signals.names, self.signals.shares, strict=True):
                numbers[f"share_{slug(name)}"] = share
        return numbers

    def _variables(self) -> list[Any]:
        optimizers = [v for o in self.model.optimizer.optimizers for v in o.variables]
        return [*self.model.variables, *optimizers]

    def _keep(self) -> None:
        self._healthy = [variable.numpy() for variable in self._variables()]
        if self._healthy_file is not None and is_chief(self.model.distribute_strategy):
            with atomic_write(self._healthy_file) as partial:
                np.savez(partial, *self._healthy)

    def _restore(self) -> None:
        """Restores the last healthy state with other latents, or stops if that is not possible."""
        tries = self._state.restores
        if not self._healthy or tries >= self.max_restores:
            why = f"after {tries} restores" if self._healthy else "no state was without issue"
            warnings.warn(f"Training stops: {why}.", stacklevel=3)
            self.model.stop_training = True
            return
        for variable, value in zip(self._variables(), self._healthy, strict=True):
            variable.assign(value)
        self._state = MonitorState(restores=tries + 1)
        for _ in range(tries + 1):  # each try from the same state uses different latents
            self.model.reseed()
        warnings.warn(
            f"Restored the state after step {self.model.steps}; continuing with other latents (try "
            f"{tries + 1} of {self.max_restores}).",
            stacklevel=3,
        )

    @property
    def _clusters_file(self) -> Path | None:
        if self.state_path is None or self.class_names is not None:
            return None
        return self.state_path.with_name(CLUSTERS)

    @property
    def _healthy_file(self) -> Path | None:
        return None if self.state_path is None else self.state_path.with_suffix(".npz")


def _recipe(model: Any) -> Recipe:
    """Returns the parts of a model's training that the advice depends on, as far as it has them."""
    penalties, step = getattr(model, "penalties", ()), getattr(model, "steps", 0)
    weights = [float(p.weight_at(step)) for p in penalties if isinstance(p, R1)]
    discriminator = getattr(model, "discriminator", None)
    layers = [] if discriminator is None else iter_layers(discriminator)
    rates = [
        getattr(getattr(model, name, None), "learning_rate", None)
        for name in ("g_optimizer", "d_optimizer")
    ]
    g_rate, d_rate = (None if rate is None else float(rate) for rate in rates)
    return Recipe(
        relativistic=isinstance(getattr(model, "loss_function", None), Relativistic),
        penalty_weight=max(weights, default=0.0),
        ema=getattr(model, "ema_generator", None) is not None,
        replay=getattr(model, "replay", None) is not None,
        minibatch_stddev=any(isinstance(layer, MinibatchStdDev) for layer in layers),
        g_learning_rate=g_rate,
        d_learning_rate=d_rate,
        steps=getattr(model, "steps", None),
    )


def _read_states(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the states in a file by epoch; warns and returns none if the file is damaged."""
    try:
        states = read_json(path)
        for epoch, state in states.items():
            int(epoch)
            MonitorState.from_dict(state)
        return dict(states)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(
            f"Expected {path} to hold the state of the monitor. Received: {error}. The monitor "
            "starts with an empty state.",
            stacklevel=2,
        )
        return {}
