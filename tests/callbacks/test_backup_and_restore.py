"""Tests BackupAndRestore: a training stopped anywhere equals an uninterrupted one."""

import fcntl
import json
import os
import shutil
import signal
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import StopAt, assert_equal_states, read_state, stateful_networks

from fashion_gan import GAN, data
from fashion_gan.callbacks import BackupAndRestore, JSONLogger

IMAGES = np.random.default_rng(3).random((28, 4, 4, 1), dtype="float32")
EPOCHS, BATCHES = 3, 7
STOPPED = 17
"""Steps of the run that `stopped` holds: 2 epochs and 3 batches."""


class RecordStates(keras.callbacks.Callback):
    """Keeps the state after each step."""

    def __init__(self):
        super().__init__()
        self.states = {}

    def on_train_batch_end(self, batch, logs=None):
        self.states[self.model.steps] = read_state(self.model)


def make_gan(steps_per_execution=1, seed=5):
    keras.utils.set_random_seed(seed)
    gan = GAN(*stateful_networks(), seed=seed)
    gan.compile("adam", "rmsprop", jit_compile=False, steps_per_execution=steps_per_execution)
    return gan


def make_data():
    return data.make_dataset(IMAGES, batch_size=4, seed=1)


def train(folder, stop_at=None, seconds=1e9, seed=5, steps_per_execution=1, callbacks=()):
    """Trains a new model on a new dataset, as a new process does.

    Backs up each epoch, and each execution if `seconds` is negative. Returns the state and the
    text of the log.
    """
    gan = make_gan(steps_per_execution, seed)
    last = [JSONLogger(folder / "metrics.jsonl"), BackupAndRestore(folder / "backup", seconds)]
    if stop_at is not None:
        last.append(StopAt(stop_at))
    try:
        gan.fit(make_data(), epochs=EPOCHS, callbacks=[*callbacks, *last], verbose=0)
    except RuntimeError as error:
        assert str(error) == "stopped here"
    return read_state(gan), (folder / "metrics.jsonl").read_text()


def assert_same(result, expected):
    assert result[1] == expected[1]
    assert_equal_states(result[0], expected[0])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Returns the state and the log of a complete run, and its state after each step."""
    record = RecordStates()
    result = train(tmp_path_factory.mktemp("uninterrupted"), callbacks=[record])
    return *result, record.states


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Returns the folder of a run that was stopped, with a backup of each batch."""
    folder = tmp_path_factory.mktemp("stopped")
    train(folder, stop_at=STOPPED, seconds=-1)
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    """Returns a copy of the folder of the stopped run, to be damaged."""
    return shutil.copytree(stopped, tmp_path / "run")


@pytest.fixture(scope="module")
def gan():
    """Returns a GAN to restore backups to."""
    return make_gan(seed=99)


def watch(gan, folder, seconds=-1.0):
    """Starts a training, and returns the callback that restored the newest intact backup."""
    callback = BackupAndRestore(folder, seconds)
    callback.set_model(gan)
    callback.on_train_begin()
    callback.on_train_end()
    return callback


def assert_restores(gan, run, steps, uninterrupted):
    """Restores the backup of a run, and checks that it is the state after a number of steps."""
    watch(gan, run / "backup")
    assert gan.steps == steps
    assert_equal_states(read_state(gan), uninterrupted[2][steps])


def content_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_fit_resumes_bit_for_bit_when_stopped_repeatedly(tmp_path, uninterrupted):
    for stop_at, seed, seconds in ((1, 5, -1), (BATCHES + 2, 5, 1e9), (STOPPED, 7, -1)):
        train(tmp_path, stop_at, seconds, seed)
    assert_same(train(tmp_path, seed=99), uninterrupted)


@pytest.mark.slow
def test_fit_resumes_bit_for_bit_when_stopped_before_a_partial_execution(tmp_path):
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    expected = train(tmp_path / "whole", steps_per_execution=3)
    train(tmp_path / "stopped", 13, seconds=-1, steps_per_execution=3)
    assert_same(train(tmp_path / "stopped", steps_per_execution=3, seed=6), expected)
    assert expected[0][0][1] == EPOCHS * BATCHES


def test_fit_saves_no_position_of_a_skipped_batch(run, uninterrupted):
    saved = []

    class Recording(BackupAndRestore):
        def _save(self, epoch, batch):
            saved.append((epoch, batch))
            super()._save(epoch, batch)

    gan = make_gan(seed=99)
    gan.fit(make_data(), epochs=EPOCHS, callbacks=[Recording(run / "backup", -1.0)], verbose=0)
    assert saved[:2] == [(2, 3), (2, 4)], "17 batches are 2 epochs of 7 and 3 batches"
    assert_equal_states(read_state(gan), uninterrupted[0])


def test_fit_raises_when_steps_per_execution_changes_within_an_epoch(run):
    with pytest.raises(ValueError, match="3 batches .* not a multiple of steps_per_execution=2"):
        train(run, steps_per_execution=2)


def test_fit_gives_other_weights_when_there_is_no_backup(tmp_path, uninterrupted):
    result = train(tmp_path, seed=99)
    assert not np.array_equal(result[0][1], uninterrupted[0][1])


def test_fit_keeps_two_backups(run):
    kept = sorted(path.name for path in (run / "backup").iterdir())
    assert kept == ["epoch_000002_batch_00000002", "epoch_000002_batch_00000003"]
    position = json.loads((run / "backup" / kept[0] / "position.json").read_text())
    assert (position["epoch"], position["batch"]) == (2, 2)


def test_keras_backup_and_restore_resumes_bit_for_bit(tmp_path, uninterrupted):
    for stop_at, seed in ((13, 5), (None, 7)):
        gan = make_gan(seed=seed)
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "keras")]
        if stop_at:
            callbacks.append(StopAt(stop_at))
        try:
            gan.fit(make_data(), epochs=EPOCHS, callbacks=callbacks, verbose=0)
        except RuntimeError as error:
            assert str(error) == "stopped here"
    assert_equal_states(read_state(gan), uninterrupted[0])


def test_restore_loads_the_newest_backup(run, gan, uninterrupted):
    assert_restores(gan, run, STOPPED, uninterrupted)


@pytest.mark.parametrize("size", [0, 1, 0.5, -1])
def test_restore_loads_the_older_backup_when_a_state_is_truncated(run, gan, uninterrupted, size):
    newest = max((run / "backup").iterdir())
    file = newest / "state.weights.h5"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * size) if size == 0.5 else size])
    with pytest.warns(UserWarning, match=f"{newest.name} is broken .*SHA-256.* before it"):
        assert_restores(gan, run, STOPPED - 1, uninterrupted)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"epoch": 1}'])
def test_restore_loads_the_older_backup_when_a_position_is_truncated(
    run, gan, uninterrupted, content
):
    (max((run / "backup").iterdir()) / "position.json").write_text(content)
    with pytest.warns(UserWarning, match="is broken"):
        assert_restores(gan, run, STOPPED - 1, uninterrupted)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": None},
        {"batch": None},
        {"metrics": None},
        {"epoch": 1},
        {"epoch": 99},
        {"epoch": -1},
        {"epoch": 1.5},
        {"epoch": "x"},
        {"batch": 10**9},
        {"metrics": [[1, 2, 3]]},
        {"metrics": [[float("nan")]]},
    ],
    ids=str,
)
def test_restore_loads_the_older_backup_when_the_position_was_changed(
    run, gan, uninterrupted, changes
):
    path = max((run / "backup").iterdir()) / "position.json"
    position = json.loads(path.read_text())
    for name, value in changes.items():
        position.pop(name) if value is None else position.update({name: value})
    path.write_text(json.dumps(position))
    with pytest.warns(UserWarning, match="Trying the one before it"):
        assert_restores(gan, run, STOPPED - 1, uninterrupted)


def test_restore_loads_the_older_backup_when_a_folder_was_renamed(run, gan, uninterrupted):
    newest = max((run / "backup").iterdir())
    newest.rename(newest.with_name("epoch_000003_batch_00000006"))
    with pytest.warns(UserWarning, match="its position differs from its name"):
        assert_restores(gan, run, STOPPED - 1, uninterrupted)


def test_fit_raises_when_no_backup_can_be_read(run):
    for file in (run / "backup").glob("*/position.json"):
        file.write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="No backup in .* can be read. Delete the folder"):
            train(run)


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_fit_keeps_the_older_backups_when_the_disk_is_full(run, monkeypatch):
    before = content_of(run / "backup")
    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="could not be saved .*No space left.* is intact"):
        make_gan().fit(
            make_data(), epochs=EPOCHS, callbacks=[BackupAndRestore(run / "backup", -1)], verbose=0
        )
    assert content_of(run / "backup") == before


@pytest.mark.parametrize("call", ["write_text", "rename", "mkdir"])
def test_save_keeps_the_older_backups_when_the_disk_fails(run, gan, monkeypatch, call):
    callback, before = watch(gan, run / "backup"), content_of(run / "backup")
    with monkeypatch.context() as patch:
        patch.setattr(f"pathlib.Path.{call}", fail)
        with pytest.raises(OSError, match="could not be saved .*No space left.* is intact"):
            callback.on_epoch_end(2)
    assert content_of(run / "backup") == before
    callback.on_epoch_end(2)
    assert len(list((run / "backup").iterdir())) == 2


@pytest.mark.parametrize(
    ("number", "at_step"),
    [(signal.SIGINT, 3), (signal.SIGTERM, BATCHES)],
    ids=["SIGINT within an epoch", "SIGTERM at its end"],
)
def test_fit_saves_a_backup_before_a_signal_ends_the_process(
    tmp_path, gan, uninterrupted, number, at_step
):
    class Signal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.steps == at_step - 1:
                os.kill(os.getpid(), number)

    trained, before = make_gan(), signal.getsignal(number)
    backup = BackupAndRestore(tmp_path / "backup", 1e9)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        trained.fit(make_data(), epochs=EPOCHS, callbacks=[Signal(), backup], verbose=0)
    assert signal.getsignal(number) == before
    assert trained.steps == at_step
    newest = max((tmp_path / "backup").iterdir()).name
    epoch, batch = divmod(at_step, BATCHES)
    assert newest == f"epoch_{epoch:06d}_batch_{batch:08d}"
    assert_restores(gan, tmp_path, at_step, uninterrupted)


def test_on_epoch_end_saves_a_backup_before_sighup_ends_the_process(tmp_path, gan):
    callback, before = BackupAndRestore(tmp_path / "backup"), signal.getsignal(signal.SIGHUP)
    callback.set_model(gan)
    callback.on_train_begin()
    os.kill(os.getpid(), signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt, match="SIGHUP"):
        callback.on_epoch_end(0)
    assert signal.getsignal(signal.SIGHUP) == before
    assert [path.name for path in (tmp_path / "backup").iterdir()] == [
        "epoch_000001_batch_00000000"
    ]


def test_on_train_begin_keeps_sighup_ignored(gan, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        callback = BackupAndRestore(tmp_path / "backup")
        callback.set_model(gan)
        callback.on_train_begin()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        callback.on_train_end()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_save_succeeds_when_folders_cannot_be_flushed(tmp_path, gan, run, monkeypatch):
    # As on Windows, which opens no folder and flushes only what is open for writing.
    flushed, open_path, fsync = set(), os.open, os.fsync

    def open_files_only(path, *args, **kwargs):
        if os.path.isdir(path) and not kwargs:  # shutil.rmtree gives dir_fd, but not on Windows
            raise PermissionError(13, "Permission denied", str(path))
        return open_path(path, *args, **kwargs)

    def fsync_writable_only(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flushed.add(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    watch(gan, run / "backup")
    saved = read_state(gan)
    monkeypatch.setattr(os, "open", open_files_only)
    monkeypatch.setattr(os, "fsync", fsync_writable_only)
    watch(gan, tmp_path / "new").on_epoch_end(0)
    assert flushed >= {"state.weights.h5", "position.json"}
    gan.set_weights([0 * weight for weight in gan.get_weights()])
    watch(gan, tmp_path / "new")
    assert_equal_states(read_state(gan), saved)


def test_save_removes_the_backup_when_a_file_cannot_be_flushed(tmp_path, gan, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    callback = watch(gan, tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="could not be saved .*Input/output error"):
        callback.on_epoch_end(0)
    assert not list(tmp_path.iterdir())


def test_save_flushes_the_backup_before_its_folder(tmp_path, gan, monkeypatch):
    flushed, fsync = [], os.fsync

    def note(descriptor):
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    callback = watch(gan, tmp_path)
    monkeypatch.setattr(os, "fsync", note)
    callback.on_epoch_end(0)
    assert flushed[-2:] == [str(tmp_path / ".partial"), str(tmp_path)]


def test_save_checks_the_free_space_before_writing(tmp_path, gan, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    callback = watch(gan, tmp_path / "backup")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    with pytest.raises(OSError, match="could not be saved to .*: No space left .* 1,000 free"):
        callback.on_epoch_end(0)
    assert list((tmp_path / "backup").iterdir()) == []
