"""Callbacks that watch a GAN train; each has a file of its own."""

from .backup import Backup
from .image_grid import ImageGrid
from .metrics_file import MetricsFile
from .nan_guard import NaNGuard
from .one_optimizer import OneOptimizer
from .tensorboard import TensorBoard

__all__ = ["Backup", "ImageGrid", "MetricsFile", "NaNGuard", "OneOptimizer", "TensorBoard"]
