"""Provides a callback that evaluates the GAN between epochs and logs the scores."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from fashion_gan.evaluation.evaluator import Evaluator
from fashion_gan.evaluation.report import describe_low_coverage
from fashion_gan.files import write_json
from fashion_gan.training.distribute import is_chief

__all__ = ["EvaluateGAN", "has_scores", "numbers", "slug"]


class EvaluateGAN(keras.callbacks.Callback):
    """Evaluates samples and adds the scores to the logs of every `eval_freq`-th epoch and the last.

    Callbacks that come later in the list can use the scores, such as `ModelCheckpoint(
    monitor="frechet_distance", mode="min")`, `EarlyStopping`, `TensorBoard` and `JSONLogger`. In
    other epochs the scores are absent. Lists and dictionaries become numbers: `missing_classes` is
    the number of missing classes, and `share_sneaker` is the fraction of samples in a class.

    Args:
        evaluator: `evaluation.Evaluator` with a quick protocol, or any object whose
            `evaluate(gan)` returns a dictionary.
        eval_freq: Number of epochs between two evaluations. Defaults to 1.
        prefix: Prefix of each name in the logs, which distinguishes two evaluators. Defaults to an
            empty string.
        final_evaluator: `evaluation.Evaluator` with the full protocol, for the end of training.
            `final_record` then holds the scores of `samples`. If the GAN has an averaged generator,
            it also holds the scores of the trained generator as `no_ema`. Defaults to None.
        filename: JSON file for `final_record`. Defaults to None, which writes no file.

    Raises:
        ValueError: If `eval_freq` is not positive.
    """

    def __init__(
        self,
        evaluator: Any,
        eval_freq: int = 1,
        prefix: str = "",
        *,
        final_evaluator: Evaluator | None = None,
        filename: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(eval_freq, int) or eval_freq < 1:
            raise ValueError(
                f"Expected an integer of at least 1. Received: eval_freq={eval_freq!r}."
            )
        self.evaluator = evaluator
        self.eval_freq = eval_freq
        self.prefix = prefix
        self.final_evaluator = final_evaluator
        self.filename = None if filename is None else Path(filename)
        self.final_record: dict[str, Any] = {}
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates the GAN in the epochs with scores, and stores the duration in `seconds`."""
        if logs is None or not has_scores(epoch, self.eval_freq, self.params):
            return
        started = time.perf_counter()
        for name, value in self.evaluator.evaluate(self.model).items():
            logs.update(numbers(f"{self.prefix}{name}", value))
        self.seconds = time.perf_counter() - started

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Evaluates with the full protocol and writes the record, on the chief worker."""
        if self.final_evaluator is None or not is_chief(self.model.distribute_strategy):
            return
        if self.params.get("verbose"):
            print(
                f"Comparing {self.final_evaluator.protocol.count:,} samples with as many real "
                f"images: {self.final_evaluator.name}.",
                flush=True,
            )
        scores = {"samples": self.final_evaluator.evaluate(self.model)}
        if self.model.ema_generator is not None:
            scores["no_ema"] = self.final_evaluator.evaluate(self.model, use_ema=False)
        self.final_record = self.final_evaluator.record(scores)
        if self.filename is not None:
            write_json(self.filename, self.final_record)
        if self.params.get("verbose"):
            shown = dict.fromkeys((self.final_record["watched_score"], "coverage"))
            named = (f"{n} {scores['samples'][n]:.3g}" for n in shown if n in scores["samples"])
            print(f"Scores: {', '.join(named)}.", flush=True)
            if sentence := describe_low_coverage(self.final_record):
                print(sentence, flush=True)


def has_scores(epoch: int, eval_freq: int, params: Mapping[str, Any]) -> bool:
    """Returns whether scores are computed after an epoch, from 0, of a training of Keras."""
    return (epoch + 1) % eval_freq == 0 or epoch + 1 == params.get("epochs")


def numbers(name: str, value: Any) -> list[tuple[str, float]]:
    """Returns the numbers in the logs, by name, of a score that may be a list or a dictionary."""
    if isinstance(value, dict):
        return [(f"share_{slug(label)}", float(share)) for label, share in value.items()]
    return [(name, float(len(value) if isinstance(value, list) else value))]


def slug(label: str) -> str:
    """Returns the name of a class as used in names of the logs, such as `ankle_boot`."""
    return "".join(c if c.isalnum() else "_" for c in label.lower())
