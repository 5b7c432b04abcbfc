"""A guard against NaN: names what went bad, goes back, and gives up in time."""

import warnings
from typing import Any, NoReturn

import keras
import numpy as np

__all__ = ["RestoreOnNaN"]


class RestoreOnNaN(keras.callbacks.Callback):
    """Restores the last good state when a loss or a weight is NaN or infinite.

    After each execution the losses are checked, and every `check_freq` executions the weights; if
    all are finite, the state is kept as good. If not, a warning names the losses and the first
    weight of each network that are not finite and the steps between which it happened, and training
    goes on from the good state with other latents: with the same ones it would end in the same
    place.
    Learning rates and all other settings stay as they are. The good state is a copy in memory, of
    weights, optimizer slots and random states.

    It also gives up at the end of an epoch of which no step is left, since that epoch cannot be
    made again and its means are of nothing. Fewer `steps_per_execution` than an epoch has steps
    leave it something to go back to.

    Put it first in the list of callbacks: the others then see neither such an epoch nor a state
    that is not finite.

    Keras' `TerminateOnNaN` only reads `logs["loss"]`, which a GAN does not have.

    Args:
        max_restores: Number of restores before it gives up. Defaults to 3; 0 gives up at once.
        check_freq: Number of executions between two good states, each of which costs a copy.
            Defaults to 10.

    Raises:
        FloatingPointError: from `fit()`, when it gives up. The model is in its last good state.
        ValueError: for an argument out of range.
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
        self._begun_at: int | None = None  # the steps before this epoch, if it begins with none
        self._undone = ""  # what was last undone in this epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin to count."""
        self.restores = self._executions = 0
        self._good = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the state; by now a backup has been restored, and the metrics are reset."""
        if bad := self._bad_weights():
            raise FloatingPointError(
                f"Not finite: {' and '.join(bad)}, before training begins. Load other weights, or "
                "build the networks anew."
            )
        self._keep()
        resumed = any(variable.numpy().any() for variable in self.model.metrics_variables)
        self._begun_at = None if resumed else self.model.steps
        self._undone = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give up, if all steps of the epoch had to be undone."""
        if self._undone and self.model.steps == self._begun_at:
            self._give_up(f"{self._undone}; no step is left of epoch {epoch + 1}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the losses, and sometimes at the weights."""
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
            f"Not finite: {self._undone}. Restored the state after step {self._good_steps}; going "
            f"on with other latents (try {self.restores} of {self.max_restores}).",
            stacklevel=2,
        )

    def _give_up(self, why: str) -> NoReturn:
        raise FloatingPointError(
            f"Not finite: {why}. The model is as it was after step {self._good_steps}. Lower the "
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
        """The first weight of each network that is not finite."""
        bad = []
        for network in (self.model.discriminator, self.model.generator):
            for weight in network.weights:
                if not np.isfinite(weight.numpy()).all():
                    bad.append(weight.path)
                    break
        return bad
