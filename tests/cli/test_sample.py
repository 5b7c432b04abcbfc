"""Tests the sample and animate commands: their files, and existing files."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import SMALL_RUN_FLAGS, use_small_fashion_mnist

from fashion_gan.cli.main import main
from fashion_gan.runs import checkpoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns the folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    flags = ["--epochs", "1", "--eval-freq", "0", *SMALL_RUN_FLAGS]
    with pytest.MonkeyPatch.context() as patch:
        use_small_fashion_mnist(patch)
        assert main(["train", "--run-dir", str(folder), *flags]) == 0
    return folder


def test_sample_writes_a_grid_an_array_and_a_folder(folder, tmp_path):
    for out in ("a.png", "a.npy", "a"):
        assert main(["sample", str(folder), "--num-images", "6", "--out", str(tmp_path / out)]) == 0
    array = np.load(tmp_path / "a.npy")
    assert (array.shape, array.dtype) == ((6, 28, 28, 1), np.uint8)
    wanted = np.rint(255 * checkpoints.load(folder).sample(6, seed=0))
    np.testing.assert_array_equal(array, wanted)
    for index, image in enumerate(array):
        png = tf.io.decode_png((tmp_path / "a" / f"{index:05d}.png").read_bytes())
        np.testing.assert_array_equal(png, image)
    grid = tf.io.decode_png((tmp_path / "a.png").read_bytes()).numpy()
    np.testing.assert_array_equal(grid[:28, :28], 255 - array[0])


def test_sample_loads_a_model_file(folder, tmp_path):
    for source, out in ((folder, "a.npy"), (folder / "model.keras", "b.npy")):
        assert main(["sample", str(source), "--seed", "3", "--out", str(tmp_path / out)]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_animate_writes_the_grids_of_a_run(folder, tmp_path, capsys):
    out = tmp_path / "film.gif"
    assert main(["animate", str(folder), "--out", str(out), "--fps", "2"]) == 0
    assert "epochs" in capsys.readouterr().out and out.exists()
    assert main(["animate", str(tmp_path), "--out", str(out)]) == 2
    assert "at least two files epoch_0000.png" in capsys.readouterr().err


def sample_to_folder(out, count, seed):
    return main(["sample", "dense", "--num-images", count, "--seed", seed, "--out", str(out)])


def test_sample_replaces_the_images_of_an_earlier_sample_in_a_folder(tmp_path, capsys):
    for name, count, seed in (("a", "12", "1"), ("a", "3", "2"), ("b", "3", "2")):
        assert sample_to_folder(tmp_path / name, count, seed) == 0
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"
    )
    assert sorted(first) == ["00000.png", "00001.png", "00002.png", "samples.json"]
    assert first == second


def test_sample_keeps_numbered_images_of_other_programs(tmp_path, capsys):
    (tmp_path / "00000.png").write_text("mine")
    assert sample_to_folder(tmp_path, "1", "1") == 2
    assert "which holds 00000.png. Name another folder." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["00000.png"]


@pytest.mark.parametrize(
    "name", ["photo.png", "0000.png", "000012.png", "00003.jpg", "00003.png/x", ".hidden"]
)
def test_sample_raises_and_writes_nothing_when_the_folder_holds_other_files(tmp_path, capsys, name):
    out = tmp_path / "out"
    assert sample_to_folder(out, "2", "1") == 0
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = {path: path.is_file() and path.read_bytes() for path in out.rglob("*")}
    assert sample_to_folder(out, "1", "2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    other = name.split("/")[0]
    assert f"Received: {out}, which holds {other}. Name another folder." in line
    assert {path: path.is_file() and path.read_bytes() for path in out.rglob("*")} == before


def test_sample_ignores_partial_files_of_an_interrupted_write(tmp_path):
    assert sample_to_folder(tmp_path, "2", "1") == 0
    (tmp_path / ".partial-x").mkdir()
    (tmp_path / ".partial-x/partial.png").touch()
    (tmp_path / "100000.png").touch()
    assert sample_to_folder(tmp_path, "1", "1") == 0
    names = [".partial-x", "00000.png", "samples.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_sample_raises_when_a_file_has_the_name_of_its_folder(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert sample_to_folder(tmp_path / "out", "1", "1") == 2
    assert "Received: " in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_sample_replaces_an_existing_file_and_ignores_a_dot_before_a_digit(tmp_path):
    (tmp_path / "a.NPY").write_text("older")
    for out in ("a.NPY", "v0.5"):
        assert main(["sample", "dense", "--num-images", "2", "--out", str(tmp_path / out)]) == 0
    assert np.load(tmp_path / "a.NPY").shape == (2, 28, 28, 1)
    assert len(list((tmp_path / "v0.5").glob("*.png"))) == 2
