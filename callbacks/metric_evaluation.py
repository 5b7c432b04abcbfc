"""Distances and coverage, measured between epochs, for whoever reads the logs."""

import time
from collections.abc import Callable
from typing import Any

import keras

__all__ = ["MetricEvaluation", "slug"]


class MetricEvaluation(keras.callbacks.Callback):
    """Samples, measures, and puts the numbers into the logs of every `every`-th epoch.

    Callbacks that come later in the list see them there: `ModelCheckpoint(
    monitor="frechet_distance", mode="min")`, `EarlyStopping`, `TensorBoard`, `MetricsFile`. In
    other epochs the numbers are absent. Lists and dictionaries become numbers: `missing_classes`
    is how many there are, `share_sneaker` the share of a class.

    Args:
        evaluator: an `evaluate.Evaluator`, in a quick protocol for every epoch; or anything with
            `sample(gan)` that returns images and a call that takes them and returns a dictionary.
        every: epochs from one evaluation to the next.
        prefix: put before each name, to tell two evaluators apart.

    Raises:
        ValueError: if `every` is not positive.
    """

    def __init__(self, evaluator: Callable[..., Any], every: int = 1, prefix: str = "") -> None:
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Expected an integer of at least 1. Received: every={every!r}.")
        self.evaluator = evaluator
        self.every = every
        self.prefix = prefix
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, if it is time; `seconds` says how long it took."""
        if (epoch + 1) % self.every or logs is None:
            return
        started = time.perf_counter()
        images = self.evaluator.sample(self.model)  # type: ignore[attr-defined]
        for name, value in self.evaluator(images).items():
            logs.update(_numbers(f"{self.prefix}{name}", value))
        self.seconds = time.perf_counter() - started


def _numbers(name: str, value: Any) -> dict[str, float]:
    if isinstance(value, dict):
        return {f"share_{slug(label)}": float(share) for label, share in value.items()}
    if isinstance(value, list):
        return {name: float(len(value))}
    return {name: float(value)}


def slug(label: str) -> str:
    """The name of a class as part of a name in the logs: `ankle_boot`."""
    return "".join(c if c.isalnum() else "_" for c in label.lower())
