"""Interpolations between latents: the same arcs at each epoch, a class a row."""

import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import GAN, models
from fashion_gan.callbacks import ImageGrid, LatentInterpolation
from fashion_gan.images import tile, to_uint8
from fashion_gan.latents import interpolate

LABELS = np.arange(32) % 3


def read_png(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


def conditional():
    gan = GAN(
        *models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=3), seed=0
    )
    gan.compile(jit_compile=False)
    return gan


def test_latent_interpolation_draws_an_arc_in_each_row(make_gan, tiny_images, tmp_path):
    gan = make_gan()
    rows = LatentInterpolation(tmp_path, rows=2, steps=5, image_freq=2, seed=7, png_dir=tmp_path)
    gan.fit(tiny_images, batch_size=8, epochs=4, callbacks=[rows], verbose=0)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["epoch_0000.png", "epoch_0002.png", "epoch_0004.png"]
    ends = np.random.default_rng(7).standard_normal((2, 2, 3))
    latents = interpolate(*ends, 5).reshape(10, 3)
    expected = tile(to_uint8(gan.sample(latents=latents)), 5, scale=None)
    np.testing.assert_array_equal(read_png(tmp_path / "epoch_0004.png"), expected)
    assert any((tmp_path / "images").iterdir())


def test_latent_interpolation_draws_a_class_in_each_row(tiny_images, tmp_path):
    gan = conditional()
    rows = LatentInterpolation(tmp_path, rows=4, steps=3, png_dir=tmp_path)
    gan.fit(tiny_images, LABELS, batch_size=8, callbacks=[rows], verbose=0)
    ends = np.random.default_rng(0).standard_normal((2, 4, 3))
    latents = interpolate(*ends, 3).reshape(12, 3)
    labels = np.repeat([0, 1, 2, 0], 3)
    expected = tile(to_uint8(gan.sample(latents=latents, labels=labels)), 3, scale=None)
    np.testing.assert_array_equal(read_png(tmp_path / "epoch_0001.png"), expected)


def test_image_grid_draws_a_class_in_each_column(tiny_images, tmp_path):
    gan = conditional()
    grid = ImageGrid(tmp_path, num_images=8, png_dir=tmp_path)
    gan.fit(tiny_images, LABELS, batch_size=8, callbacks=[grid], verbose=0)
    samples = gan.sample(6, seed=0, labels=[0, 1, 2, 0, 1, 2])
    expected = tile(to_uint8(samples), 3, scale=None)
    np.testing.assert_array_equal(read_png(tmp_path / "epoch_0001.png"), expected)


@pytest.mark.parametrize("arguments", [{"rows": 0}, {"steps": 1}, {"steps": 2.5}])
def test_latent_interpolation_raises_for_wrong_arguments(arguments, tmp_path):
    with pytest.raises(ValueError, match="Expected rows >= 1 and steps >= 2"):
        LatentInterpolation(tmp_path, **arguments)
