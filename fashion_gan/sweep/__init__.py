"""Runs sweeps over settings and seeds with Optuna, and measures the sensitivity to each."""

from fashion_gan.sweep.sensitivity import chart, sensitivity, table
from fashion_gan.sweep.space import Range, Space, covering_points, grid, parse
from fashion_gan.sweep.work import Watch, metric_name, open_study, run_worker

__all__ = [
    "Range",
    "Space",
    "Watch",
    "chart",
    "covering_points",
    "grid",
    "metric_name",
    "parse",
    "sensitivity",
    "open_study",
    "table",
    "run_worker",
]
