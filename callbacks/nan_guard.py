"""A guard against NaN: names what went bad, goes back, and gives up in time."""

import warnings
from typing import Any

import keras
import numpy as np

__all__ = ["NaNGuard"]


class NaNGuard(keras.callbacks.Callback):
    """Restores the last good state when a loss or a weight is NaN or infinite.

    After each execution the losses are looked at, and every `every` executions the weights; if all
    are finite, the state is kept as good. If not, a warning names the losses and the first weight
    of each network that are not finite and the steps between which it happened, and training goes
    on from the good state with other latents: with the same ones it would end in the same place.
    Learning rates and all other settings stay as they are. The good state is a copy in memory, of
    weights, optimiser slots and random states.

    Keras' `TerminateOnNaN` only reads `logs["loss"]`, which a GAN does not have.

    Args:
        tries: restorations before it gives up; 0 gives up at once.
        every: executions from one good state to the next, each of which costs a copy.

    Raises:
        FloatingPointError: from `fit()`, when it gives up. The model is in its last good state.
        ValueError: for an argument out of range.
    """

    def __init__(self, tries: int = 3, every: int = 10) -> None:
        super().__init__()
        for name, value, least in (("tries", tries, 0), ("every", every, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"Expected an integer of at least {least}. Received: {name}={value!r}."
                )
        self.tries = tries
        self.every = every
        self.restorations = 0
        self._executions = 0
        self._good: list[np.ndarray] = []
        self._good_steps = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin to count."""
        self.restorations = self._executions = 0
        self._good = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the state; by now a backup has been restored, and the metrics are reset."""
        if bad := self._bad_weights():
            raise FloatingPointError(
                f"Not finite: {' and '.join(bad)}, before training begins. Load other weights, or "
                "build the networks anew."
            )
        self._keep()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the losses, and sometimes at the weights."""
        self._executions += 1
        logs = logs or {}
        bad_losses = [name for name in ("d_loss", "g_loss") if not np.isfinite(logs.get(name, 0))]
        due = self._executions % self.every == 0
        bad_weights = self._bad_weights() if bad_losses or due else []
        if bad_losses or bad_weights:
            self._go_back(" and ".join(bad_losses + bad_weights))
        elif due:
            self._keep()

    def _go_back(self, what: str) -> None:
        where = f"between steps {self._good_steps} and {self.model.steps}"
        for variable, value in zip(self._variables(), self._good, strict=True):
            variable.assign(value)
        if self.restorations >= self.tries:
            raise FloatingPointError(
                f"Not finite: {what}, {where}; gave up after {self.restorations} restorations. The "
                f"model is as it was after step {self._good_steps}. Lower the learning rates of "
                "g_optimizer and d_optimizer, give them a clipnorm, or train in float32."
            )
        self.restorations += 1
        self.model.reseed()
        warnings.warn(
            f"Not finite: {what}, {where}. Restored the state after step {self._good_steps}; "
            f"going on with other latents (try {self.restorations} of {self.tries}).",
            stacklevel=2,
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
