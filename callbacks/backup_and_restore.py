"""Provides a callback that backs up a training and resumes it bit-for-bit."""

import io
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from fashion_gan.files import check_space, flush
from fashion_gan.training.backups import (
    POSITION,
    STATE,
    backup_name,
    checksum,
    list_backups,
    newest_backup,
)
from fashion_gan.training.distribute import assert_equal_on_workers, is_chief

__all__ = ["BackupAndRestore"]


class BackupAndRestore(keras.callbacks.Callback):
    """Saves the whole state of training after each epoch and within long epochs.

    If the folder holds a backup, `fit()` resumes from it. The final state is bit-for-bit the state
    of an uninterrupted training. The dataset must yield the same batches again, as a dataset of
    `data.make_dataset` does.

    A backup is a folder such as `epoch_000003_batch_00000200`. It is written under a temporary
    name, flushed to disk and renamed. The previous backup is kept. A backup that does not match its
    checksum is skipped with a warning. On Ctrl-C, SIGTERM or SIGHUP, training stops at the end of
    the current execution, after a backup. A second Ctrl-C stops it immediately.

    With several workers, the chief saves and all workers restore, so they need one folder on a
    shared disk. The other workers react to a signal one execution later. If all workers get the
    signal, the chief can therefore save first.

    Put this callback last in the list. The other callbacks have then written their files for an
    epoch before the backup marks the epoch as finished.

    Args:
        backup_dir: Folder of the backups. It is created if it does not exist.
        save_interval: Number of seconds between two backups within an epoch. Defaults to 60.

    Raises:
        OSError: If a backup cannot be written. Earlier backups are intact.
        ValueError: If there are backups and none of them can be read, or if the workers do not see
            the same backup.
    """

    def __init__(self, backup_dir: str | os.PathLike[str], save_interval: float = 60.0) -> None:
        super().__init__()
        self.backup_dir = Path(backup_dir)
        self.save_interval = save_interval
        self._epoch = 0
        self._signal: int | None = None
        self._chief = True
        self._patience = 0
        self._restored: tuple[int, int] | None = None
        self._saved_at = 0.0
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the newest valid backup, if there is one, and installs the signal handlers."""
        self._chief = is_chief(self.model.distribute_strategy)
        self._restore()
        self._saved_at = time.monotonic()
        self._signal = None
        self._patience = 0 if self._chief else 1
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP, and nohup ignores it
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._on_signal)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves a backup after `save_interval` seconds or a signal, and stops after a signal."""
        steps = self.params.get("steps")
        if steps is not None and batch + 1 >= steps:
            return  # the epoch ends here
        if self.model.is_skipping:
            return  # the restored state belongs to a later batch
        if self._signal is not None or time.monotonic() - self._saved_at > self.save_interval:
            self._save(self._epoch, batch + 1)
            self._obey()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves a backup, and stops the training after a signal."""
        self._save(epoch + 1, 0)
        self._obey()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the previous signal handlers."""
        self._stop_listening()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number

    def _obey(self) -> None:
        if self._signal is None:
            return
        if self._patience > 0:
            self._patience -= 1
            return
        self._stop_listening()
        raise KeyboardInterrupt(signal.Signals(self._signal).name)

    def _stop_listening(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _save(self, epoch: int, batch: int) -> None:
        if not self._chief or (epoch, batch) == self._restored:
            return
        final = self.backup_dir / backup_name(epoch, batch)
        partial = self.backup_dir / ".partial"
        file = io.BytesIO()
        self.model.save_weights(file)
        state = file.getbuffer()
        metrics = [variable.numpy().tolist() for variable in self.model.metrics_variables]
        position = {"epoch": epoch, "batch": batch, "metrics": metrics}
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            check_space(partial, len(state))
            (partial / STATE).write_bytes(state)
            content = json.dumps({**position, "sha256": checksum(state, position)})
            (partial / POSITION).write_text(content)
            for path in (partial / STATE, partial / POSITION, partial):
                flush(path)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            flush(self.backup_dir)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise OSError(
                f"The state after {epoch} epochs and {batch} batches could not be saved to "
                f"{self.backup_dir}: {error.strerror or error}. The previous backup is intact. "
                "Fix the cause, and run the same training again."
            ) from error
        for old in list_backups(self.backup_dir)[2:]:
            shutil.rmtree(old, ignore_errors=True)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        backup = newest_backup(self.backup_dir)
        assert_equal_on_workers(
            self.model.distribute_strategy,
            f"the newest backup in {self.backup_dir}, which must be one folder on a shared disk",
            backup and (backup.position, backup.sha256),
        )
        if backup is not None:
            self.model.load_weights(io.BytesIO(backup.state))
            self._restored = backup.position
            self.model.resume_at(*self._restored, backup.metrics)
