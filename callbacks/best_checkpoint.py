"""Provides a callback that saves the GAN with the best score."""

import math
import os
from pathlib import Path
from typing import Any

import keras

from fashion_gan.training.distribute import is_chief
from fashion_gan.training.model_file import read_model_info, write_model_file

__all__ = ["BestCheckpoint"]


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the GAN to a `.keras` file whenever a score improves.

    The file is written atomically and contains its own score. A resumed training therefore compares
    with the score of the saved model, whenever it was interrupted.
    `keras.callbacks.ModelCheckpoint` does neither. With several workers, the chief writes.

    Put this callback right after the callback that computes the score, and before any callback that
    changes the weights.

    Args:
        filepath: File to write.
        monitor: Name of the score in the logs. Epochs without it save nothing. Defaults to
            `"frechet_distance"`.
        mode: `"min"` if a lower score is better, or `"max"`. Defaults to `"min"`.
        reference: Identifier of the images that the score is measured against. If an existing file
            has another identifier, the next score overwrites it. Defaults to an empty string.

    Attributes:
        best: Best score so far, or None.

    Raises:
        OSError: If the file cannot be written. An older file is intact.
        ValueError: If `mode` is neither `"min"` nor `"max"`.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "frechet_distance",
        mode: str = "min",
        *,
        reference: str = "",
    ) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"Expected 'min' or 'max'. Received: mode={mode!r}.")
        self.filepath = Path(filepath)
        self.monitor = monitor
        self.mode = mode
        self.reference = reference
        self.best: float | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Reads the score of an existing file."""
        info, expected = read_model_info(self.filepath), self._info(0, math.nan)
        same = all(info.get(name) == expected[name] for name in ("monitor", "mode", "reference"))
        score = info.get("score") if same else None
        self.best = score if isinstance(score, float) and math.isfinite(score) else None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the GAN if its score is the best so far."""
        score = float((logs or {}).get(self.monitor, math.nan))
        if not math.isfinite(score) or not self._improves(score):
            return
        self.best = score
        if is_chief(self.model.distribute_strategy):
            write_model_file(self.filepath, self.model, self._info(epoch + 1, score))

    def _improves(self, score: float) -> bool:
        if self.best is None:
            return True
        return score < self.best if self.mode == "min" else score > self.best

    def _info(self, epoch: int, score: float) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "batch": 0,
            "monitor": self.monitor,
            "mode": self.mode,
            "reference": self.reference,
            "score": score,
        }
