"""Backups: training that was stopped anywhere ends as if it had not been."""

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
from keras import layers

from fashion_gan import GAN, data
from fashion_gan.callbacks import BackupAndRestore, JSONLogger

IMAGES = np.random.default_rng(3).random((44, 4, 4, 1), dtype="float32")
EPOCHS, BATCHES = 4, 11


class Stop(keras.callbacks.Callback):
    """Raises when so many batches are done."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps >= self.batches:
            raise RuntimeError("stopped here")


def make_gan(steps_per_execution=1, seed=5):
    """Dropout and batch norm: all the state that there can be."""
    keras.utils.set_random_seed(seed)
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8), layers.Dropout(0.3)]
        + [layers.Dense(1)]
    )
    gan = GAN(generator, discriminator, seed=seed)
    gan.compile("adam", "rmsprop", jit_compile=False, steps_per_execution=steps_per_execution)
    return gan


def train(folder, stop_at=None, seconds=-1.0, seed=5, steps_per_execution=1):
    """A fresh process's part of a run: new model and dataset, backups after each execution."""
    gan = make_gan(steps_per_execution, seed)
    dataset = data.make_dataset(IMAGES, batch_size=4, seed=1)
    callbacks = [JSONLogger(folder / "metrics.jsonl"), BackupAndRestore(folder / "backup", seconds)]
    if stop_at is not None:
        callbacks.append(Stop(stop_at))
    try:
        gan.fit(dataset, epochs=EPOCHS, callbacks=callbacks, verbose=0)
    except RuntimeError as error:
        assert str(error) == "stopped here"
    return state(gan), (folder / "metrics.jsonl").read_text()


def state(gan):
    return [v.numpy() for v in (*gan.variables, *gan.g_optimizer.variables)] + [
        v.numpy() for v in gan.d_optimizer.variables
    ]


def assert_same(result, wanted):
    assert result[1] == wanted[1]
    for a, b in zip(result[0], wanted[0], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("uninterrupted"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a run that was stopped after 25 batches, with a backup of each."""
    folder = tmp_path_factory.mktemp("stopped")
    train(folder, stop_at=25)
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    """A copy of that folder, to be damaged."""
    return shutil.copytree(stopped, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [-1.0, 1e9], ids=["each batch", "each epoch"])
def test_a_run_stopped_five_times_ends_in_the_same_bits(tmp_path, uninterrupted, seconds):
    for stop_at, seed in ((1, 5), (7, 5), (11, 5), (25, 5), (43, 7)):
        train(tmp_path, stop_at, seconds, seed)
    assert_same(train(tmp_path, seconds=seconds, seed=99), uninterrupted)


def test_backup_saves_no_position_of_a_batch_that_fit_skips(run):
    saved = []

    class Recording(BackupAndRestore):
        def _save(self, epoch, batch):
            saved.append((epoch, batch))
            super()._save(epoch, batch)

    gan, dataset = make_gan(), data.make_dataset(IMAGES, batch_size=4, seed=1)
    gan.fit(dataset, epochs=EPOCHS, callbacks=[Recording(run / "backup", -1.0)], verbose=0)
    assert saved[:2] == [(2, 3), (2, 4)], "25 batches are 2 epochs of 11 and 3 batches"


def test_a_partial_last_execution_is_resumed_exactly(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    wanted = train(tmp_path / "a", steps_per_execution=3)
    for stop_at, seed in ((3, 5), (9, 6), (20, 7)):
        train(tmp_path / "b", stop_at, seed=seed, steps_per_execution=3)
    assert_same(train(tmp_path / "b", steps_per_execution=3), wanted)
    assert wanted[0][0][1] == EPOCHS * BATCHES


def test_a_resumed_epoch_begun_with_other_executions_is_refused(run):
    with pytest.raises(ValueError, match="3 batches .* no multiple of steps_per_execution=2"):
        train(run, steps_per_execution=2)


def test_the_result_depends_on_the_backup_being_read(run, uninterrupted):
    shutil.rmtree(run / "backup")
    result = train(run, seed=99)
    assert not np.array_equal(result[0][1], uninterrupted[0][1])


@pytest.mark.parametrize("size", [0, 1, 0.5, -1])
def test_a_truncated_backup_falls_back_to_the_one_before_and_costs_nothing(
    run, uninterrupted, size
):
    newest = max((run / "backup").iterdir())
    file = newest / "state.weights.h5"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * size) if size == 0.5 else size])
    with pytest.warns(UserWarning, match=f"{newest.name} is broken .*SHA-256.* before it"):
        result = train(run, seed=99)
    assert_same(result, uninterrupted)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"epoch": 1}'])
def test_a_torn_position_falls_back_likewise(run, uninterrupted, content):
    (max((run / "backup").iterdir()) / "position.json").write_text(content)
    with pytest.warns(UserWarning, match="is broken"):
        assert_same(train(run, seed=99), uninterrupted)


def test_without_any_sound_backup_training_does_not_begin_anew_in_silence(run):
    for file in (run / "backup").glob("*/position.json"):
        file.write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="No backup in .* can be read. Delete the folder"):
            train(run)


@pytest.mark.parametrize("call", ["write_text", "rename", "mkdir"])
def test_a_disk_that_fails_ends_the_run_with_the_backup_before_intact(
    run, uninterrupted, monkeypatch, call
):
    before = sorted(p.name for p in (run / "backup").iterdir())

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"pathlib.Path.{call}", fail)
        gan = make_gan()
        with pytest.raises(OSError, match="could not be saved .*No space left.* is intact"):
            gan.fit(
                data.make_dataset(IMAGES, batch_size=4, seed=1),
                epochs=EPOCHS,
                callbacks=[BackupAndRestore(run / "backup", -1.0)],
                verbose=0,
            )
    assert sorted(p.name for p in (run / "backup").iterdir()) == before
    assert_same(train(run, seed=99), uninterrupted)


def test_two_backups_are_kept(tmp_path):
    train(tmp_path)
    kept = sorted(path.name for path in (tmp_path / "backup").iterdir())
    assert kept == ["epoch_000003_batch_00000010", "epoch_000004_batch_00000000"]
    position = json.loads((tmp_path / "backup" / kept[0] / "position.json").read_text())
    assert (position["epoch"], position["batch"]) == (3, 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at_step", [3, 11], ids=["within an epoch", "at its end"])
def test_a_signal_takes_effect_after_a_backup(tmp_path, uninterrupted, number, at_step):
    class Signal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.steps == at_step - 1:
                os.kill(os.getpid(), number)

    gan, before = make_gan(), signal.getsignal(number)
    callbacks = [Signal(), JSONLogger(tmp_path / "metrics.jsonl")]
    with pytest.raises(KeyboardInterrupt, match=number.name):
        gan.fit(
            data.make_dataset(IMAGES, batch_size=4, seed=1),
            epochs=EPOCHS,
            callbacks=[*callbacks, BackupAndRestore(tmp_path / "backup", 1e9)],
            verbose=0,
        )
    assert signal.getsignal(number) == before
    assert gan.steps == at_step
    newest = max((tmp_path / "backup").iterdir()).name
    epoch, batch = divmod(at_step, BATCHES)
    assert newest == f"epoch_{epoch:06d}_batch_{batch:08d}"
    assert_same(train(tmp_path, seed=99), uninterrupted)


def test_keras_own_backup_and_restore_resumes_exactly_too(tmp_path, uninterrupted):
    def part(stop_at, seed):
        gan = make_gan(seed=seed)
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "keras")]
        if stop_at:
            callbacks.append(Stop(stop_at))
        dataset = data.make_dataset(IMAGES, batch_size=4, seed=1)
        try:
            gan.fit(dataset, epochs=EPOCHS, callbacks=callbacks, verbose=0)
        except RuntimeError as error:
            assert str(error) == "stopped here"
        return state(gan)

    part(20, seed=5)
    part(36, seed=6)
    for a, b in zip(part(None, seed=7), uninterrupted[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_backup_is_saved_when_folders_cannot_be_flushed(tmp_path, monkeypatch, uninterrupted):
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

    monkeypatch.setattr(os, "open", open_files_only)
    monkeypatch.setattr(os, "fsync", fsync_writable_only)
    train(tmp_path, stop_at=7)
    assert flushed >= {"state.weights.h5", "position.json"}
    assert_same(train(tmp_path, seed=99), uninterrupted)


def test_backup_is_not_saved_when_a_file_cannot_be_flushed(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    gan = make_gan()
    with pytest.raises(OSError, match="could not be saved .*Input/output error"):
        gan.fit(IMAGES, verbose=0, callbacks=[BackupAndRestore(tmp_path, -1.0)])
    assert not list(tmp_path.iterdir())


def test_backup_flushes_its_folder_where_that_is_possible(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync

    def note(descriptor):
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    make_gan().fit(IMAGES, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert flushed[-1] == str(tmp_path)
    assert flushed[-2] == str(tmp_path / ".partial")


def edit_position(folder, **changes):
    path = max((folder / "backup").iterdir()) / "position.json"
    position = json.loads(path.read_text())
    for name, value in changes.items():
        position.pop(name) if value is None else position.update({name: value})
    path.write_text(json.dumps(position))


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
def test_restore_takes_the_older_backup_when_the_position_was_changed(run, uninterrupted, changes):
    edit_position(run, **changes)
    with pytest.warns(UserWarning, match="Trying the one before it"):
        result = train(run, seed=99)
    assert_same(result, uninterrupted)


def test_restore_takes_the_older_backup_when_a_folder_was_renamed(run, uninterrupted):
    newest = max((run / "backup").iterdir())
    newest.rename(newest.with_name("epoch_000003_batch_00000010"))
    with pytest.warns(UserWarning, match="its position is not that of its name"):
        result = train(run, seed=99)
    assert_same(result, uninterrupted)


def test_backup_checks_the_space_before_it_writes(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    gan = make_gan()
    backup = BackupAndRestore(tmp_path / "backup")
    with pytest.raises(OSError, match="could not be saved to .*: No space left .* 1,000 free"):
        gan.fit(IMAGES, batch_size=4, verbose=0, callbacks=[backup])
    assert list((tmp_path / "backup").iterdir()) == []


def test_backup_leaves_sighup_ignored_when_it_was(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        gan = make_gan()
        gan.fit(IMAGES, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup")])
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
