"""The logged numbers of each epoch as one line of JSON."""

import json
import os
from pathlib import Path
from typing import Any

import keras

from fashion_gan.files import atomic_write
from fashion_gan.training.distribute import is_chief

__all__ = ["JSONLogger"]


class JSONLogger(keras.callbacks.Callback):
    """Appends `{"epoch": 1, "steps": …, "d_loss": …, …}` to a file after each epoch.

    `epoch` is the number of finished epochs, `steps` that of train steps. Numbers that are not
    finite become `null`. When a run is resumed, lines of epochs that will be done again, and a
    line that was cut off, are dropped first: no epoch has two lines. Of several workers, the chief
    writes.

    Args:
        filename: File to write.
    """

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        super().__init__()
        self.filename = Path(filename)
        self._begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget what an earlier `fit()` did."""
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the lines of the epochs before the first one of this run."""
        if not self._begun and is_chief(self.model.distribute_strategy):
            lines = self.filename.read_text().splitlines()[:epoch] if self.filename.exists() else []
            with atomic_write(self.filename) as partial:
                partial.write_text("".join(line + "\n" for line in lines))
            self._begun = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append a line."""
        if not is_chief(self.model.distribute_strategy):
            return
        numbers = {name: _finite(value) for name, value in (logs or {}).items()}
        line = {"epoch": epoch + 1, "steps": self.model.steps, **numbers}
        with self.filename.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if abs(number) < float("inf") else None
