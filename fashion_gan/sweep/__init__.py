"""Sweeps: settings and seeds tried through Optuna, and how sensitive training is to each."""

from fashion_gan.sweep.sensitivity import chart, sensitivity, table
from fashion_gan.sweep.space import Range, Space, corners, grid, parse
from fashion_gan.sweep.work import Watch, study, work

__all__ = [
    "Range",
    "Space",
    "Watch",
    "chart",
    "corners",
    "grid",
    "parse",
    "sensitivity",
    "study",
    "table",
    "work",
]
