"""Callbacks that watch a GAN train; each has a file of its own."""

from .backup import Backup
from .feature_projector import FeatureProjector
from .image_grid import ImageGrid
from .latent_interpolation import LatentInterpolation
from .metric_evaluation import MetricEvaluation
from .metrics_file import MetricsFile
from .mode_collapse import ModeCollapseMonitor
from .nan_guard import NaNGuard
from .one_optimizer import OneOptimizer
from .progress import Progress
from .tensorboard import TensorBoard

__all__ = [
    "Backup",
    "FeatureProjector",
    "ImageGrid",
    "LatentInterpolation",
    "MetricEvaluation",
    "MetricsFile",
    "ModeCollapseMonitor",
    "NaNGuard",
    "OneOptimizer",
    "Progress",
    "TensorBoard",
]
