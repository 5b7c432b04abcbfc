"""Provides the default callbacks of a training, in the required order."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan import files
from fashion_gan.typing import Images

from .backup_and_restore import BackupAndRestore
from .baseline_scores import BaselineScores
from .best_checkpoint import BestCheckpoint
from .evaluate_gan import EvaluateGAN
from .image_grid import ImageGrid
from .json_logger import JSONLogger
from .mode_collapse import ModeCollapseMonitor
from .progbar_logger import ProgbarLogger
from .restore_on_nan import RestoreOnNaN
from .tensorboard import TensorBoard

__all__ = ["default"]


def default(
    run_dir: str | os.PathLike[str],
    real_images: Images,
    features: Callable[[np.ndarray], Any] | None = None,
    class_names: Sequence[str] | None = None,
    *,
    evaluator: Any = None,
    eval_freq: int = 1,
    baselines: Mapping[str, np.ndarray] | None = None,
    final_evaluator: Any = None,
    best_checkpoint: BestCheckpoint | None = None,
    on_collapse: str = "warn",
    image_freq: int = 1,
    seed: int = 0,
    backup_interval: float = 60.0,
    settings: Mapping[str, Any] | None = None,
    extra: Sequence[keras.callbacks.Callback] = (),
) -> list[keras.callbacks.Callback]:
    """Returns callbacks that log, sample, evaluate, monitor and back up a training, in order.

    The order matters. `RestoreOnNaN` comes first, so that no other callback sees or saves a NaN.
    Callbacks that compute scores come before callbacks that log. The best GAN is saved before
    `ModeCollapseMonitor` may restore another state. `BackupAndRestore` comes last, so that a backup
    contains the whole epoch.

    Args:
        run_dir: Folder for events, image grids, metrics, the state of the monitor and backups.
        real_images: Training images `(n, height, width[, channels])`, uint8 or floats in the range
            of the generator.
        features: Feature extractor for `ModeCollapseMonitor`, such as
            `evaluation.load_classifier()`. Defaults to None.
        class_names: Names of the classes whose labels `features` returns. Defaults to None.
        evaluator: Evaluator that scores samples between epochs. Defaults to None.
        eval_freq: Number of epochs between two evaluations, by `evaluator` and by
            `ModeCollapseMonitor`. Defaults to 1.
        baselines: Images of known quality by name, such as those of `evaluation.baselines`, whose
            scores TensorBoard shows as lines. Requires `evaluator`. Defaults to None.
        final_evaluator: Evaluator whose scores are written to `scores.json` at the end. Requires
            `evaluator`. Defaults to None.
        best_checkpoint: Callback that saves the best GAN. Requires `evaluator`. Defaults to None.
        on_collapse: Action of `ModeCollapseMonitor` on an issue: `"warn"`, `"stop"`, `"restore"` or
            `"off"`. Defaults to `"warn"`.
        image_freq: Number of epochs between two image grids. Defaults to 1.
        seed: Seed of the latents of the image grids. Defaults to 0.
        backup_interval: Number of seconds between two backups within an epoch. Defaults to 60.
        settings: Settings to show in TensorBoard. Defaults to None.
        extra: Further callbacks. They run after the evaluation and before the callbacks that log.
            Defaults to none.
    """
    run_dir = Path(run_dir)
    measuring: list[keras.callbacks.Callback] = []
    if evaluator is not None:
        measuring.append(
            EvaluateGAN(
                evaluator,
                eval_freq,
                final_evaluator=final_evaluator,
                filename=run_dir / files.SCORES,
            )
        )
        if best_checkpoint is not None:
            measuring.append(best_checkpoint)
        if baselines:
            measuring.append(BaselineScores(run_dir, evaluator, baselines, eval_freq))
    if on_collapse != "off":
        measuring.append(
            ModeCollapseMonitor(
                real_images,
                features,
                class_names,
                action=on_collapse,
                check_freq=eval_freq,
                state_path=run_dir / files.MONITOR,
            )
        )
    grid = ImageGrid(
        run_dir,
        image_freq=image_freq,
        seed=seed,
        invert=real_images.ndim == 3 or real_images.shape[-1] == 1,
        real_images=real_images,
        png_dir=run_dir / files.SAMPLES,
    )
    return [
        RestoreOnNaN(),
        *measuring,
        *extra,
        TensorBoard(run_dir, settings=settings),
        grid,
        JSONLogger(run_dir / files.METRICS),
        ProgbarLogger(),
        BackupAndRestore(run_dir / files.BACKUP, backup_interval),
    ]
