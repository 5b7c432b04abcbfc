"""Distances and coverage, measured between epochs, for whoever reads the logs."""

import os
import time
from pathlib import Path
from typing import Any

import keras

from fashion_gan.evaluate import Evaluator
from fashion_gan.files import write_json
from fashion_gan.training.distribute import is_chief

__all__ = ["MetricEvaluation", "slug"]


class MetricEvaluation(keras.callbacks.Callback):
    """Samples, measures, and puts the numbers into the logs of every `every`-th epoch.

    Callbacks that come later in the list see them there: `ModelCheckpoint(
    monitor="frechet_distance", mode="min")`, `EarlyStopping`, `TensorBoard`, `MetricsFile`. In
    other epochs the numbers are absent. Lists and dictionaries become numbers: `missing_classes`
    is how many there are, `share_sneaker` the share of a class.

    Args:
        evaluator: an `evaluate.Evaluator`, in a quick protocol for every epoch; or anything whose
            `judge(gan)` returns a dictionary.
        every: epochs from one evaluation to the next.
        prefix: put before each name, to tell two evaluators apart.
        final: an `evaluate.Evaluator`, in the full protocol, for when training ends; then
            `final_record` holds the scores of `samples` and, if the GAN has an averaged generator,
            of the `raw` one.
        final_file: where that record is written as JSON.

    Raises:
        ValueError: if `every` is not positive.
    """

    def __init__(
        self,
        evaluator: Any,
        every: int = 1,
        prefix: str = "",
        *,
        final: Evaluator | None = None,
        final_file: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Expected an integer of at least 1. Received: every={every!r}.")
        self.evaluator = evaluator
        self.every = every
        self.prefix = prefix
        self.final = final
        self.final_file = None if final_file is None else Path(final_file)
        self.final_record: dict[str, Any] = {}
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, if it is time; `seconds` says how long it took."""
        if (epoch + 1) % self.every or logs is None:
            return
        started = time.perf_counter()
        for name, value in self.evaluator.judge(self.model).items():
            logs.update(_numbers(f"{self.prefix}{name}", value))
        self.seconds = time.perf_counter() - started

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Measure by the full protocol, and write the record on the chief worker."""
        if self.final is None or not is_chief(self.model.distribute_strategy):
            return
        if self.params.get("verbose"):
            print(
                f"Measuring {self.final.protocol.count:,} samples against as many real images: "
                f"{self.final.name}.",
                flush=True,
            )
        scores = {"samples": self.final.judge(self.model)}
        if self.model.ema_generator is not None:
            scores["raw"] = self.final.judge(self.model, use_ema=False)
        self.final_record = self.final.record(scores)
        if self.final_file is not None:
            write_json(self.final_file, self.final_record)


def _numbers(name: str, value: Any) -> dict[str, float]:
    if isinstance(value, dict):
        return {f"share_{slug(label)}": float(share) for label, share in value.items()}
    if isinstance(value, list):
        return {name: float(len(value))}
    return {name: float(value)}


def slug(label: str) -> str:
    """The name of a class as part of a name in the logs: `ankle_boot`."""
    return "".join(c if c.isalnum() else "_" for c in label.lower())
