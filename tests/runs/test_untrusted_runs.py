"""Tests untrusted run folders: links, pipes, devices, and files that hold anything."""

import json
import os
import shutil
import socket

import numpy as np
import pytest

from fashion_gan.cli.main import main
from fashion_gan.images import write_png
from fashion_gan.registry import printable
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.summary import comparison_page, list_runs, summarize_run

WRITTEN = (
    ".lock",
    "backup",
    "backup/.partial",
    "best.keras",
    "config.json",
    "data.json",
    "metrics.jsonl",
    "model.keras",
    "monitor.json",
    "projector",
    "samples",
    "samples/epoch_0001.png",
    "scores.json",
    "train",
    "versions.json",
)
"""Paths that a training writes."""


@pytest.fixture
def run_dir(tmp_path):
    return make_run(tmp_path / "run")


def make_run(folder, **files):
    (folder / "samples").mkdir(parents=True)
    (folder / "backup").mkdir()
    (folder / "config.json").write_text(json.dumps({"epochs": 2}))
    lines = [json.dumps({"epoch": epoch, "d_loss": 0.5}) + "\n" for epoch in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    write_png(folder / "samples/epoch_0002.png", np.zeros((2, 2, 1), np.uint8))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def content_of(folder):
    return {
        path: os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


def train(folder, *flags):
    return main(["train", "--resume", "--run-dir", str(folder), "--epochs", "3", *flags])


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
@pytest.mark.parametrize("name", WRITTEN)
def test_train_raises_and_writes_nothing_when_a_link_leads_out_of_the_run(
    name, target, run_dir, tmp_path, capsys
):
    victim = tmp_path / "mine"
    if target == "folder":
        victim.mkdir()
        (victim / "mine").write_text("mine")
    elif target == "file":
        victim.write_text("mine")
    path = run_dir / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(victim)
    before = content_of(tmp_path)
    assert train(run_dir) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Received: {name}, which leads to {victim}." in line
    assert content_of(tmp_path) == before


def test_check_available_accepts_links_that_stay_within_the_run(run_dir, tmp_path):
    (run_dir / "best.png").symlink_to("samples/epoch_0002.png")
    link = tmp_path / "elsewhere"
    link.symlink_to(run_dir)
    for folder in (run_dir, link):
        RunDirectory(folder).check_available(Config(epochs=2), resume=True)


def test_train_raises_for_a_loop_of_links(run_dir, capsys):
    (run_dir / "train").symlink_to("validation")
    (run_dir / "validation").symlink_to("train")
    assert train(run_dir) == 2
    assert "leads to" in capsys.readouterr().err


def as_pipe(path):
    os.mkfifo(path)


def as_folder(path):
    path.mkdir()


def as_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(path.parent)  # a path of a socket is short
        server.bind(path.name)
        os.chdir(before)


def as_device_link(path):
    path.symlink_to("/dev/zero")


def as_dangling_link(path):
    path.symlink_to(path.parent / "gone")


ODD_FILES = [as_pipe, as_folder, as_socket, as_device_link, as_dangling_link]


@pytest.mark.parametrize("make", ODD_FILES)
@pytest.mark.parametrize(
    "name", ["config.json", "metrics.jsonl", "monitor.json", "scores.json", ".lock", "model.keras"]
)
def test_list_runs_lists_other_runs_when_a_file_is_irregular(name, make, tmp_path, capsys):
    make_run(tmp_path / "good")
    odd = make_run(tmp_path / "odd")
    (odd / name).unlink(missing_ok=True)
    make(odd / name)
    states = {run.folder.name: run.state for run in list_runs(tmp_path)}
    assert states["good"] == "interrupted"
    assert states["odd"] in ("broken", "interrupted")
    if name in ("config.json", "metrics.jsonl") or make is as_device_link:
        assert states["odd"] == "broken"
    assert main(["runs", str(tmp_path)]) == 0
    assert "good" in capsys.readouterr().out


DEEP = "[" * 200_000
ODD_CONTENT = {
    "count of infinity": {
        "scores__json": '{"scores":{"samples":{}},"protocol":{"count":Infinity}}'
    },
    "count of 1e999": {"scores__json": '{"scores":{"samples":{}},"protocol":{"count":1e999}}'},
    "deep config": {"config__json": DEEP},
    "deep scores": {"scores__json": DEEP},
    "deep monitor": {"monitor__json": DEEP},
    "config with an integer of 400 digits": {"config__json": f'{{"r1": 1{"0" * 400}}}'},
    "config with an integer of 5,000 digits": {"config__json": f'{{"r1": 1{"0" * 5000}}}'},
    "monitor with a key that is no number": {"monitor__json": '{"a": {"reported": []}}'},
    "no UTF-8": {"config__json": "\udcff"},
}


@pytest.mark.parametrize("files", ODD_CONTENT.values(), ids=ODD_CONTENT)
def test_list_runs_marks_a_run_broken_when_a_file_has_unexpected_content(files, tmp_path, capsys):
    make_run(tmp_path / "good")
    odd = make_run(tmp_path / "odd")
    for name, content in files.items():
        (odd / name.replace("__", ".")).write_bytes(content.encode(errors="surrogateescape"))
    states = {run.folder.name: (run.state, run.error) for run in list_runs(tmp_path)}
    assert states["good"][0] == "interrupted"
    assert states["odd"][0] == "broken" and states["odd"][1]
    assert main(["runs", str(tmp_path)]) == 0
    assert main(["compare", str(odd)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "cannot be read" in lines[0]


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        '{"epoch": 2, "a": ' + DEEP,
        '{"epoch": Infinity}',
        f'{{"epoch": 1{"0" * 400}}}',
        '{"epoch": -1}',
        "[1]",
        "\x00",
    ],
    ids=range(7),
)
def test_read_history_stops_at_an_invalid_line(line, tmp_path):
    content = '{"epoch": 1, "d_loss": 0.5}\n' + line + '\n{"epoch": 3}\n'
    summary = summarize_run(make_run(tmp_path / "run", metrics__jsonl=content))
    assert (summary.state, summary.epochs) == ("interrupted", 1)


def test_compare_draws_curves_of_extreme_numbers(tmp_path):
    values = (1e299, -1e299, 1e-300, 0)
    lines = [
        json.dumps({"epoch": i, "d_loss": v, "g_loss": 1e299}) for i, v in enumerate(values, 1)
    ]
    run = make_run(tmp_path / "run", metrics__jsonl="\n".join(lines) + "\n")
    out = tmp_path / "page.html"
    assert main(["compare", str(run), "--out", str(out)]) == 0
    assert "nan" not in out.read_text().split("<svg", 1)[1].split("</svg>")[0]


def test_compare_embeds_only_images_of_the_run(tmp_path):
    run = make_run(tmp_path / "run")
    assert 'src="data:image/png' in comparison_page([summarize_run(run)])
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (run / "samples/epoch_0003.png").write_text("secret")
    os.mkfifo(run / "samples/epoch_0004.png")
    page = comparison_page([summarize_run(run)])
    assert page.count('src="data:image/png') == 1 and 'alt="epoch_0002"' in page
    summary = summarize_run(run)
    (run / "samples/epoch_0005.png").symlink_to(secret)
    assert 'src="data:image/png' not in comparison_page([summary])
    assert summarize_run(run).state == "broken"


ESCAPES = "\x1b[31mred\x1b]0;title\x07"


@pytest.mark.parametrize(
    "name", ["run[v2]", "[bold]x[/bold]", ":smile:", ESCAPES, "a\nb", "\udcff"]
)
def test_runs_and_compare_print_names_as_plain_text(name, tmp_path, capsys):
    run = make_run(
        tmp_path / os.fsdecode(os.fsencode(name)),
        config__json=json.dumps({"epochs": 2, "loss": ESCAPES}),
        monitor__json=json.dumps({"2": {"reported": [f"missing: {ESCAPES}"]}}),
    )
    out = tmp_path / "page.html"
    assert main(["runs", str(tmp_path)]) == 0
    assert main(["compare", str(run), str(run), "--out", str(out)]) == 0
    assert main(["train", "--run-dir", str(run)]) == 2
    printed = capsys.readouterr()
    assert printable(name) in "".join(printed.out.split("\n"))
    assert printable(" ".join(name.split())) in printed.err
    for text in (*printed, out.read_text()):
        assert "\x1b" not in text and "\x07" not in text


def test_list_runs_lists_a_run_when_a_file_is_renamed_meanwhile(run_dir, monkeypatch):
    real = os.lstat
    (run_dir / "monitor.json").write_text("{}")

    def lstat(path, *arguments, **options):
        if str(path).endswith("monitor.json"):
            (run_dir / "monitor.json").unlink(missing_ok=True)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "lstat", lstat)
    assert summarize_run(run_dir).state == "interrupted"
