"""Monitors mode collapse and losses out of balance, and warns, stops or restores."""

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan.files import atomic_write, read_json, write_json
from fashion_gan.images import to_uint8, with_channels
from fashion_gan.monitor import (
    LABELED,
    UNLABELED,
    HealthSignals,
    Issue,
    MonitorState,
    ReferenceSet,
    Thresholds,
    diagnose,
)
from fashion_gan.registry import lookup
from fashion_gan.training.distribute import is_chief
from fashion_gan.typing import Images

from .evaluate_gan import slug

__all__ = ["ModeCollapseMonitor"]

_STATES = 10  # epochs that a resumption may go back
_ACTIONS = {name: name for name in ("warn", "stop", "restore")}
_LEAST = {"check_freq": 1, "patience": 1, "window": 4, "num_samples": 2, "num_real": 100}
_LEAST |= {"seed": 0, "max_restores": 0, "warmup_steps": 0}


class ModeCollapseMonitor(keras.callbacks.Callback):
    """Warns of what goes wrong with a GAN, in words, and stops it or puts it back on request.

    It compares samples with real images after every `check_freq`-th epoch, and watches the losses
    of all epochs. It reports an issue once `patience` evaluations in a row have found it, and does
    so once, unless the issue disappears and returns or concerns a further class. The numbers go
    to the logs, for callbacks later in the list; those of a `EvaluateGAN` before it in the
    list stay as they are. docs/monitor.md explains them, and says how often the monitor is right.

    With the classifier of the package, classes are named:
    `ModeCollapseMonitor(fashion.train_images, evaluation.load_classifier(), data.CLASS_NAMES)`.
    Without labels, `ModeCollapseMonitor(images)`, clusters of the real images stand in for classes;
    that misses the loss of a class whose images look like those of another.

    Args:
        real_images: `(n, height, width[, channels])`, n >= 100, uint8 or floats in the generator's
            range; `num_real` of them are taken at random.
        features: from uint8 images to features `(n, d)`, or to a pair of them and labels `(n,)`, as
            `evaluation.load_classifier()` does; by default the principal components of the pixels.
        class_names: of the labels, in order.
        action: `"warn"`; `"stop"` also ends training; `"restore"` puts the model back to its last
            state without any issue and goes on with other latents, and stops where there is none.
        check_freq: epochs from one evaluation to the next.
        patience: evaluations in a row that have to agree.
        warmup_steps: Number of train steps before which nothing is reported, since every generator
            draws alike at first. The numbers are logged all the same. Defaults to 1,000.
        window: epochs over which the losses are judged.
        num_samples: samples in an evaluation; the thresholds were fitted for 1,000.
        num_real: real images to compare with.
        seed: of the latents, the choice of real images and the clusters.
        max_restores: of `"restore"`, after which it stops.
        thresholds: by default `metrics.LABELED` or `metrics.UNLABELED`.
        state_path: JSON file for what the monitor remembers, without which a resumed run begins to
            watch anew. Beside it, as `.npz`, lies the state that `"restore"` goes back to.

    Attributes:
        signals: the numbers of the last evaluation.
        issues: what was wrong at the last evaluation, of all that was spoken of.
        warned: all that was spoken of, each with the number of finished epochs.

    Raises:
        TypeError: when training begins, if the model has no `sample` or `value_range`.
        ValueError: for an argument out of range; when training begins, for labels without class
            names or the reverse, and for real images that are too few or out of range.
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
        warmup_steps: int = 1_000,
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
        self.warmup_steps = warmup_steps
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
        """Measure the real images; which epoch comes first is not known yet."""
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

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember what was known before the first epoch of this run."""
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
        """Look, speak and act, if it is time; remember."""
        logs = {} if logs is None else logs
        self._state.record(logs, self.window)
        if (epoch + 1) % self.check_freq == 0:
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
        thresholds = self.thresholds or (UNLABELED if self.class_names is None else LABELED)
        has_begun = getattr(self.model, "steps", self.warmup_steps) >= self.warmup_steps
        found = diagnose(self.signals, thresholds) if has_begun else ()
        news = self._state.new_issues(found, self.patience)
        self.issues = self._state.active(found)
        for name, value in self._numbers(found).items():
            logs.setdefault(name, value)
        for issue in news:
            self.warned.append((epochs, issue))
            warnings.warn(f"After {epochs} epochs: {issue}", stacklevel=2)
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
        return self._reference.signals(samples, *self._measure(samples))  # type: ignore[union-attr]

    def _measure(self, images: np.ndarray) -> tuple[Any, Any]:
        output = None if self._features is None else self._features(images)
        return output if isinstance(output, tuple) else (output, None)

    def _numbers(self, found: tuple[Issue, ...]) -> dict[str, float]:
        numbers = {"num_issues": float(len(self.issues)), **self.signals.numbers()}
        if self.signals.names:
            lost = [len(issue.classes) for issue in found if issue.kind == "missing"]
            numbers["missing_classes"] = float(sum(lost))
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
        """Go back and on with other latents; stop where that is impossible or was done enough."""
        tries = self._state.restores
        if not self._healthy or tries >= self.max_restores:
            why = f"after {tries} restores" if self._healthy else "no state was without issue"
            warnings.warn(f"Training stops: {why}.", stacklevel=3)
            self.model.stop_training = True
            return
        for variable, value in zip(self._variables(), self._healthy, strict=True):
            variable.assign(value)
        self._state = MonitorState(restores=tries + 1)
        for _ in range(tries + 1):  # each try from one state with latents of its own
            self.model.reseed()
        warnings.warn(
            f"Restored the state after step {self.model.steps}; going on with other latents (try "
            f"{tries + 1} of {self.max_restores}).",
            stacklevel=3,
        )

    @property
    def _healthy_file(self) -> Path | None:
        return None if self.state_path is None else self.state_path.with_suffix(".npz")


def _read_states(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the states by epoch that a file holds, or none, with a warning, if it is damaged."""
    try:
        states = read_json(path)
        for epoch, state in states.items():
            int(epoch)
            MonitorState.from_dict(state)
        return dict(states)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(
            f"Expected {path} to hold the state of the monitor. Received: {error}. It watches as "
            "if training had just begun.",
            stacklevel=2,
        )
        return {}
