"""Lines of JSON: one for each epoch, whatever happened in between."""

import json

import numpy as np
import pytest

from fashion_gan.callbacks import JSONLogger


def lines(path):
    return [json.loads(line) for line in path.read_text().rstrip("\n").split("\n")]


def test_each_epoch_has_a_line_with_what_fit_logged(make_gan, tiny_images, tmp_path):
    path = tmp_path / "metrics.jsonl"
    gan = make_gan()
    logs = gan.fit(
        tiny_images, batch_size=8, epochs=3, callbacks=[JSONLogger(path)], verbose=0
    ).history
    assert [(line["epoch"], line["steps"]) for line in lines(path)] == [(1, 4), (2, 8), (3, 12)]
    for name, values in logs.items():
        assert [line[name] for line in lines(path)] == values


def test_resuming_drops_the_lines_of_epochs_to_be_done_again_and_a_torn_one(
    make_gan, tiny_images, tmp_path
):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3}\n{"epo')
    make_gan().fit(tiny_images, epochs=4, initial_epoch=2, callbacks=[JSONLogger(path)], verbose=0)
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3, 4]
    assert lines(path)[:2] == [{"epoch": 1}, {"epoch": 2}]
    assert "d_loss" in lines(path)[2]


def test_a_new_run_begins_a_new_file(make_gan, tiny_images, tmp_path):
    callback = JSONLogger(tmp_path / "metrics.jsonl")
    for _ in range(2):
        make_gan().fit(tiny_images, epochs=2, callbacks=[callback], verbose=0)
    assert [line["epoch"] for line in lines(callback.filename)] == [1, 2]


def test_what_is_not_finite_is_null_since_json_has_no_word_for_it(make_gan, tmp_path):
    callback = JSONLogger(tmp_path / "metrics.jsonl")
    callback.set_model(make_gan())
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
def test_json_logger_names_and_replaces_damaged_lines_when_resumed(
    content, damaged, make_gan, tiny_images, tmp_path
):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"damaged or missing one of epoch {damaged}. Its"):
        make_gan().fit(
            tiny_images, epochs=4, initial_epoch=3, callbacks=[JSONLogger(path)], verbose=0
        )
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3, 4]
    assert all(
        lines(path)[int(number) - 1] == {"epoch": int(number)} for number in damaged.split(", ")
    )
    assert "d_loss" in lines(path)[3]
