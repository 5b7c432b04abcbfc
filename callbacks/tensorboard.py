"""Provides a `TensorBoard` callback that counts finished epochs and supports resumed runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams
from tensorboard.plugins.hparams import summary_v2 as hparams_v2

from fashion_gan.files import atomic_write
from fashion_gan.keras_compat import set_tensorboard_batch, tensorboard_train_writer
from fashion_gan.training.distribute import is_chief

__all__ = ["CHARTS", "TensorBoard"]

_COUNTED_IN_STEPS = ("batch_", "evaluation_")  # prefixes of Keras; all other scalars count epochs


CHARTS = {
    "losses": ["epoch_[dg]_loss"],
    "accuracies of the discriminator": ["epoch_d_accuracy_(real|fake)"],
    "mean logits": ["epoch_d_logit_(real|fake)"],
    "Fréchet distance": ["epoch_frechet_distance"],
    "kernel and transport distance": ["epoch_(kernel|transport)_distance"],
    "Fréchet distance in pixels": ["epoch_pixel_frechet_distance"],
    "precision, recall and coverage": ["epoch_(precision|recall|coverage)"],
    "shares of the classes": ["epoch_share_.*"],
    "issues of the monitor": ["epoch_num_issues", "epoch_missing_classes"],
    "gradients and updates": ["epoch_[dg]_(gradient_norm|update_ratio)"],
}
"""Patterns of the scalars of each chart under TensorBoard's *Custom Scalars*, by its title."""


class TensorBoard(keras.callbacks.TensorBoard):
    """Writes logs for TensorBoard, with the same steps as `ImageGrid` and support for resuming.

    This is Keras' `TensorBoard` with other steps.
    The step of an epoch's logs is the number of finished epochs. The step of a batch's logs is the
    number of train steps. When training begins, events in `log_dir` and its subfolders that the
    training will write again are dropped. With several workers, the chief writes.

    Under *Custom Scalars*, one page shows related scalars in common charts: both losses, both
    accuracies, distances, fractions of the classes.

    Args:
        log_dir: Folder of the run.
        write_graph: Whether to write the graph of the model. Defaults to False.
        settings: Settings of the run by name, as numbers, strings and bools. *HParams* shows them
            as a row of its table of runs. Defaults to None, which adds no row.
        arguments: Further arguments of `keras.callbacks.TensorBoard`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        write_graph: bool = False,
        settings: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(log_dir, write_graph=write_graph, **arguments)
        self.settings = settings
        self._begun = False

    def set_model(self, model: keras.Model) -> None:
        """Sets the model; disables this callback on workers other than the chief."""
        if is_chief(model.distribute_strategy):
            super().set_model(model)
            return
        keras.callbacks.Callback.set_model(self, model)
        for hook in dir(keras.callbacks.Callback):
            if hook.startswith("on_"):
                setattr(self, hook, lambda *args, **kwargs: None)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts to log and resets the state of an earlier `fit()`."""
        super().on_train_begin(logs)
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Drops later events of an earlier run, before the first epoch."""
        if not self._begun:
            for path in Path(self.log_dir).rglob("events.out.tfevents.*"):
                _rewind(path, epoch, self.model.steps)
            self._begun = True
            if epoch == 0:
                self._lay_out()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the batch; `update_freq=n` uses the model's steps, which a backup restores."""
        if self.update_freq != "epoch":
            set_tensorboard_batch(self, self.model.steps)
        super().on_train_batch_begin(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the logs of the epoch."""
        super().on_epoch_end(epoch + 1, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Marks the run as finished in *HParams*."""
        if self.settings is not None:
            self._write_row(hparams.session_end_pb(api_pb2.STATUS_SUCCESS))
        super().on_train_end(logs)

    def _write_row(self, content: Any) -> None:
        """Writes to `log_dir` itself, where *HParams* looks for the runs in its subfolders."""
        with tf.summary.create_file_writer(self.log_dir).as_default(step=0):
            tf.summary.experimental.write_raw_pb(content.SerializeToString())

    def _lay_out(self) -> None:
        charts = [
            layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=patterns))
            for title, patterns in CHARTS.items()
        ]
        page = layout_pb2.Category(title="GAN at a glance", chart=charts)
        layout = custom_scalars.pb(layout_pb2.Layout(category=[page]))
        with tensorboard_train_writer(self).as_default(step=0):
            tf.summary.experimental.write_raw_pb(layout.SerializeToString())
        if self.settings is not None:
            row = hparams_v2.hparams_pb(self.settings, trial_id=os.path.abspath(self.log_dir))
            self._write_row(row)


def _rewind(path: Path, epoch: int, steps: int) -> None:
    """Drops the events after `epoch` epochs or `steps` train steps; all if the epoch is 0."""
    kept, dropped = [], 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            counts_steps = any(v.tag.startswith(_COUNTED_IN_STEPS) for v in event.summary.value)
            limit = steps if counts_steps else epoch
            if event.HasField("summary") and (epoch == 0 or event.step > limit):
                dropped += 1
            else:
                kept.append(record)
    except tf.errors.DataLossError:  # the last record was cut off when the process was killed
        dropped += 1
    if dropped:
        with atomic_write(path) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
            for record in kept:
                writer.write(record)
