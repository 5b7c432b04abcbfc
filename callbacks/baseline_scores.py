"""Provides a callback that draws the scores of known images in the charts of TensorBoard."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.training.distribute import is_chief

from .evaluate_gan import has_scores, numbers, slug

__all__ = ["BaselineScores"]


class BaselineScores(keras.callbacks.Callback):
    """Draws the scores of images of known quality as horizontal lines in TensorBoard.

    The lines lie in the charts of the scores that `EvaluateGAN` logs, as runs of their own below
    `baselines`. A good generator lies between training images and their blurred copies. The score
    that the evaluator names as `watched_score` is also printed when training ends.

    Args:
        log_dir: Folder of the run. The events are written to `log_dir/baselines`.
        evaluator: Function from uint8 images to a dictionary of scores, such as the
            `evaluation.Evaluator` of `EvaluateGAN`.
        images: uint8 images `(n, height, width, channels)` by the name of the baseline, such as
            those of `evaluation.baselines`.
        eval_freq: Number of epochs between two evaluations of `EvaluateGAN`. Defaults to 1.

    Raises:
        ValueError: If `eval_freq` is not positive.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        evaluator: Callable[[np.ndarray], Mapping[str, Any]],
        images: Mapping[str, np.ndarray],
        eval_freq: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(eval_freq, int) or eval_freq < 1:
            raise ValueError(
                f"Expected an integer of at least 1. Received: eval_freq={eval_freq!r}."
            )
        self.log_dir = Path(log_dir) / "baselines"
        self.evaluator = evaluator
        self.images = dict(images)
        self.eval_freq = eval_freq
        self.scores: dict[str, dict[str, float]] = {}
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the scores at the step of the epoch, and computes them the first time."""
        scored = has_scores(epoch, self.eval_freq, self.params)
        if not scored or not is_chief(self.model.distribute_strategy):
            return
        for name, images in self.images.items():
            if name not in self.scores:
                scores = self.evaluator(images).items()
                self.scores[name] = {
                    # The shares of the classes would fill a chart with lines.
                    key: number
                    for score, value in scores
                    if not isinstance(value, dict)
                    for key, number in numbers(score, value)
                }
            if name not in self._writers:
                self._writers[name] = tf.summary.create_file_writer(str(self.log_dir / slug(name)))
            with self._writers[name].as_default(step=epoch + 1), tf.summary.record_if(True):
                for score, value in self.scores[name].items():
                    tf.summary.scalar(f"epoch_{score}", value)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Prints the watched score of each baseline, and closes the event files."""
        watched = getattr(self.evaluator, "watched_score", None)
        known = [
            f"{of[watched]:.3g} for {name}" for name, of in self.scores.items() if watched in of
        ]
        if known and self.params.get("verbose"):
            count = max(map(len, self.images.values()))  # some scores depend on it
            print(f"Of {count:,} known images: {watched} {', '.join(known)}.", flush=True)
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
