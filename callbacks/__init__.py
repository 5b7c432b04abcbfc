"""Provides Keras callbacks for GANs, one per file. `default` returns the usual set in order."""

from .adaptive_augmentation import AdaptiveAugmentation
from .backup_and_restore import BackupAndRestore
from .baseline_scores import BaselineScores
from .best_checkpoint import BestCheckpoint
from .default import default
from .evaluate_gan import EvaluateGAN
from .feature_projector import FeatureProjector
from .for_optimizer import ForOptimizer
from .image_grid import ImageGrid
from .json_logger import JSONLogger
from .latent_interpolation import LatentInterpolation
from .mode_collapse import ModeCollapseMonitor
from .power_average_snapshots import PowerAverageSnapshots
from .progbar_logger import ProgbarLogger
from .restore_on_nan import RestoreOnNaN
from .tensorboard import TensorBoard

__all__ = [
    "AdaptiveAugmentation",
    "BackupAndRestore",
    "BaselineScores",
    "BestCheckpoint",
    "EvaluateGAN",
    "FeatureProjector",
    "ForOptimizer",
    "ImageGrid",
    "JSONLogger",
    "LatentInterpolation",
    "ModeCollapseMonitor",
    "PowerAverageSnapshots",
    "ProgbarLogger",
    "RestoreOnNaN",
    "TensorBoard",
    "default",
]
