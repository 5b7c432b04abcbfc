"""Tests JSONLogger: one line for each epoch, also after interruptions."""

import json

import numpy as np
import pytest
from helpers import tiny_networks

from fashion_gan import GAN
from fashion_gan.callbacks import JSONLogger


def lines(path):
    return [json.loads(line) for line in path.read_text().rstrip("\n").split("\n")]


@pytest.fixture(scope="module")
def gan():
    """Returns a GAN that is never trained."""
    return GAN(*tiny_networks(), seed=0)


def log_epochs(gan, path, first, last):
    """Logs epochs, the first of which has this index, as `fit()` does."""
    callback = JSONLogger(path)
    callback.set_model(gan)
    callback.on_train_begin()
    for epoch in range(first, last):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"d_loss": 0.5})


def test_json_logger_writes_what_fit_logs(make_gan, tiny_images, tmp_path):
    path = tmp_path / "metrics.jsonl"
    gan = make_gan()
    logs = gan.fit(
        tiny_images, batch_size=8, epochs=3, callbacks=[JSONLogger(path)], verbose=0
    ).history
    assert [(line["epoch"], line["steps"]) for line in lines(path)] == [(1, 4), (2, 8), (3, 12)]
    for name, values in logs.items():
        assert [line[name] for line in lines(path)] == values


def test_json_logger_drops_truncated_lines_and_lines_of_repeated_epochs(gan, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3}\n{"epo')
    log_epochs(gan, path, 2, 4)
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3, 4]
    assert lines(path)[:2] == [{"epoch": 1}, {"epoch": 2}]
    assert "d_loss" in lines(path)[2]


def test_json_logger_starts_a_new_file_for_a_new_run(gan, tmp_path):
    for _ in range(2):
        log_epochs(gan, tmp_path / "metrics.jsonl", 0, 2)
    assert [line["epoch"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]


def test_json_logger_writes_null_for_non_finite_numbers(gan, tmp_path):
    callback = JSONLogger(tmp_path / "metrics.jsonl")
    callback.set_model(gan)
    callback.on_epoch_end(0, {"d_loss": np.float32("nan"), "g_loss": np.inf, "x": 1})
    assert lines(callback.filename) == [
        {"epoch": 1, "steps": 0, "d_loss": None, "g_loss": None, "x": 1.0}
    ]


@pytest.mark.parametrize(
    ("content", "damaged"),
    [
        (b'{"epoch": 1, "x": 2}\n\x00\x00', "2, 3"),
        (b'\xff\xfe\n{"epoch": 2}\n{"epoch": 3}\n', "1"),
        (b'{"epoch": 1}\n{"epoch": 3}\n{"epoch": 3}\n', "2"),
        (b'{"epoch": 1, "x": "\xe2\x80\xa8"}\n[1]\n{"epoch": 3}\n', "2"),
        (b"[" * 200_000, "1, 2, 3"),
    ],
)
def test_json_logger_warns_and_replaces_damaged_lines_when_resumed(content, damaged, gan, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"damaged or missing one of epoch {damaged}. Its"):
        log_epochs(gan, path, 3, 4)
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3, 4]
    assert all(
        lines(path)[int(number) - 1] == {"epoch": int(number)} for number in damaged.split(", ")
    )
    assert "d_loss" in lines(path)[3]
