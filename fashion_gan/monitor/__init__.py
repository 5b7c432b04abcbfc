"""Computes the health signals and issues that `callbacks.ModeCollapseMonitor` reports."""

from fashion_gan.monitor.advice import Recipe, advise
from fashion_gan.monitor.diagnosis import COLOR, LABELED, UNLABELED, Issue, Thresholds, diagnose
from fashion_gan.monitor.reference import MIN_IMAGES, HealthSignals, ReferenceSet
from fashion_gan.monitor.signals import (
    diversity,
    loss_growth,
    loss_oscillation,
    median_nn_distance,
    mode_rotation,
    sampling_noise,
)
from fashion_gan.monitor.state import MonitorState

__all__ = [
    "COLOR",
    "LABELED",
    "MIN_IMAGES",
    "UNLABELED",
    "HealthSignals",
    "Issue",
    "MonitorState",
    "Recipe",
    "ReferenceSet",
    "Thresholds",
    "advise",
    "diagnose",
    "diversity",
    "loss_growth",
    "loss_oscillation",
    "median_nn_distance",
    "mode_rotation",
    "sampling_noise",
]
