"""Provides a callback that writes snapshots of the generator's power-function averages."""

import io
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan.files import write_bytes
from fashion_gan.training.distribute import is_chief

__all__ = ["PowerAverageSnapshots"]


class PowerAverageSnapshots(keras.callbacks.Callback):
    """Writes the power-function averages of the generator after epochs.

    The GAN must be compiled with `post_hoc_ema=True`. `runs.average` combines the snapshots to an
    average of another width. Each snapshot is a file such as `step_00003000.npz`, with the arrays
    `step`, `widths`, and `0.0`, `0.1` and so on: weight 0 of the first width, then weight 1. A
    resumed training writes equal files again. With several workers, the chief writes.

    Args:
        folder: Folder of the snapshots. It is created if it does not exist.
        save_freq: Number of epochs between two snapshots. Defaults to 1.

    Raises:
        OSError: If a file cannot be written.
        ValueError: If `save_freq` is below 1. When training begins, if the GAN was compiled without
            `post_hoc_ema`.

    References:
        Karras et al. 2024, https://arxiv.org/abs/2312.02696, section 3.
    """

    def __init__(self, folder: str | os.PathLike[str], save_freq: int = 1) -> None:
        super().__init__()
        if not isinstance(save_freq, int | np.integer) or save_freq < 1:
            raise ValueError(
                f"Expected an integer of at least 1. Received: save_freq={save_freq!r}."
            )
        self.folder = Path(folder)
        self.save_freq = save_freq

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that the GAN keeps averages."""
        if getattr(self.model, "power_averages", None) is None:
            raise ValueError(
                "Expected a GAN with post_hoc_ema=True. Received: one without. Call "
                "compile(post_hoc_ema=True, ...)."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a snapshot every `save_freq` epochs."""
        if (epoch + 1) % self.save_freq or not is_chief(self.model.distribute_strategy):
            return
        kept = self.model.power_averages
        arrays = {
            f"{group}.{index}": average.numpy()
            for group, averages in enumerate(kept.averages())
            for index, average in enumerate(averages)
        }
        name = f"step_{self.model.steps:08d}.npz"
        for path in self.folder.glob("step_*.npz"):
            if path.name > name:  # of steps before another callback restored an earlier state
                path.unlink()
        file = io.BytesIO()
        np.savez(file, step=self.model.steps, widths=kept.widths, **arrays)
        write_bytes(self.folder / name, file.getvalue())
