"""TensorBoard's scalars, counted in finished epochs, with no step twice after a resumption."""

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.training import is_chief

__all__ = ["TensorBoard"]

_COUNTED_IN_STEPS = ("batch_", "evaluation_")  # so Keras names them; all others count epochs


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' `TensorBoard`, in step with `ImageGrid` and made for runs that are resumed.

    The step of an epoch's numbers is the number of finished epochs, that of a batch's numbers the
    number of train steps. When training begins, events in `log_dir` and below it that the training
    will write again are dropped. Of several workers, the chief writes.

    Args:
        log_dir: folder of the run.
        write_graph: whether to write the graph of the model.
        arguments: the others of `keras.callbacks.TensorBoard`.
    """

    def __init__(
        self, log_dir: str | os.PathLike[str], write_graph: bool = False, **arguments: Any
    ) -> None:
        super().__init__(log_dir, write_graph=write_graph, **arguments)
        self._begun = False

    def set_model(self, model: keras.Model) -> None:
        """Watch the model; on a worker that is not the chief, do nothing from here on."""
        if is_chief(model.distribute_strategy):
            super().set_model(model)
            return
        keras.callbacks.Callback.set_model(self, model)
        for hook in dir(keras.callbacks.Callback):
            if hook.startswith("on_"):
                setattr(self, hook, lambda *args, **kwargs: None)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin; which epoch comes first is not known yet."""
        super().on_train_begin(logs)
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Drop what lies ahead of the first epoch."""
        if not self._begun:
            for path in Path(self.log_dir).rglob("events.out.tfevents.*"):
                _rewind(path, epoch, self.model.steps)
            self._begun = True
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batch; with `update_freq=n`, by the model's steps, which a resumption keeps."""
        if self.update_freq != "epoch":
            self._global_train_batch = self.model.steps
        super().on_train_batch_begin(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch's numbers."""
        super().on_epoch_end(epoch + 1, logs)


def _rewind(path: Path, epoch: int, steps: int) -> None:
    """Drop the events after `epoch` epochs or `steps` train steps; all if the epoch is 0."""
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
        partial = path.with_name(f".partial-{path.name}")
        with tf.io.TFRecordWriter(str(partial)) as writer:
            for record in kept:
                writer.write(record)
        os.replace(partial, path)
