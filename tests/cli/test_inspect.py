"""Tests `fashion-gan inspect`: its output and its grid."""

import numpy as np
import pytest
from image_cases import COUNT, DISCS, disc, files, with_file
from PIL import Image

from fashion_gan.cli.main import main
from fashion_gan.images import tile


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_inspect_describes_and_draws_images(tmp_path, capsys):
    (tmp_path / "icons").mkdir()
    with_file(files("icons/{i:02}.png", disc), "icons/notes.txt", b"x")(tmp_path)
    assert main(["inspect", "icons"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"images         {COUNT} of 8x8, RGB",
        "skipped        files that end in .txt: notes.txt",
        "held out       none: all images train, and scores compare with these",
        "training       20 epochs of 200 steps: 4,000 steps, "
        f"{4_000 * 32 / COUNT:,.0f} passes over {COUNT} images (preset projected)",
        f"grid           {COUNT} training images: icons-grid.png",
    ]
    with Image.open("icons-grid.png") as opened:
        grid = np.asarray(opened)
    assert grid.shape == tile(DISCS, scale=4).shape  # enlarged to at least 28 pixels
    places = [(y, x) for y in range(0, 165, 33) for x in range(0, 165, 33)]
    cells = {grid[y : y + 32 : 4, x : x + 32 : 4].tobytes() for y, x in places}
    assert {image.tobytes() for image in DISCS} < cells, "and one cell is empty"


def test_inspect_applies_the_image_settings(tmp_path, capsys):
    (tmp_path / "icons").mkdir()
    files("icons/{i:02}.png", disc)(tmp_path)
    command = ["inspect", "icons", "--image-size", "20x16", "--channels", "1", "--held-out", "4"]
    assert main([*command, "--out", "see.png"]) == 0
    out = capsys.readouterr().out
    assert "24 of 20x16, gray" in out and "4 images; 20 train" in out
    with Image.open("see.png") as grid:
        assert grid.mode == "L"


def test_inspect_prints_errors_in_one_line(capsys):
    assert main(["inspect", "nowhere"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "fashion-gan: error: nowhere does not exist. Name a folder or file of images."
    ]
