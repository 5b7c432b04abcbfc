"""Provides a callback that writes grids of interpolations between latents."""

import os
from typing import Any

import numpy as np

from fashion_gan.latents import interpolate

from .image_grid import ImageGrid

__all__ = ["LatentInterpolation"]


class LatentInterpolation(ImageGrid):
    """Writes interpolations between latents before training and after every `image_freq`-th epoch.

    TensorBoard shows the grids under *Images* as `samples/interpolation`, in the run `images`. Each
    row follows an arc of `latents.interpolate`, always between the same two latents. For
    conditional networks, each row shows one class.

    Args:
        log_dir: Folder of the run. The events are written to `log_dir/images`.
        rows: Number of arcs. Defaults to 6.
        steps: Number of samples on an arc, including both ends. Defaults to 10.
        image_freq: Number of epochs between two grids. Defaults to 1.
        seed: Seed of the latents. Defaults to 0.
        invert: Whether to show gray images dark on white. Defaults to False.
        png_dir: Folder for the grids as `epoch_0000.png`, …. It must differ from the folder of an
            `ImageGrid`. Defaults to None, which writes no PNG files.

    Raises:
        TypeError: When training begins, if the model has no `sample` or `value_range`.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        rows: int = 6,
        steps: int = 10,
        image_freq: int = 1,
        seed: int = 0,
        invert: bool = False,
        png_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(rows, int) or rows < 1 or not isinstance(steps, int) or steps < 2:
            raise ValueError(
                f"Expected rows >= 1 and steps >= 2. Received: rows={rows!r}, steps={steps!r}."
            )
        super().__init__(
            log_dir,
            num_images=rows * steps,
            columns=steps,
            image_freq=image_freq,
            seed=seed,
            invert=invert,
            png_dir=png_dir,
        )
        self.rows, self.steps = rows, steps

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the event file, on the chief worker."""
        super().on_train_begin(logs)
        self.columns = self.steps  # ImageGrid uses the number of classes

    def _samples(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        start, end = rng.standard_normal((2, self.rows, self.model.latent_dim))
        latents = interpolate(start, end, self.steps).reshape(self.rows * self.steps, -1)
        labels = None
        if classes := getattr(self.model, "num_classes", None):
            labels = np.repeat(np.arange(self.rows) % classes, self.steps)
        return {"samples/interpolation": self.model.sample(latents=latents, labels=labels)}
