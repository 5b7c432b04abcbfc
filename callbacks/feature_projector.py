"""Provides a callback that writes images and their features for TensorBoard's projector."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.images import composite, tile, to_uint8, with_channels, write_png
from fashion_gan.training.distribute import is_chief

__all__ = ["FeatureProjector"]

_CONFIG = """embeddings {
  tensor_name: "features"
  tensor_path: "features.tsv"
  metadata_path: "labels.tsv"
  sprite {
    image_path: "images.png"
    single_image_dim: %d
    single_image_dim: %d
  }
}
"""


class FeatureProjector(keras.callbacks.Callback):
    """Writes features and thumbnails of real and generated images when training ends.

    TensorBoard shows them as points under *Projector*. Color the points by `set` or by `class`. A
    cluster without generated images is a missing class. `write(model)` writes the same files for
    any GAN. Thumbnails of RGBA images have a white background.

    Args:
        log_dir: Folder of the run. The files are written to `log_dir/projector`.
        real_images: uint8 images `(n, height, width[, channels])`. The first `count` are shown.
        features: Function that maps uint8 images to features `(n, d)`, or to a pair of features and
            labels `(n,)`.
        class_names: Names of the classes, in the order of their labels. Defaults to None.
        count: Number of real images, and of generated images. At most 2,000, since browsers become
            slow with more. Defaults to 500.
        seed: Seed of the latents. Defaults to 0.

    Raises:
        ValueError: If `count` is out of range, or above the number of real images.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        real_images: np.ndarray,
        features: Any,
        class_names: Sequence[str] | None = None,
        *,
        count: int = 500,
        seed: int = 0,
    ) -> None:
        super().__init__()
        real = with_channels(real_images)
        if not 1 <= count <= min(2000, len(real)):
            raise ValueError(
                "Expected a count from 1 to 2000, and at least as many real images. Received: "
                f"count={count}, "
                f"{len(real)} real images."
            )
        self.folder = Path(log_dir) / "projector"
        self.real = real[:count].copy()
        self.features = features
        self.class_names = class_names
        self.seed = seed

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Writes the files, on the chief worker."""
        if is_chief(self.model.distribute_strategy):
            self.write(self.model)

    def write(self, model: Any) -> None:
        """Samples a GAN and writes `projector_config.pbtxt` and the files that it references.

        Args:
            model: GAN to sample.
        """
        count, height, width, _ = self.real.shape
        samples = to_uint8(model.sample(count, seed=self.seed), model.value_range)
        images = np.concatenate([self.real, with_channels(samples)])
        output = self.features(images)
        features, labels = output if isinstance(output, tuple) else (output, None)
        columns = {"set": ["real"] * count + ["generated"] * count}
        if labels is not None and self.class_names is not None:
            columns["class"] = [self.class_names[label] for label in labels]
        self.folder.mkdir(parents=True, exist_ok=True)
        if not any(self.folder.glob("events.out.tfevents.*")):
            # TensorBoard looks for projectors only in folders with events.
            tf.summary.create_file_writer(str(self.folder)).close()
        np.savetxt(self.folder / "features.tsv", features, fmt="%.5g", delimiter="\t")
        # The projector expects no heading above a single column.
        heading = ["\t".join(columns)] if len(columns) > 1 else []
        rows = ["\t".join(row) for row in zip(*columns.values(), strict=True)]
        (self.folder / "labels.tsv").write_text("\n".join([*heading, *rows]) + "\n")
        # The projector splits the image into a square of thumbnails, row by row.
        side = int(np.ceil(np.sqrt(len(images))))
        blank = np.zeros((side * side - len(images), *images.shape[1:]), np.uint8)
        sprite = tile(np.concatenate([images, blank]), side, margin=0)
        write_png(self.folder / "images.png", composite(sprite))
        (self.folder / "projector_config.pbtxt").write_text(_CONFIG % (width, height))
