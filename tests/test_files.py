"""Tests that files and folders are written completely or not at all."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from fashion_gan import files
from fashion_gan.cli.main import main
from fashion_gan.files import atomic_write, create_dir_or_undo, unique_dir, write_json
from fashion_gan.images import write_png
from fashion_gan.images.animation import animate


def test_atomic_write_replaces_a_file_when_the_block_ends(tmp_path):
    path = tmp_path / "new/scores.JSON"
    for content in ("old", "new"):
        with atomic_write(path) as partial:
            assert partial.suffix == ".json"
            partial.write_text(content)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == content
    (tmp_path / "convnet").touch()
    assert path.stat().st_mode == (tmp_path / "convnet").stat().st_mode
    assert os.listdir(path.parent) == ["scores.JSON"]


def test_atomic_write_creates_a_folder(tmp_path):
    with atomic_write(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "file").touch()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["folder", "folder/file"]


def test_atomic_write_flushes_a_file_before_renaming(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def note_fsync(descriptor):
        calls.append(("fsync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def note_replace(*paths):
        calls.append(("replace", 0))
        replace(*paths)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    with atomic_write(tmp_path / "file") as partial:
        partial.write_text("12345")
    assert calls == [("fsync", 5), ("replace", 0)]


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_atomic_write_keeps_the_old_file_when_the_block_raises(tmp_path, monkeypatch, fails, error):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise error

    if fails != "write":
        monkeypatch.setattr(os, fails, fail)
    with pytest.raises(error), atomic_write(path) as partial:
        partial.write_text("half")
        if fails == "write":
            fail()
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_text() == "old"


def test_atomic_write_keeps_the_old_folder_when_the_block_raises(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "file").touch()
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


WRITE_OFTEN = """
import sys
from fashion_gan.files import atomic_write

path, letter = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(50):
    with atomic_write(path) as partial, partial.open("w") as file:
        for _ in range(100):
            file.write(letter)
            file.flush()
"""


def test_atomic_write_supports_concurrent_processes(tmp_path):
    path = tmp_path / "file"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_OFTEN, str(path), letter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for letter in "ab"
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 100, "b" * 100)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("writer", ["json", "png", "film"])
def test_writers_keep_the_old_file_and_leave_no_partial_file_when_they_fail(
    tmp_path, monkeypatch, writer, fails
):
    grids, out = tmp_path / "grids", tmp_path / "out"
    for epoch in (0, 1):
        write_png(grids / f"epoch_{epoch:04d}.png", np.full((4, 6, 1), epoch, np.uint8))
    out.mkdir()
    (out / "old.gif").write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="disk full"):
        if writer == "json":
            write_json(out / "old.gif", {})
        elif writer == "png":
            write_png(out / "old.gif", np.zeros((4, 6, 1), np.uint8))
        else:
            animate(grids, out / "old.gif")
    assert os.listdir(out) == ["old.gif"]
    assert (out / "old.gif").read_text() == "old"


def test_write_json_writes_indented_or_one_line_json(tmp_path):
    content = {"a": [1, 2.5], "b": None}
    write_json(tmp_path / "a.json", content)
    write_json(tmp_path / "b.json", content, indent=None)
    texts = [(tmp_path / name).read_text() for name in ("a.json", "b.json")]
    assert [json.loads(text) for text in texts] == [content] * 2
    assert [text.count("\n") for text in texts] == [7, 1]
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert (tmp_path / "a.json").read_text() == texts[0]


def test_command_raises_with_its_out_path_when_the_file_cannot_be_written(tmp_path, capsys):
    def write_protected(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", write_protected)
        name = str(tmp_path / "samples.npy")
        assert main(["sample", "dense", "--out", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} cannot be opened or created (Permission denied)" in line
    assert files._PREFIX not in line


def test_create_dir_or_undo_keeps_existing_and_nonempty_folders(tmp_path):
    (tmp_path / "old").mkdir()
    for folder in ("old", "old/new", "old/full/of"):
        with pytest.raises(ZeroDivisionError), create_dir_or_undo(tmp_path / folder):
            assert (tmp_path / folder).is_dir()
            if "full" in folder:
                (tmp_path / "old/full/file").touch()
            1 / 0  # noqa: B018
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "old"]


def test_unique_dir_removes_a_parent_that_it_created(tmp_path):
    with unique_dir(tmp_path / "logs", "dense"):
        pass
    assert not (tmp_path / "logs").exists()
    with unique_dir(tmp_path / "logs", "dense") as folder:
        (folder / "config.json").touch()
    assert list((tmp_path / "logs").iterdir()) == [folder]


def test_unique_dir_numbers_folders_and_keeps_nonempty_ones(tmp_path):
    with ExitStack() as held:
        folders = [held.enter_context(unique_dir(tmp_path, "dense")) for _ in range(3)]
        assert [folder.name for folder in folders] == ["dense", "dense-2", "dense-3"]
        (folders[1] / "config.json").touch()
    assert [folder.exists() for folder in folders] == [False, True, False]
