"""Provides a progress bar that shows some of the logs and estimates the remaining time."""

import time
from collections.abc import Sequence
from typing import Any

import keras

__all__ = ["ProgbarLogger"]

_SECONDS = 5.0  # seconds of training before the remaining time is estimated


class ProgbarLogger(keras.callbacks.ProgbarLogger):
    """Shows selected logs in a progress bar, in place of Keras' bar, which shows all.

    A few seconds after the first steps, it prints an estimate of the remaining time once. The first
    steps do not count, since they include compilation.

    Put this callback after callbacks that add numbers to the logs, such as `EvaluateGAN`.

    Args:
        metrics: Names of the logs to show. Names that are not logged are omitted. Defaults to the
            losses, accuracies, distances and missing classes.
    """

    def __init__(
        self,
        metrics: Sequence[str] = (
            "d_loss",
            "g_loss",
            "d_accuracy_real",
            "d_accuracy_fake",
            "frechet_distance",
            "kernel_distance",
            "missing_classes",
        ),
    ) -> None:
        super().__init__()
        self.metrics = tuple(metrics)
        self._epoch = 0
        self._calls = 0
        self._since = (0.0, 0)
        self._estimated = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Resets the state of an earlier training."""
        super().on_train_begin(logs)
        self._calls, self._estimated = 0, False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the progress bar of the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Updates the bar, with at most as many steps as the epoch has.

        Keras counts the last call of the compiled graph as `steps_per_execution` steps, although
        fewer batches may be left.
        """
        last = batch if self.target is None else min(batch, self.target - 1)
        super().on_train_batch_end(last, self._chosen(logs))
        skipping = getattr(self.model, "is_skipping", False)
        if self.verbose and self.target is not None and not self._estimated and not skipping:
            self._estimate(self._epoch * self.target + last + 1, self.epochs * self.target)

    def _estimate(self, done: int, total: int) -> None:
        """Prints the estimated time for the remaining steps, after `_SECONDS` of training."""
        self._calls += 1
        now = time.monotonic()
        if self._calls <= 2:  # the first call compiles, or the second in a resumed run
            self._since = now, done
        elif now - self._since[0] >= _SECONDS and done < total:
            seconds = (total - done) * (now - self._since[0]) / (done - self._since[1])
            print(f"\nabout {_describe(seconds)} left for {total - done:,} steps", flush=True)
            self._estimated = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows the logs of the epoch and ends the line."""
        super().on_epoch_end(epoch, self._chosen(logs))

    def _chosen(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        return {name: logs[name] for name in self.metrics if name in logs} if logs else {}


def _describe(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
