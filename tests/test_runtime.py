"""Tests how runs are distributed over devices and workers, and the errors."""

import builtins
import json
import os
import sys

import pytest
import tensorflow as tf

from fashion_gan import __main__, runtime
from fashion_gan.cli.main import main

WORKERS = {"worker": ["a:1", "b:2"]}


def answer(arguments, capsys):
    """Status and lines of the command."""
    status = main(arguments)
    return status, capsys.readouterr().err.splitlines()


def test_train_raises_for_more_devices_than_exist_and_writes_nothing(tmp_path, capsys):
    folder = tmp_path / "run"
    status, lines = answer(["train", "--devices", "3", "--run-dir", str(folder)], capsys)
    assert status == 2
    assert len(lines) == 1
    assert "Expected 1 to 1 devices" in lines[0]
    assert "Received: devices=3" in lines[0]
    assert not folder.exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        '"worker"',
        json.dumps({"cluster": WORKERS}),
        json.dumps({"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": -1}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": "0"}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "chief", "index": 0}}),
        json.dumps({"cluster": WORKERS | {"ps": ["c:3"]}, "task": {"type": "ps", "index": 0}}),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_train_raises_for_an_invalid_tf_config(text, flags, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    folder = tmp_path / "run"
    status, lines = answer(["train", "--run-dir", str(folder), *flags], capsys)
    assert status == 2
    assert len(lines) == 1
    assert "Expected TF_CONFIG=" in lines[0]
    assert text in lines[0]
    assert not folder.exists()


def test_train_raises_for_workers_without_a_run_dir(capsys, monkeypatch):
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS, "task": task}))
    assert answer(["train"], capsys) == (
        2,
        [
            "fashion-gan: error: Expected --run-dir with TF_CONFIG. Received: none. Name a folder "
            "that all workers share."
        ],
    )


def test_workers_lists_the_chief_first(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert runtime.workers() == []
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS, "task": task}))
    assert runtime.workers() == ["a:1", "b:2"]
    cluster = {"cluster": WORKERS | {"chief": ["c:3"]}, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert runtime.workers() == ["c:3", "a:1", "b:2"]


def test_train_prints_one_line_for_a_port_in_use(tmp_path, capsys, monkeypatch):
    def fail():
        raise tf.errors.UnknownError(None, None, "Could not start gRPC server")

    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS, "task": task}))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", fail)
    status, lines = answer(["train", "--run-dir", str(tmp_path / "run")], capsys)
    assert status == 2
    assert len(lines) == 1
    assert "cannot listen at its address" in lines[0]
    assert "Could not start gRPC server. Stop the program that uses the port" in lines[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lost", [True, False], ids=["workers", "one process"])
def test_with_workers_raises_connection_error_when_there_are_workers(lost, monkeypatch):
    task = {"type": "worker", "index": 0}
    text = json.dumps({"cluster": WORKERS, "task": task}) if lost else ""
    monkeypatch.setenv("TF_CONFIG", text)
    with (
        pytest.raises(ConnectionError if lost else tf.errors.UnavailableError),
        runtime.with_workers(),
    ):
        raise tf.errors.UnavailableError(None, None, "/job:worker/replica:0/task:1: gone")


def test_main_prints_one_line_for_an_interrupted_import(monkeypatch, capsys):
    def load(name, *_):
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "fashion_gan.cli")
    monkeypatch.delattr("fashion_gan.cli")
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", load)
        status = __main__.main()
    assert status == 130
    assert capsys.readouterr().err == "\nfashion-gan: interrupted.\n"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("TF_ENABLE_ONEDNN_OPTS", None, "1"),
        ("TF_ENABLE_ONEDNN_OPTS", "0", "0"),
        ("TF_FORCE_GPU_ALLOW_GROWTH", None, "true"),
        ("TF_FORCE_GPU_ALLOW_GROWTH", "false", "false"),
    ],
)
@pytest.mark.parametrize("quiet", [True, False])
def test_load_tensorflow_sets_variables_unless_they_are_set(
    monkeypatch, name, before, after, quiet
):
    monkeypatch.delenv(name)
    if before is not None:
        monkeypatch.setenv(name, before)
    runtime.load_tensorflow(quiet)
    assert os.environ[name] == after
    assert runtime.versions()["onednn"] == os.environ["TF_ENABLE_ONEDNN_OPTS"]


@pytest.mark.parametrize(("error", "shown"), [(ImportError, "noise\n"), (KeyboardInterrupt, "")])
def test_load_tensorflow_shows_messages_when_the_import_fails(monkeypatch, capfd, error, shown):
    def load(name, *_):
        os.write(2, b"noise\n")
        raise error

    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(builtins, "__import__", load)
        runtime.load_tensorflow()
    assert capfd.readouterr().err == shown
