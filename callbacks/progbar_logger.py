"""Keras' progress bar, with the numbers that fit on a line."""

from collections.abc import Sequence
from typing import Any

import keras

__all__ = ["ProgbarLogger"]


class ProgbarLogger(keras.callbacks.ProgbarLogger):
    """Shows some of the logged numbers while training; Keras' own, which it replaces, shows all.

    Put it after callbacks that add numbers to the logs, such as `EvaluateGAN`.

    Args:
        metrics: Names of the numbers to show. Those that are not logged are left out.
    """

    def __init__(
        self,
        metrics: Sequence[str] = (
            "d_loss",
            "g_loss",
            "d_accuracy_real",
            "d_accuracy_fake",
            "frechet_distance",
            "missing_classes",
        ),
    ) -> None:
        super().__init__()
        self.metrics = tuple(metrics)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the numbers so far, and no more steps than the epoch has.

        Keras counts the last call of the compiled graph as a whole one, though fewer than
        `steps_per_execution` batches may be left for it.
        """
        last = batch if self.target is None else min(batch, self.target - 1)
        super().on_train_batch_end(last, self._chosen(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's numbers, and end the line."""
        super().on_epoch_end(epoch, self._chosen(logs))

    def _chosen(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        return {name: logs[name] for name in self.metrics if name in logs} if logs else {}
