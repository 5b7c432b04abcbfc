"""Provides a callback that restores the last finite state after a NaN."""

import warnings
from typing import Any, NoReturn

import keras
import numpy as np

__all__ = ["RestoreOnNaN"]


class RestoreOnNaN(keras.callbacks.Callback):
    """Restores the last finite state when a loss or a weight is NaN or infinite.

    The losses are checked after each execution, and the weights every `check_freq` executions. If
    all are finite, a copy of the state is stored in memory: weights, optimizer slots and random
    states. If not, a warning names the losses and the first weight of each network that are not
    finite, and the steps between which it happened. Training then continues from the stored state
    with other latents, since the same latents would lead to the same result. Learning rates and all
    other settings stay the same.

    It also raises at the end of an epoch whose steps were all undone. Such an epoch cannot be
    repeated, and its means are empty. To avoid this, choose `steps_per_execution` below the number
    of steps in an epoch.

    Put this callback first in the list. Other callbacks then see neither such an epoch nor a state
    that is not finite.

    Keras' `TerminateOnNaN` only reads `logs["loss"]`, which a GAN does not have.

    Args:
        max_restores: Number of restores before it raises. 0 raises immediately. Defaults to 3.
        check_freq: Number of executions between two stored states, each of which costs a copy.
            Defaults to 10.

    Raises:
        FloatingPointError: From `fit()`, after `max_restores` restores or an epoch without any
            step. The model is in its last finite state.
        ValueError: If an argument is out of range.
    """

    def __init__(self, max_restores: int = 3, check_freq: int = 10) -> None:
        super().__init__()
        for name, value, least in (
            ("max_restores", max_restores, 0),
            ("check_freq", check_freq, 1),
        ):
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"Expected an integer of at least {least}. Received: {name}={value!r}."
                )
        self.max_restores = max_restores
        self.check_freq = check_freq
        self.restores = 0
        self._executions = 0
        self._good: list[np.ndarray] = []
        self._good_steps = 0
        self._begun_at: int | None = None  # steps before this epoch; None if resumed within it
        self._undone = ""  # description of the last restore in this epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Resets the counters and the stored state."""
        self.restores = self._executions = 0
        self._good = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the state, after a backup was restored and the metrics were reset."""
        if bad := self._bad_weights():
            raise FloatingPointError(
                f"Not finite: {' and '.join(bad)}, before training begins. Load other weights, or "
                "build the networks again."
            )
        self._keep()
        resumed = any(variable.numpy().any() for variable in self.model.metrics_variables)
        self._begun_at = None if resumed else self.model.steps
        self._undone = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises if all steps of the epoch were undone."""
        if self._undone and self.model.steps == self._begun_at:
            self._give_up(f"{self._undone}; no step is left of epoch {epoch + 1}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the losses, and the weights every `check_freq` executions."""
        self._executions += 1
        logs = logs or {}
        bad_losses = [name for name in ("d_loss", "g_loss") if not np.isfinite(logs.get(name, 0))]
        due = self._executions % self.check_freq == 0
        bad_weights = self._bad_weights() if bad_losses or due else []
        if bad_losses or bad_weights:
            self._go_back(" and ".join(bad_losses + bad_weights))
        elif due:
            self._keep()

    def _go_back(self, what: str) -> None:
        self._undone = f"{what}, between steps {self._good_steps} and {self.model.steps}"
        for variable, value in zip(self._variables(), self._good, strict=True):
            variable.assign(value)
        if self.restores >= self.max_restores:
            self._give_up(f"{self._undone}; gave up after {self.restores} restores")
        self.restores += 1
        self.model.reseed()
        warnings.warn(
            f"Not finite: {self._undone}. Restored the state after step {self._good_steps}; "
            f"continuing with other latents (try {self.restores} of {self.max_restores}).",
            stacklevel=2,
        )

    def _give_up(self, why: str) -> NoReturn:
        raise FloatingPointError(
            f"Not finite: {why}. The model has the state after step {self._good_steps}. Lower the "
            "learning rates of g_optimizer and d_optimizer, give them a clipnorm, or train in "
            "float32."
        )

    def _keep(self) -> None:
        self._good = [variable.numpy() for variable in self._variables()]
        self._good_steps = self.model.steps

    def _variables(self) -> list[Any]:
        optimizers = [v for o in self.model.optimizer.optimizers for v in o.variables]
        return [*self.model.variables, *optimizers, *self.model.metrics_variables]

    def _bad_weights(self) -> list[str]:
        """Returns the path of the first weight of each network that is not finite."""
        bad = []
        for network in (self.model.discriminator, self.model.generator):
            for weight in network.weights:
                if not np.isfinite(weight.numpy()).all():
                    bad.append(weight.path)
                    break
        return bad
