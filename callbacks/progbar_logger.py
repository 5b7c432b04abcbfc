"""Keras' progress bar, with the numbers that fit on a line, and the time that training takes."""

import time
from collections.abc import Sequence
from typing import Any

import keras

__all__ = ["ProgbarLogger"]

_SECONDS = 5.0  # of training after which the rest of it is estimated


class ProgbarLogger(keras.callbacks.ProgbarLogger):
    """Shows some of the logged numbers while training; Keras' own, which it replaces, shows all.

    Some seconds after the first steps, which are compiled, it prints once how long the rest takes.

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
        """Forget an earlier training."""
        super().on_train_begin(logs)
        self._calls, self._estimated = 0, False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin a line."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the numbers so far, and no more steps than the epoch has.

        Keras counts the last call of the compiled graph as a whole one, though fewer than
        `steps_per_execution` batches may be left for it.
        """
        last = batch if self.target is None else min(batch, self.target - 1)
        super().on_train_batch_end(last, self._chosen(logs))
        skipping = getattr(self.model, "is_skipping", False)
        if self.verbose and self.target is not None and not self._estimated and not skipping:
            self._estimate(self._epoch * self.target + last + 1, self.epochs * self.target)

    def _estimate(self, done: int, total: int) -> None:
        """Prints the time for the steps that are left, once the steps done have taken seconds."""
        self._calls += 1
        now = time.monotonic()
        if self._calls <= 2:  # the first call compiles; after a resumption, the second does
            self._since = now, done
        elif now - self._since[0] >= _SECONDS and done < total:
            seconds = (total - done) * (now - self._since[0]) / (done - self._since[1])
            print(f"\nabout {_describe(seconds)} for the next {total - done:,} steps", flush=True)
            self._estimated = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's numbers, and end the line."""
        super().on_epoch_end(epoch, self._chosen(logs))

    def _chosen(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        return {name: logs[name] for name in self.metrics if name in logs} if logs else {}


def _describe(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
