"""Real and generated images as points in feature space, for TensorBoard's projector."""

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
    """Writes features and thumbnails when training ends; missing classes are empty islands.

    TensorBoard shows them under *Projector*; color the points by `set` or by `class`. The
    same files are written for a model at hand by `write(model)`. Thumbnails of RGBA images lie on
    white.

    Args:
        log_dir: folder of the run; the files go to `log_dir/projector`.
        real_images: uint8 `(n, height, width[, channels])`, of which the first `count` are shown.
        features: from uint8 images to features `(n, d)`, or to a pair of those and labels `(n,)`.
        class_names: of the labels, if there are any.
        count: real images, and as many generated ones; at most 2,000, which browsers still move.
        seed: of the latents.

    Raises:
        ValueError: for a `count` out of range, or above the number of real images.
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
                f"Expected count in 1..2000 and as many real images. Received: count={count}, "
                f"{len(real)} real images."
            )
        self.folder = Path(log_dir) / "projector"
        self.real = real[:count].copy()
        self.features = features
        self.class_names = class_names
        self.seed = seed

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write the files, on the chief worker."""
        if is_chief(self.model.distribute_strategy):
            self.write(self.model)

    def write(self, model: Any) -> None:
        """Sample a GAN, and write `projector_config.pbtxt` and what it names."""
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
        # A single column goes without a heading, says the projector.
        heading = ["\t".join(columns)] if len(columns) > 1 else []
        rows = ["\t".join(row) for row in zip(*columns.values(), strict=True)]
        (self.folder / "labels.tsv").write_text("\n".join([*heading, *rows]) + "\n")
        # The projector cuts the picture into a square of thumbnails, row by row.
        side = int(np.ceil(np.sqrt(len(images))))
        blank = np.zeros((side * side - len(images), *images.shape[1:]), np.uint8)
        sprite = tile(np.concatenate([images, blank]), side, margin=0)
        write_png(self.folder / "images.png", composite(sprite))
        (self.folder / "projector_config.pbtxt").write_text(_CONFIG % (width, height))
