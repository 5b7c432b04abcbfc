"""Going on within a run: which epoch comes, and what of it is done already."""

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["EpochStart", "Resumption"]


class Resumption:
    """What the next epoch need not do again: its first batches, whose metrics are known."""

    def __init__(self, batches: int = 0, metrics: list[Any] | None = None) -> None:
        self.batches = batches
        self.metrics = metrics if batches else None

    def skipping(
        self, model: keras.Model, train: Callable[..., Any], drop: Callable[[Any], None]
    ) -> Callable[..., Any]:
        """`train`, an execution of `model`, or `drop` as long as there are batches to drop."""
        if not self.batches:
            return train
        if self.batches % model.steps_per_execution:
            raise ValueError(
                f"{self.batches} batches of the epoch are done, which is no multiple of "
                f"steps_per_execution={model.steps_per_execution}. Compile with the number that "
                "the run began with."
            )

        def skip_or_train(iterator: Any) -> Any:
            if not self.batches:
                return train(iterator)
            drop(iterator)
            self.batches -= model.steps_per_execution
            return model.get_metrics_result()

        return skip_or_train


class EpochStart(keras.callbacks.Callback):
    """Tells a dataset of `data.make_dataset` which epoch comes, and restores a resumed epoch.

    Keras resets the metrics before this and makes the dataset's iterator after it.
    """

    def __init__(self, dataset: Any, resumption: Callable[[], Resumption]) -> None:
        super().__init__()
        self.dataset = dataset
        self.resumption = resumption

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the dataset's epoch and, after a resumption, its start and the metrics."""
        resumption = self.resumption()
        if hasattr(self.dataset, "epoch"):
            self.dataset.epoch.assign(epoch)
            self.dataset.start.assign(resumption.batches)
        for variable, value in zip(
            self.model.metrics_variables, resumption.metrics or [], strict=False
        ):
            variable.assign(value)
        resumption.metrics = None
