"""Provides a callback that writes the logs of each epoch as one line of JSON."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import keras

from fashion_gan.files import read_bytes, write_bytes
from fashion_gan.training.distribute import is_chief

__all__ = ["JSONLogger"]


class JSONLogger(keras.callbacks.Callback):
    """Appends `{"epoch": 1, "steps": …, "d_loss": …, …}` to a file after each epoch.

    `epoch` is the number of finished epochs, and `steps` is the number of train steps. Numbers that
    are not finite become `null`. A resumed run first drops the lines of epochs that it repeats, so
    no epoch has two lines. A damaged line causes a warning. A line that holds only the number of
    its epoch replaces it. With several workers, the chief writes.

    Args:
        filename: File to write.
    """

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        super().__init__()
        self.filename = Path(filename)
        self._begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Resets the state of an earlier `fit()`."""
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Drops the lines of the epochs that this `fit()` runs, before the first epoch."""
        if not self._begun and is_chief(self.model.distribute_strategy):
            write_bytes(self.filename, "".join(self._kept_lines(epoch)).encode())
            self._begun = True

    def _kept_lines(self, epochs: int) -> list[str]:
        """Returns the lines of finished epochs, and replaces damaged lines by their number."""
        if not self.filename.exists():
            return []
        content = read_bytes(self.filename)
        lines = content.decode(errors="replace").split("\n")[:epochs] if epochs else []
        lines += [""] * (epochs - len(lines))
        damaged = [number for number, line in enumerate(lines, 1) if not _is_of_epoch(line, number)]
        if damaged:
            warnings.warn(
                f"Expected a line for each finished epoch in {self.filename}. Received: a damaged "
                f"or missing one of epoch {', '.join(map(str, damaged))}. Its numbers are lost.",
                stacklevel=2,
            )
        for number in damaged:
            lines[number - 1] = json.dumps({"epoch": number})
        return [f"{line}\n" for line in lines]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Appends a line with the logs of the epoch."""
        if not is_chief(self.model.distribute_strategy):
            return
        numbers = {name: _finite(value) for name, value in (logs or {}).items()}
        line = {"epoch": epoch + 1, "steps": self.model.steps, **numbers}
        with self.filename.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if abs(number) < float("inf") else None


def _is_of_epoch(line: str, number: int) -> bool:
    try:
        return bool(json.loads(line)["epoch"] == number)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
