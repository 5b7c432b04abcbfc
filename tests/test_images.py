import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import images
from fashion_gan.images import tile, to_uint8, with_channels, write_png


def some_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tiled_by_loops(pictures, columns, margin, background):
    n, h, w, c = pictures.shape
    rows = 0
    while rows * columns < n:
        rows += 1
    height = rows * h + (rows - 1) * margin
    width = columns * w + (columns - 1) * margin
    grid = [[[background] * c for _ in range(width)] for _ in range(height)]
    for i in range(n):
        top, left = (i // columns) * (h + margin), (i % columns) * (w + margin)
        for y in range(h):
            for x in range(w):
                grid[top + y][left + x] = list(pictures[i, y, x])
    return np.array(grid)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.5, 3.0)])
def test_to_uint8_restores_every_byte_from_floats(low, high, dtype):
    every_byte = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    floats = (low + every_byte * (high - low) / 255).astype(dtype)
    result = to_uint8(floats, (low, high))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, every_byte)


def test_to_uint8_rounds_to_the_nearest_byte():
    floats = np.array([0.49, 0.51, 253.49, 253.51]) / 255
    np.testing.assert_array_equal(to_uint8(floats), [0, 1, 253, 254])


def test_to_uint8_clips_values_out_of_range():
    np.testing.assert_array_equal(to_uint8([-9.0, -1.01, 1.01, 9.0], (-1, 1)), [0, 0, 255, 255])


def test_to_uint8_returns_bytes_unchanged():
    given = some_images(2, 3, 4)
    np.testing.assert_array_equal(to_uint8(given, (-1.0, 1.0)), given)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_to_uint8_raises_with_the_number_of_non_finite_pixels(bad):
    floats = np.zeros((2, 3, 4), np.float32)
    floats[1, 2, 3] = floats[0, 0, 0] = bad
    with pytest.raises(ValueError, match="2 of 24 pixels"):
        to_uint8(floats)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "object"])
def test_to_uint8_raises_for_other_dtypes(dtype):
    with pytest.raises(TypeError, match=dtype):
        to_uint8(np.ones((1, 2, 2), dtype))


@pytest.mark.parametrize("value_range", [(1.0, 1.0), (1.0, -1.0), (0.0, np.nan)])
def test_to_uint8_raises_for_an_empty_range(value_range):
    with pytest.raises(ValueError, match="low < high"):
        to_uint8(np.zeros((1, 2, 2)), value_range)


def test_with_channels_adds_a_missing_channels_axis():
    gray = some_images(2, 5, 4)
    assert with_channels(gray).shape == (2, 5, 4, 1)
    np.testing.assert_array_equal(with_channels(gray)[..., 0], gray)
    for channels in (1, 3, 4):
        given = some_images(2, 5, 4, channels)
        np.testing.assert_array_equal(with_channels(given), given)


@pytest.mark.parametrize("shape", [(), (5,), (5, 4), (2, 5, 4, 2), (2, 5, 4, 5), (1, 2, 5, 4, 1)])
def test_with_channels_raises_for_other_shapes(shape):
    with pytest.raises(ValueError, match="height, width") as error:
        with_channels(np.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n, columns", [(1, 1), (5, 2), (6, 3), (7, 7), (8, 3), (9, 1)])
def test_tile_matches_plain_loops(n, columns, channels, margin):
    pictures = some_images(n, 5, 4, channels)
    grid = tile(pictures, columns, margin=margin, background=77)
    np.testing.assert_array_equal(grid, tiled_by_loops(pictures, columns, margin, 77))
    assert grid.dtype == np.uint8


@pytest.mark.parametrize("n, columns", [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (32, 6)])
def test_tile_is_about_square_by_default(n, columns):
    pictures = some_images(n, 2, 3, 1)
    np.testing.assert_array_equal(tile(pictures), tile(pictures, columns))


@pytest.mark.parametrize("size, scale", [((28, 28), 1), ((14, 30), 2), ((16, 16), 2), ((5, 4), 7)])
def test_tile_enlarges_images_to_28_pixels(size, scale):
    pictures = some_images(5, *size, 3)
    enlarged = np.kron(pictures, np.ones((1, scale, scale, 1), np.uint8))
    expected = tiled_by_loops(enlarged, 2, 1, 192)
    np.testing.assert_array_equal(tile(pictures, 2, scale=None), expected)
    np.testing.assert_array_equal(tile(pictures, 2, scale=scale), expected)


def test_tile_shortens_a_row_that_exceeds_the_images():
    pictures = some_images(3, 5, 4, 1)
    np.testing.assert_array_equal(tile(pictures, 8), tile(pictures, 3))


def test_tile_treats_images_without_a_channels_axis_as_gray():
    gray = some_images(3, 5, 4)
    np.testing.assert_array_equal(tile(gray), tile(gray[..., np.newaxis]))


def test_tile_inverts_images_but_not_background_and_input():
    pictures = some_images(3, 5, 4, 1)
    before = pictures.copy()
    expected = tiled_by_loops(255 - pictures.astype(int), 2, 1, 30)
    np.testing.assert_array_equal(tile(pictures, 2, background=30, invert=True), expected)
    np.testing.assert_array_equal(pictures, before)


def test_tile_background_contrasts_with_black_gray_and_white():
    between = tile(np.zeros((2, 1, 1), np.uint8))[0, 1, 0]
    assert all(abs(int(between) - level) > 50 for level in (0, 128, 255))


def test_tile_raises_for_invert_with_colors():
    with pytest.raises(ValueError, match="gray"):
        tile(some_images(2, 5, 4, 3), invert=True)


def test_tile_raises_for_floats():
    with pytest.raises(TypeError, match="to_uint8"):
        tile(np.zeros((2, 5, 4), np.float32))


@pytest.mark.parametrize(
    "n, wrong",
    [
        (0, {}),
        (0, {"columns": 2}),
        (2, {"columns": 0}),
        (2, {"margin": -1}),
        (2, {"background": 256}),
        (2, {"background": -1}),
    ],
)
def test_tile_raises_for_arguments_out_of_range(n, wrong):
    with pytest.raises(ValueError, match="Received"):
        tile(some_images(n, 5, 4), **wrong)


@pytest.mark.parametrize("channels", [1, 3])
def test_write_png_writes_the_pixels_and_replaces_an_older_file(tmp_path, channels):
    path = tmp_path / "picture.png"
    path.write_text("older")
    picture = some_images(7, 5, channels)
    write_png(path, picture)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(tf.io.decode_png(data).numpy(), picture)
    assert os.listdir(tmp_path) == ["picture.png"]


def test_write_png_raises_for_other_dtypes_and_shapes(tmp_path):
    with pytest.raises(TypeError, match="to_uint8"):
        write_png(tmp_path / "a.png", np.zeros((7, 5, 1)))
    for shape in [(7, 5), (7, 5, 2), (1, 7, 5, 1)]:
        with pytest.raises(ValueError, match="height, width"):
            write_png(tmp_path / "a.png", np.zeros(shape, np.uint8))
    assert os.listdir(tmp_path) == []


def test_images_does_not_import_tensorflow():
    code = "import sys, fashion_gan.images; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_compare_stacks_targets_results_and_differences():
    rng = np.random.default_rng(0)
    targets, results = rng.integers(0, 256, (2, 3, 2, 2, 3)).astype(np.uint8)
    grid = images.compare(targets, results, 2)
    assert grid.shape == (6 * 3 - 1, 2 * 3 - 1, 3)
    apart = np.abs(targets.astype(int) - results)
    for index, row, column in ((0, 0, 0), (1, 0, 1), (2, 3, 0)):
        for offset, part in enumerate((targets, results, apart)):
            top, left = 3 * (row + offset), 3 * column
            np.testing.assert_array_equal(grid[top : top + 2, left : left + 2], part[index])


def test_invert_does_not_change_alpha():
    image = np.uint8([[[1, 2, 3, 40]]])
    np.testing.assert_array_equal(images.invert(image), [[[254, 253, 252, 40]]])
    np.testing.assert_array_equal(images.invert(image[..., :1]), [[[254]]])
