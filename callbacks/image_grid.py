"""Provides a callback that writes grids of samples for TensorBoard and as PNG files."""

import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.images import tile, to_uint8, with_channels, write_png
from fashion_gan.training.distribute import is_chief
from fashion_gan.typing import Images

__all__ = ["ImageGrid"]

_DESCRIPTIONS = {
    "samples/fixed_latents": (
        "The same latents at each step, so that each tile shows how one image develops. "
        "**Healthy:** noise turns into clear images within a few epochs, and these change less "
        "and less. **Unhealthy:** all tiles look alike (mode collapse), whole tiles change into "
        "something else at each epoch (training oscillates), or the noise stays."
    ),
    "samples/fresh_latents": (
        "New latents at each step, as in `sample()`. "
        "**Healthy:** as varied as `real`, and as good as `samples/fixed_latents`. "
        "**Unhealthy:** the same few images repeat within a grid or from grid to grid."
    ),
    "samples/interpolation": (
        "Each row interpolates from one latent to another in equal angles. **Healthy:** one image "
        "turns into the other by small changes, through realistic images. **Unhealthy:** rows "
        "stay constant (mode collapse), or jump from image to image (memorized images)."
    ),
    "real": "Images of the data, for comparison of quality and variety.",
}


class ImageGrid(keras.callbacks.Callback):
    """Writes grids of samples before training and after every `image_freq`-th epoch.

    TensorBoard shows the grids under *Images*, in the run `images`: `samples/fixed_latents`,
    `samples/fresh_latents` and, once, `real`. The step is the number of finished epochs, also in a
    resumed run. TensorBoard keeps 10 steps of each grid, spread over the run, unless it is started
    with `--samples_per_plugin images=1000`.

    For conditional networks, each column of samples shows one class. The real images keep their
    order.

    Sampling does not affect training: the final weights are the same with and without this
    callback. If samples hold NaN or infinity, a warning replaces the grids.

    Args:
        log_dir: Folder of the run. The events are written to `log_dir/images`.
        num_images: Number of images in a grid. For conditional networks, it is rounded down to
            whole rows, at least one. Defaults to 32.
        columns: Largest number of images in a row. For conditional networks, the number of classes
            replaces it. Defaults to 8.
        image_freq: Number of epochs between two pairs of grids. Defaults to 1.
        seed: Seed of the latents. Fixed latents use `seed`, fresh latents `seed + 1 + step`.
            Defaults to 0.
        invert: Whether to show gray images dark on white. Defaults to False.
        real_images: Real images `(n, height, width[, channels])`, uint8 or floats in the
            generator's range. The first `num_images` are shown. Defaults to None.
        png_dir: Folder for the grids of fixed latents as `epoch_0000.png`, …, and for `real.png`.
            Images are enlarged to at least 28 pixels a side. Defaults to None, which writes no PNG
            files.

    Raises:
        TypeError: When training begins, if the model has no `sample` or `value_range`.
        ValueError: If an argument is out of range. When training begins, if `real_images` are out
            of the generator's range.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        num_images: int = 32,
        columns: int = 8,
        image_freq: int = 1,
        seed: int = 0,
        invert: bool = False,
        real_images: Images | None = None,
        png_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("num_images", num_images, 1),
            ("columns", columns, 1),
            ("image_freq", image_freq, 1),
            ("seed", seed, 0),
        ):
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"Expected an integer of at least {least}. Received: {name}={value!r}."
                )
        self.log_dir = os.path.join(log_dir, "images")
        self.num_images = num_images
        self.columns = columns
        self.image_freq = image_freq
        self.seed = seed
        self.invert = invert
        self.png_dir = None if png_dir is None else Path(png_dir)
        if real_images is not None and hasattr(real_images, "shape"):
            real_images = real_images[:num_images]  # an `ImageView` then reads no other images
        self._real = None if real_images is None else with_channels(real_images)[:num_images].copy()
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the event file, on the chief worker."""
        if not hasattr(self.model, "sample") or not hasattr(self.model, "value_range"):
            raise TypeError(
                "ImageGrid needs a model with `sample(count, seed=...)` and `value_range`, such as "
                f"a GAN. Received: model={type(self.model).__name__}."
            )
        if classes := getattr(self.model, "num_classes", None):
            self.num_images, self.columns = max(self.num_images // classes, 1) * classes, classes
        if is_chief(self.model.distribute_strategy):
            self._writer = tf.summary.create_file_writer(self.log_dir)
            if self.png_dir is not None:
                self.png_dir.mkdir(parents=True, exist_ok=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the real images and the first samples, unless training is resumed."""
        if epoch == 0 and self._writer is not None:
            if self._real is not None:
                self._check_range(self._real)
                self._write("real", self._real, step=0, png="real.png")
            self._write_samples(step=0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the two grids of samples every `image_freq` epochs."""
        if (epoch + 1) % self.image_freq == 0 and self._writer is not None:
            self._write_samples(step=epoch + 1)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _samples(self, step: int) -> dict[str, np.ndarray]:
        """Returns the images of each grid after `step` epochs, by the name of the grid."""
        return {
            "samples/fixed_latents": self.model.sample(self.num_images, seed=self.seed),
            "samples/fresh_latents": self.model.sample(self.num_images, seed=self.seed + 1 + step),
        }

    def _write_samples(self, step: int) -> None:
        grids = self._samples(step)
        every = np.concatenate(list(grids.values()))
        broken = sum(not np.isfinite(image).all() for image in every)
        if broken:
            name = type(self).__name__
            warnings.warn(
                f"After {step} epochs {broken} of {len(every)} samples hold NaN or infinity: "
                f"training has diverged. {name} writes no grid. Stop the run, and resume from an "
                "earlier checkpoint with lower learning rates.",
                stacklevel=2,
            )
            return
        pngs = [f"epoch_{step:04d}.png"]
        for name, images in grids.items():
            self._write(name, images, step, png=pngs.pop() if pngs else None)

    def _write(self, name: str, images: np.ndarray, step: int, png: str | None = None) -> None:
        images = to_uint8(images, self.model.value_range)
        grid = tile(images, self.columns, invert=self.invert)
        # Another callback may have paused recording. TensorBoard(update_freq=100) records only
        # every hundredth batch. Leaving the writer's context flushes it.
        with self._writer.as_default(), tf.summary.record_if(True):
            tf.summary.image(name, grid[np.newaxis], step, description=_DESCRIPTIONS[name])
        if png is not None and self.png_dir is not None:
            enlarged = tile(images, self.columns, invert=self.invert, scale=None)
            write_png(self.png_dir / png, enlarged)

    def _check_range(self, real: np.ndarray) -> None:
        low, high = self.model.value_range
        slack = 1e-3 * (high - low)
        if real.dtype != np.uint8 and (real.min() < low - slack or real.max() > high + slack):
            raise ValueError(
                f"Expected real_images as uint8, or as floats in the generator's range [{low:g}, "
                f"{high:g}]. Received: {real.dtype} in [{real.min():g}, {real.max():g}]."
            )
