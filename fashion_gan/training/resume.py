"""Resumes `fit()` within a run, at an epoch and a batch."""

from collections.abc import Callable
from typing import Any

import keras

from fashion_gan.data.image_dataset import ImageDataset
from fashion_gan.training.inputs import NO_BATCH

__all__ = ["ResumeState", "SetEpoch"]


class ResumeState:
    """Holds the position at which `fit()` resumes.

    Args:
        epoch: Number of finished epochs. Defaults to None, if `fit()` does not resume.
        num_batches: Number of finished batches of the next epoch. Defaults to 0.
        metrics: Values of the metrics' variables after these batches. Defaults to None.

    Raises:
        ValueError: If a number is not an integer of at least 0.
    """

    def __init__(
        self, epoch: int | None = None, num_batches: int = 0, metrics: list[Any] | None = None
    ) -> None:
        for name, value in (("epoch", 0 if epoch is None else epoch), ("batch", num_batches)):
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"Expected an integer of at least 0. Received: {name}={value!r}.")
        self.epoch = epoch
        self.num_batches = num_batches
        self.metrics = metrics if num_batches else None

    def check_divisible(self, steps_per_execution: int) -> None:
        """Raises ValueError unless the finished batches are whole executions."""
        if self.num_batches % steps_per_execution:
            raise ValueError(
                f"{self.num_batches} batches of the epoch are finished, which is not a multiple of "
                f"steps_per_execution={steps_per_execution}. Compile with the original "
                "steps_per_execution."
            )


class SetEpoch(keras.callbacks.Callback):
    """Sets the epoch of the dataset, resumes the metrics, and finishes the training.

    Keras resets the metrics before `on_epoch_begin` and creates the dataset's iterator after it.

    Args:
        dataset: Data of `fit()`. If `data.make_dataset` created it, its epoch is set.
        first_epoch: Function of the number of the first epoch in `fit()` and the number of batches.
            It returns the epoch of the dataset to start with.
        resume: Function that returns the `ResumeState`.
        on_train_end: Function to call at the end, before other callbacks.
    """

    def __init__(
        self,
        dataset: Any,
        first_epoch: Callable[[int, int], int],
        resume: Callable[[], ResumeState],
        on_train_end: Callable[[], None],
    ) -> None:
        super().__init__()
        self._dataset = dataset
        self._first_epoch = first_epoch
        self._resume = resume
        self._finish = on_train_end
        self._offset: int | None = None
        self._has_batches = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the epoch of the dataset, and when resuming its first batch and the metrics."""
        resume = self._resume()
        self._has_batches = resume.num_batches > 0
        if isinstance(self._dataset, ImageDataset):
            if self._offset is None:
                self._offset = self._first_epoch(epoch, len(self._dataset)) - epoch
            self._dataset.epoch.assign(epoch + self._offset)
            self._dataset.skip_batches.assign(resume.num_batches)
        for variable, value in zip(
            self.model.metrics_variables, resume.metrics or [], strict=False
        ):
            variable.assign(value)
        resume.metrics = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Records that the data is not empty."""
        self._has_batches = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises ValueError if the epoch had no batch, or fewer batches than are finished."""
        if not self._has_batches:
            raise ValueError(NO_BATCH)
        if self._resume().num_batches > 0:
            raise ValueError(
                "Expected an epoch of at least the finished number of batches. Received: an epoch "
                f"that is {self._resume().num_batches} batches shorter. Resume with the original "
                "data and batch size."
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Finishes the training."""
        self._finish()
