"""Tests damaged, locked and odd storages of a sweep: one-line errors without changes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from scripts.sweep_worker import EPOCHS, SEEDS, SPACE, train

from fashion_gan import sweep
from fashion_gan.cli.main import main
from fashion_gan.runs.config import Config

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")

optuna = pytest.importorskip("optuna")
CONFIG = Config(epochs=EPOCHS)
TRIALS = len(SPACE["r1"]) * len(SPACE["loss"])


def work(folder, storage=None):
    """Returns the finished study of a sweep whose trainings are arithmetic."""
    study = sweep.open_study(folder, SPACE, CONFIG, SEEDS, storage)
    sweep.run_worker(study, folder, CONFIG, SPACE, SEEDS, train=train)
    return study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns the folder of a finished sweep, with its database and with a journal."""
    folder = tmp_path_factory.mktemp("finished")
    work(folder / "sweep")
    work(folder / "other", str(folder / "other/sweep.log"))
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """Returns a copy of the folder of the sweep with a database."""
    return Path(shutil.copytree(finished / "sweep", tmp_path / "sweep"))


@pytest.fixture
def journal(finished, tmp_path):
    """Returns a copy of the journal of a sweep."""
    shutil.copytree(finished / "other", tmp_path / "other")
    return tmp_path / "other/sweep.log"


def snapshot(folder):
    """Returns all paths below a folder with their contents."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith("-journal")
    }


def assert_one_line_and_no_change(capsys, folder, root, said, storage=None):
    """Asserts that the command and `open_study` name the fault and change no file."""
    before = snapshot(root)
    with pytest.raises(ValueError, match=said):
        sweep.open_study(folder, SPACE, CONFIG, SEEDS, storage)
    command = ["sweep", "r1=0,1", "--sweep-dir", str(folder)]
    assert main([*command, *(["--storage", storage] if storage else [])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fashion-gan: error: The storage ")
    assert snapshot(root) == before


def overwrite(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"garbage" * 1000), "file is not a database. Restore it"),
        (lambda path: overwrite(path, 4096, b"\xff" * 8192), "the database is damaged. Restore it"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), r"opened: .*Restore it"),
        (lambda path: path.write_bytes(b""), "holds no study sweep, but .*/sweep holds trials"),
        (lambda path: path.unlink(), "holds no study sweep, but .*/sweep holds trials"),
    ],
    ids=["garbage", "middle", "half", "emptied", "deleted"],
)
def test_open_study_raises_for_a_damaged_database(folder, tmp_path, capsys, damage, said):
    damage(folder / "study.db")
    assert_one_line_and_no_change(capsys, folder, tmp_path, f"/sweep/study.db .*{said}")


def test_open_study_raises_for_unreadable_content_of_a_trial(folder, tmp_path, capsys):
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'folder'")
    assert_one_line_and_no_change(capsys, folder, tmp_path, "study.db cannot be opened: ")


def test_open_study_raises_for_a_locked_database(folder, tmp_path, capsys):
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        said = "study.db cannot be opened: database is locked. Wait, or end the process"
        assert_one_line_and_no_change(capsys, folder, tmp_path, said)


def test_run_worker_raises_when_the_database_becomes_locked(tmp_path):
    study = sweep.open_study(tmp_path, SPACE, CONFIG, SEEDS)
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as connection:

        def lock(*_):
            connection.execute("BEGIN EXCLUSIVE")
            raise InterruptedError

        with pytest.raises(ValueError, match="cannot be written: database is locked. Wait"):
            sweep.run_worker(study, tmp_path, CONFIG, SPACE, SEEDS, train=lock)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"not json\n" * 2), "line 1 is not a record of Optuna's"),
        (
            lambda path: path.write_text('not json\n{"x": 1}\n'),
            "line 1 is not a record of Optuna's",
        ),
        (lambda path: path.write_text('{"x": 1}\n'), "line 1 is not a record of Optuna's journal"),
        (lambda path: path.write_text("[1]\n5\n"), "line 1 is not a record of Optuna's journal"),
        (
            lambda path: path.write_text('{"op_code": 4, "worker_id": "w"}\n'),
            "holds no study other",
        ),
        (lambda path: path.write_bytes(os.urandom(4096)), "line 1 is not a record of Optuna's"),
        (lambda path: os.truncate(path, path.stat().st_size - 9), r"line \d+ is not a record"),
        (lambda path: overwrite(path, 5000, b"\0" * 3000), r"line \d+ is not a record"),
        (lambda path: path.write_bytes(b""), "holds no study other, but .*/other holds trials"),
    ],
    ids=["text", "mixed", "object", "list", "fields", "bytes", "torn", "middle", "emptied"],
)
def test_open_study_raises_for_a_damaged_journal(journal, tmp_path, capsys, damage, said):
    damage(journal)
    assert_one_line_and_no_change(capsys, journal.parent, tmp_path, said, str(journal))


@pytest.mark.parametrize("record", [{"study_id": 0}, {"study_id": 0, "user_attr": {"settings": 5}}])
def test_open_study_raises_for_a_journal_with_records_of_a_wrong_type(
    journal, tmp_path, capsys, record
):
    with journal.open("a") as file:
        file.write(json.dumps({"op_code": 2, "worker_id": "w", **record}) + "\n")
    said = "sweep.log cannot be opened: .*Restore it, or name another"
    assert_one_line_and_no_change(capsys, journal.parent, tmp_path, said, str(journal))


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("sqlite:////nonexistent/x.db", "there is no folder /nonexistent. Create it, or name"),
        ("/nonexistent/x.log", "there is no folder /nonexistent. Create it, or name"),
        ("nonexistent/x.log", "there is no folder nonexistent. Create it, or name"),
        ("FOLDER/folder.log", "Is a directory. Restore it, or name another"),
        ("sqlite:///FOLDER/folder.log/", "unable to open database file. Restore it, or name"),
    ],
)
def test_open_study_raises_for_an_invalid_storage(tmp_path, capsys, storage, said):
    (tmp_path / "folder.log").mkdir()
    storage = storage.replace("FOLDER", str(tmp_path))
    assert_one_line_and_no_change(capsys, tmp_path / "new/sweep", tmp_path, said, storage)


def test_open_study_finds_its_study_when_the_folder_was_moved(folder):
    moved = folder.rename(folder.with_name("moved"))
    study = work(moved)
    assert study.study_name == "sweep" and len(study.trials) == TRIALS


def lock(path, age):
    """Returns a lock as Optuna leaves it when it is killed."""
    path = Path(f"{path}.lock")
    path.symlink_to("elsewhere")
    created = time.time() - age
    os.utime(path, (created, created), follow_symlinks=False)
    return path


@pytest.mark.parametrize(
    ("age", "said"), [(40, "40 seconds|4[1-9] seconds"), (7200, "2 hours"), (200_000, "2 days")]
)
def test_open_study_raises_for_a_stale_lock_of_a_journal(tmp_path, age, said):
    storage = tmp_path / "my sweep.log"
    path = lock(storage, age)
    with pytest.raises(ValueError, match=f"({said}) old.* remove it: rm '{path}'"):
        sweep.open_study(tmp_path / "sweep", SPACE, CONFIG, SEEDS, str(storage))
    assert sorted(tmp_path.iterdir()) == [path]


def test_run_worker_raises_for_a_stale_lock_of_a_journal(tmp_path):
    storage = tmp_path / "sweep.log"
    study = sweep.open_study(tmp_path / "sweep", SPACE, CONFIG, SEEDS, str(storage))

    def leave_lock(*_):
        lock(storage, 3600)
        raise InterruptedError

    with pytest.raises(TimeoutError, match="60 minutes old.* remove it: rm "):
        sweep.run_worker(study, tmp_path / "sweep", CONFIG, SPACE, SEEDS, train=leave_lock)


@pytest.mark.slow
def test_open_study_waits_for_a_lock_that_is_released(tmp_path):
    storage = tmp_path / "sweep.log"
    path = lock(storage, 0)
    remove = f"import time, os; time.sleep(3); os.unlink({str(path)!r})"
    with subprocess.Popen([sys.executable, "-c", remove]):
        study = sweep.open_study(tmp_path / "sweep", SPACE, CONFIG, SEEDS, str(storage))
    assert len(study.trials) == TRIALS and not path.is_symlink()
