"""Tests animations of a training: one frame per epoch in order, and errors."""

import numpy as np
import pytest
from PIL import Image

from fashion_gan.images import write_png
from fashion_gan.images.animation import animate, write_film


@pytest.fixture
def folder(tmp_path):
    for epoch in (0, 1, 2, 10):
        write_png(tmp_path / f"epoch_{epoch:04d}.png", np.full((4, 6, 1), 20 * epoch, np.uint8))
    write_png(tmp_path / "real.png", np.full((4, 6, 1), 255, np.uint8))
    return tmp_path


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animate_writes_a_frame_for_each_epoch_in_order(folder, suffix):
    out = folder / f"films/run.{suffix}"
    assert animate(folder, out, frames_per_second=4, scale=3) == 4
    with Image.open(out) as film:
        shades, times = [], []
        for frame in range(film.n_frames):
            film.seek(frame)
            film.load()
            times.append(film.info["duration"])
            shades.append(int(np.asarray(film.convert("L")).mean().round()))
        assert film.size == (18, 12)
    np.testing.assert_allclose(shades, [0, 20, 40, 200], atol=4)
    assert times == [250, 250, 250, 2000]
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("out", "arguments", "error", "message"),
    [
        ("run.mp4", {}, ValueError, "ends in .gif or .png or .webp. Received: 'run.mp4'"),
        ("run.gif", {"scale": 0}, ValueError, "scale=0"),
        ("run.gif", {"frames_per_second": 1e-9}, ValueError, "0.1 to 100 .*second=1e-09, scale=2"),
        ("run.gif", {"scale": 1673}, ValueError, "makes 268,697,184. The .* scale .* is 1672"),
        ("run.gif", {"scale": 10**5}, ValueError, "at most 268,435,456 pixels.*4 images of 96"),
    ],
)
def test_animate_raises_for_wrong_arguments(folder, out, arguments, error, message):
    with pytest.raises(error, match=message):
        animate(folder, out, **arguments)


def test_animate_raises_for_a_run_without_grids(tmp_path):
    with pytest.raises(FileNotFoundError, match="at least two files epoch_0000.png.*Received: 0"):
        animate(tmp_path, tmp_path / "run.gif")


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_write_film_gives_all_frames_the_same_duration(tmp_path, suffix):
    frames = np.full((3, 4, 6, 1), 0, np.uint8) + np.uint8([0, 90, 180]).reshape(3, 1, 1, 1)
    write_film(tmp_path / f"a.{suffix}", frames, frames_per_second=10, scale=2)
    with Image.open(tmp_path / f"a.{suffix}") as film:
        times, shades = [], []
        for frame in range(film.n_frames):
            film.seek(frame)
            film.load()
            times.append(film.info["duration"])
            shades.append(int(np.asarray(film.convert("L")).mean().round()))
        assert film.size == (12, 8) and film.info["loop"] == 0
    np.testing.assert_allclose(shades, [0, 90, 180], atol=4)
    assert times == [100, 100, 100]


def test_write_film_raises_for_too_many_pixels(tmp_path):
    with pytest.raises(ValueError, match="at most 268,435,456 pixels.*2 frames with scale=20000"):
        write_film(tmp_path / "a.gif", np.zeros((2, 1, 1, 1), np.uint8), scale=20_000)
