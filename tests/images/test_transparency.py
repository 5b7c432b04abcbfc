"""Tests RGBA images with straight alpha, when sampled, scored and written."""

import dataclasses
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event

from fashion_gan import GAN, data, demo, evaluation, images, models
from fashion_gan.callbacks import FeatureProjector, ImageGrid, LatentInterpolation
from fashion_gan.cli.generate import write_samples
from fashion_gan.evaluation import EvalConfig
from fashion_gan.evaluation.page import write_report
from fashion_gan.monitor import ReferenceSet

SHAPE = (6, 5, 4)


def random_images(count, seed=0, shape=SHAPE):
    """Returns uint8 RGBA images, of which about a third of the pixels are transparent."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    pixels[..., 3][rng.random(pixels.shape[:3]) < 0.3] = 0
    return pixels


def with_other_hidden_colors(pixels, seed=9):
    """Returns the same images with other colors where they are transparent."""
    other = pixels.copy()
    hidden = pixels[..., 3] == 0
    colors = np.random.default_rng(seed).integers(0, 256, (hidden.sum(), 3), dtype=np.uint8)
    other[hidden] = np.concatenate([colors, np.zeros((len(colors), 1), np.uint8)], axis=1)
    assert (other != pixels).any()
    return other


def read_rgba(file):
    """Returns the pixels of an RGBA file, read by Pillow."""
    with Image.open(file) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)


def on_white(pixels):
    """Returns RGB pixels of RGBA pixels on white, composited by Pillow."""
    image = Image.fromarray(pixels, "RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def read_images(folder):
    """Returns name to RGBA pixels of the image events of a folder, the last step of each."""
    grids = {}
    for file in folder.glob("events.*"):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            for value in Event.FromString(record).summary.value:
                grids[value.tag] = read_rgba(io.BytesIO(value.tensor.string_val[2]))
    return grids


@pytest.fixture
def gan(make_gan):
    """Returns a compiled GAN of RGBA images."""
    return make_gan(image_shape=SHAPE)


def test_tile_keeps_alpha_and_draws_opaque_margins():
    pixels = random_images(3)
    grid = images.tile(pixels, 2, background=77)
    assert grid.shape == (13, 11, 4)
    np.testing.assert_array_equal(grid[:6, :5], pixels[0])
    np.testing.assert_array_equal(grid[:6, 6:], pixels[1])
    np.testing.assert_array_equal(grid[7:, :5], pixels[2])
    assert (grid[6] == [77, 77, 77, 255]).all() and (grid[:, 5] == [77, 77, 77, 255]).all()
    assert (grid[7:, 6:] == [77, 77, 77, 255]).all()


def test_tile_rows_ends_short_rows_with_opaque_empty_cells():
    rgba = np.full((5, 2, 3, 4), 7, np.uint8)
    grid = images.tile_rows([rgba[:1], rgba[:0], rgba], 2)
    assert grid.shape == (8, 7, 4)
    assert (grid[:2, :3] == 7).all() and (grid[6:, :3] == 7).all() and (grid[6:, 4:] == 7).all()
    for cells in (grid[:2, 4:], grid[3:5]):
        assert (cells[..., :3] == 192).all() and (cells[..., 3] == 255).all()
    gray = np.full((1, 2, 2, 1), 7, np.uint8)
    np.testing.assert_array_equal(
        images.tile_rows([gray], 2, invert=True)[0, :, 0], [248] * 2 + [192] * 3
    )


def test_tile_raises_for_invert_with_rgba_images():
    with pytest.raises(ValueError, match="gray"):
        images.tile(random_images(2), invert=True)


@pytest.mark.parametrize("channels", [2, 5])
def test_with_channels_raises_for_two_or_five_channels(channels):
    with pytest.raises(ValueError, match=rf"1, 3 or 4 channels. .*\(2, 5, 4, {channels}\)"):
        images.with_channels(np.zeros((2, 5, 4, channels), np.uint8))


def test_write_png_writes_straight_alpha(tmp_path):
    (picture,) = random_images(1)
    images.write_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(read_rgba(tmp_path / "a.png"), picture)


def test_write_pngs_writes_straight_alpha(tmp_path):
    pixels = random_images(3)
    images.write_pngs(tmp_path / "folder", pixels)
    read = [read_rgba(tmp_path / f"folder/0000{i}.png") for i in range(3)]
    np.testing.assert_array_equal(read, pixels)


def test_composite_matches_pillow():
    picture = random_images(1, shape=(64, 64, 4))[0]
    np.testing.assert_allclose(images.composite(picture), on_white(picture), rtol=0, atol=1)
    black = np.asarray(
        Image.alpha_composite(
            Image.new("RGBA", (64, 64), "black"), Image.fromarray(picture)
        ).convert("RGB")
    )
    np.testing.assert_allclose(images.composite(picture, 0), black, rtol=0, atol=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_composite_returns_images_without_alpha_unchanged(channels):
    picture = random_images(1)[0, ..., :channels]
    assert images.composite(picture) is picture


def test_premultiply_matches_pillow():
    pixels = random_images(1, shape=(64, 64, 4))
    expected = np.asarray(Image.fromarray(pixels[0]).convert("RGBa"))
    np.testing.assert_allclose(images.premultiply(pixels)[0], expected, rtol=0, atol=1)
    assert images.premultiply(pixels).dtype == np.uint8
    floats = images.premultiply(pixels / 255)
    np.testing.assert_allclose(255 * floats[0], expected, rtol=0, atol=1)


def test_premultiply_removes_hidden_colors():
    pixels = random_images(5)
    other = with_other_hidden_colors(pixels)
    np.testing.assert_array_equal(images.premultiply(pixels), images.premultiply(other))


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 5, 4, 1), (2, 5, 4, 3), (5, 4)])
def test_premultiply_returns_images_without_alpha_unchanged(shape):
    pixels = np.full(shape, 7, np.uint8)
    assert images.premultiply(pixels) is pixels


def test_image_grid_writes_transparent_grids(gan, tmp_path):
    real = random_images(4)
    grid = ImageGrid(tmp_path, num_images=4, columns=2, real_images=real, png_dir=tmp_path / "png")
    gan.fit(random_images(8) / 255, batch_size=8, verbose=0, callbacks=[grid])
    grids = read_images(tmp_path / "images")
    np.testing.assert_array_equal(grids["real"], images.tile(real, 2))
    samples = np.rint(255 * gan.sample(4, seed=0)).astype(np.uint8)
    np.testing.assert_array_equal(grids["samples/fixed_latents"], images.tile(samples, 2))
    for name, pixels in (("real.png", real), ("epoch_0001.png", samples)):
        enlarged = images.tile(pixels, 2, scale=None)
        np.testing.assert_array_equal(read_rgba(tmp_path / "png" / name), enlarged)


def test_latent_interpolation_writes_transparent_rows(gan, tmp_path):
    rows = LatentInterpolation(tmp_path, rows=2, steps=3, png_dir=tmp_path / "png")
    gan.fit(random_images(8) / 255, batch_size=8, verbose=0, callbacks=[rows])
    (grid,) = read_images(tmp_path / "images").values()
    assert grid.shape == (2 * 7 - 1, 3 * 6 - 1, 4)
    enlarged = read_rgba(tmp_path / "png/epoch_0001.png")
    np.testing.assert_array_equal(enlarged[:36:6, :30:6], grid[:6, :5])
    assert len(np.unique(grid[:6, :5, 3])) > 2


def test_feature_projector_composites_thumbnails_onto_white(gan, tmp_path):
    real = random_images(2)
    projector = FeatureProjector(tmp_path, real, lambda x: x.reshape(len(x), -1)[:, :3], count=2)
    projector.write(gan)
    with Image.open(tmp_path / "projector/images.png") as sprite:
        assert sprite.mode == "RGB" and sprite.size == (10, 12)
        pixels = np.asarray(sprite)
    np.testing.assert_allclose(pixels[:6, :5], on_white(real[0]), rtol=0, atol=1)
    assert (pixels[:6, :5][real[0, ..., 3] == 0] == 255).all()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animate_draws_each_frame_without_the_previous_one(suffix, tmp_path):
    shades = [(255, 0, 0), (0, 0, 255), (0, 255, 0)]
    for epoch, shade in enumerate(shades):  # a frame's colors must not show through the next one
        picture = np.zeros((16, 48, 4), np.uint8)
        picture[:, 16 * epoch : 16 * epoch + 16] = (*shade, 200)
        images.write_png(tmp_path / f"epoch_{epoch:04d}.png", picture)
    images.animate(tmp_path, tmp_path / f"film.{suffix}", scale=1)
    with Image.open(tmp_path / f"film.{suffix}") as film:
        for epoch, shade in enumerate(shades):
            film.seek(epoch)
            frame = np.asarray(film.convert("RGBA"))
            if suffix == "gif":
                assert (frame[..., 3] == 255).all()
            expected = np.zeros((16, 48, 4), np.uint8)
            expected[:, 16 * epoch : 16 * epoch + 16] = (*shade, 200)
            np.testing.assert_allclose(on_white(frame), on_white(expected), rtol=0, atol=24)


def test_animate_keeps_half_transparent_pixels_of_a_png(tmp_path):
    for epoch, alpha in enumerate((40, 200)):
        picture = np.full((4, 6, 4), (10, 20, 30, alpha), np.uint8)
        images.write_png(tmp_path / f"epoch_{epoch:04d}.png", picture)
    images.animate(tmp_path, tmp_path / "film.png", scale=2)
    with Image.open(tmp_path / "film.png") as film:
        for epoch, alpha in enumerate((40, 200)):
            film.seek(epoch)
            frame = np.asarray(film.convert("RGBA"))
            assert (frame == (10, 20, 30, alpha)).all() and frame.shape == (8, 12, 4)


@pytest.mark.parametrize("name", ["grid.png", "samples.npy", "folder"])
def test_write_samples_keeps_alpha(name, gan, tmp_path):
    write_samples(gan, tmp_path / name, 4, seed=3)
    samples = np.rint(255 * gan.sample(4, seed=3)).astype(np.uint8)
    if name == "grid.png":
        np.testing.assert_array_equal(read_rgba(tmp_path / name), images.tile(samples, scale=None))
    elif name == "samples.npy":
        np.testing.assert_array_equal(np.load(tmp_path / name), samples)
    else:
        read = [read_rgba(tmp_path / name / f"0000{i}.png") for i in range(4)]
        np.testing.assert_array_equal(read, samples)


class FixedImages:
    """Stands in for a GAN: it returns the same images for any latents."""

    latent_dim, num_classes, value_range, image_shape = 3, None, (-1.0, 1.0), SHAPE

    def __init__(self, pixels):
        self.pixels = pixels

    def sample(self, *, latents, labels=None, use_ema=True):
        count = len(latents)
        return (self.pixels[:count] / 127.5 - 1).astype("float32")


def test_explorer_composites_images_onto_white():
    pixels = random_images(100)
    explorer = demo.Explorer(FixedImages(pixels), np.eye(3, dtype="float32"))
    picture, near = explorer.sample(0, None, 4.0)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and near == []
    factor = picture.shape[0] // 6
    np.testing.assert_allclose(picture[::factor, ::factor], on_white(pixels[0]), rtol=0, atol=1)
    assert explorer.interpolate(0, 1, None, 4.0, steps=3).shape[2] == 3
    assert explorer.grid(0, None, 4.0).shape[2] == 3


def test_explorer_finds_the_nearest_images_without_hidden_colors():
    pixels = random_images(20)
    train = np.concatenate([random_images(10, seed=5), with_other_hidden_colors(pixels[:1])])
    explorer = demo.Explorer(FixedImages(pixels), np.eye(3, dtype="float32"), train)
    _, near = explorer.sample(0, None, 4.0)
    picture, caption = near[0]
    assert caption == "0 of 255"
    factor = picture.shape[0] // 6
    np.testing.assert_allclose(picture[::factor, ::factor], on_white(pixels[0]), rtol=0, atol=1)


def test_open_source_loads_a_gan_of_rgba_images(gan, tmp_path):
    gan.save(tmp_path / "a.keras")
    explorer = demo.open_source(str(tmp_path / "a.keras"))
    assert explorer.sample(0, None, 1.0)[0].shape[2] == 3


def test_open_source_omits_training_images_when_channels_differ(tmp_path):
    gan = GAN(*models.build_networks("dense", image_shape=(28, 28, 4)))
    gan.compile()
    gan.save(tmp_path / "a.keras")
    assert demo.open_source(str(tmp_path / "a.keras")).train_images is None


PROTOCOL = EvalConfig(count=40, kernel_subsets=2, kernel_size=30, bins=5)


def evaluator(shape=(3, 2, 4)):
    train, real = random_images(120, 1, shape), random_images(60, 2, shape)
    split = data.Split(train, None, real, None, real, None, class_names=None)
    return evaluation.image_evaluator(split, PROTOCOL)


def test_evaluator_scores_do_not_depend_on_hidden_colors():
    samples = random_images(40, 3, (3, 2, 4))
    scores = evaluator()(samples)
    assert scores["pixel_frechet_distance"] > 0 and "ndb" in scores
    assert evaluator()(with_other_hidden_colors(samples)) == scores
    real = evaluator()
    other = evaluation.Evaluator(
        with_other_hidden_colors(real.real),
        with_other_hidden_colors(real.train),
        evaluation.load_imagenet_features(),
        protocol=real.protocol,
    )
    assert other(samples) == scores


def test_image_evaluator_merges_images_that_differ_in_hidden_colors():
    shape = (3, 2, 4)
    train = with_other_hidden_colors(np.repeat(random_images(15, 1, shape), 4, axis=0))
    real = random_images(60, 2, shape)
    split = data.Split(train, None, real, None, real, None, class_names=None)
    protocol = dataclasses.replace(PROTOCOL, count=50)
    made = evaluation.image_evaluator(split, protocol)
    assert made.protocol.bins == 1
    assert "ndb" in made(random_images(50, 3, shape))


def test_write_report_draws_transparent_images(tmp_path):
    samples = random_images(40, 3, (3, 2, 4))
    measure = evaluator()
    write_report(tmp_path, measure.record({"a": measure(samples)}), samples, measure)
    grid = read_rgba(tmp_path / "closest.png")
    shown = {samples_bytes.tobytes() for samples_bytes in samples}
    assert grid[:3, :2].tobytes() in shown


def test_reference_set_signals_do_not_depend_on_hidden_colors():
    real, fake = random_images(200, 1), random_images(100, 2)
    signals = ReferenceSet(real).signals(fake)
    assert signals == ReferenceSet(real).signals(with_other_hidden_colors(fake))
    assert signals == ReferenceSet(with_other_hidden_colors(real)).signals(fake)


def test_export_documents_straight_alpha_for_rgba_images(gan, tmp_path):
    card = json.loads(gan.export(tmp_path / "model").read_text())
    assert card["alpha"] == "straight" and card["output"] == ["batch", *SHAPE]
    latents = np.random.default_rng(0).standard_normal((2, gan.latent_dim)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(latents), gan.sample(latents=latents), atol=1e-5)


def test_export_does_not_mention_alpha_for_rgb_images(make_gan, tmp_path):
    card = make_gan(image_shape=(4, 4, 3)).export(tmp_path / "model")
    assert "alpha" not in json.loads(card.read_text())


def test_load_model_restores_a_gan_of_rgba_images(gan, tmp_path):
    gan.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.sample(2, seed=0), gan.sample(2, seed=0))
