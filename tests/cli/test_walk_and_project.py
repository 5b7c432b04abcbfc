"""Tests the walk and project commands, and the options of sample."""

import keras
import numpy as np
import pytest
from helpers import tiny_networks
from PIL import Image

from fashion_gan import GAN, images, latents, models
from fashion_gan.cli.generate import write_samples
from fashion_gan.cli.main import main
from fashion_gan.typing import LabeledImages


@pytest.fixture(scope="module")
def gan():
    """Returns a GAN of 4 x 4 gray pixels after one step, so that it counts as trained."""
    keras.utils.set_random_seed(0)
    gan = GAN(*tiny_networks(), seed=0)
    gan.compile(jit_compile=False)
    gan.fit(np.random.default_rng(0).random((8, 4, 4, 1), "float32"), batch_size=8, verbose=0)
    return gan


@pytest.fixture(scope="module")
def run(gan, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny.keras"
    gan.save(path)
    return str(path)


@pytest.fixture(scope="module")
def conditional():
    keras.utils.set_random_seed(0)
    gan = GAN(*models.build_networks("dense", num_classes=3, image_shape=(4, 4, 1)), seed=0)
    gan.compile(jit_compile=False)
    x = np.random.default_rng(0).random((6, 4, 4, 1), "float32")
    gan.fit(x, np.arange(6) % 3, batch_size=6, verbose=0)
    return gan


def way_of(gan, frames, *seeds):
    points = [np.random.default_rng(seed).standard_normal(gan.latent_dim) for seed in seeds]
    return latents.loop(points, frames)


def to_bytes(gan, points, labels=None):
    return images.to_uint8(gan.sample(latents=points, labels=labels))


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_walk_writes_a_looping_animation(gan, run, tmp_path, suffix):
    out = tmp_path / f"walk.{suffix}"
    flags = ["--seeds", "3,17", "--frames", "6", "--fps", "10", "--scale", "2", "--out", str(out)]
    assert main(["walk", run, *flags]) == 0
    wanted = 255 - to_bytes(gan, way_of(gan, 6, 3, 17))
    with Image.open(out) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (6, (8, 8), 0)
        for index, image in enumerate(wanted):
            film.seek(index)
            shown = np.asarray(film.convert("L"))[::2, ::2]
            assert np.abs(shown - image[..., 0].astype(int)).mean() < 12


def test_walk_writes_a_row_from_each_seed_to_the_next(gan, run, tmp_path):
    out = tmp_path / "walk.png"
    flags = ["--seeds", "1-3", "--frames", "6", "--out", str(out)]
    assert main(["walk", run, *flags]) == 0
    frames = 255 - to_bytes(gan, way_of(gan, 6, 1, 2, 3))
    with Image.open(out) as sheet:
        np.testing.assert_array_equal(np.asarray(sheet)[..., None], images.tile(frames, 2))


def test_walk_shows_one_class_or_all_classes(conditional, tmp_path):
    run = str(tmp_path / "a.keras")
    conditional.save(run)
    way = way_of(conditional, 2, 0, 1)
    for flags, classes in ((["--class", "2"], [2]), ([], [0, 1, 2])):
        out = tmp_path / "walk.png"
        assert (
            main(["walk", run, "--seeds", "0,1", "--frames", "2", "--out", str(out), *flags]) == 0
        )
        rows = [to_bytes(conditional, way, label) for label in classes]
        columns = [images.tile(255 - np.stack(frame), 1) for frame in zip(*rows, strict=True)]
        with Image.open(out) as sheet:
            shown = np.asarray(sheet)[..., None]
        np.testing.assert_array_equal(shown, images.tile(np.stack(columns), 1))


def test_sample_draws_an_image_for_each_seed(gan, run, tmp_path):
    out = tmp_path / "folder"
    assert main(["sample", run, "--seeds", "7,2-3", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.glob("*.png")) == ["00002.png", "00003.png", "00007.png"]
    for seed in (2, 3, 7):
        (wanted,) = images.to_uint8(gan.sample(1, seed=seed))
        with Image.open(out / f"{seed:05d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image)[..., None], wanted)


def test_sample_truncates_latents_and_lays_out_columns(gan, run, tmp_path):
    out = tmp_path / "grid.png"
    flags = ["--num-images", "6", "--truncation", "0.5", "--columns", "3", "--out", str(out)]
    assert main(["sample", run, *flags]) == 0
    wanted = to_bytes(gan, latents.truncate(6, 3, 0.5, 0))
    with Image.open(out) as grid:
        np.testing.assert_array_equal(
            np.asarray(grid)[..., None], images.tile(wanted, 3, invert=True, scale=None)
        )


def test_sample_keeps_the_images_with_the_largest_logits(gan, run, tmp_path, capsys):
    out = tmp_path / "folder"
    assert main(["sample", run, "--seeds", "10-19", "--keep", "0.3", "--out", str(out)]) == 0
    assert "3 of 10 images, by the discriminator's largest logits" in capsys.readouterr().out
    samples = np.concatenate([gan.sample(1, seed=seed) for seed in range(10, 20)])
    probabilities = gan.discriminator.predict(samples, verbose=0).ravel()
    best = sorted(10 + np.argsort(probabilities)[-3:])
    assert sorted(p.name for p in out.glob("*.png")) == [f"{seed:05d}.png" for seed in best]


def test_write_samples_keeps_the_same_fraction_of_each_class(conditional, tmp_path):
    assert write_samples(conditional, tmp_path / "a.npy", 12, keep=0.5) == 6
    samples = conditional.sample(12, seed=0)
    batch = LabeledImages(samples, np.arange(12, dtype="int32") % 3)
    logits = np.ravel(conditional.logits(batch, training=False))
    best = [sorted(np.arange(c, 12, 3)[np.argsort(logits[c::3])[-2:]]) for c in range(3)]
    wanted = images.to_uint8(samples[np.ravel(best, order="F")])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), wanted)


def test_write_samples_scores_images_in_whole_groups(tmp_path):
    keras.utils.set_random_seed(0)
    gan = GAN(*models.build_networks("convnet", image_shape=(16, 16, 1), latent_dim=2, width=2))
    gan.compile(jit_compile=False)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 1)).astype("float32")
    gan.fit(x, batch_size=4, verbose=0)
    assert gan.group_size == 4
    assert write_samples(gan, tmp_path / "a.npy", 5, keep=0.6) == 3


def test_project_writes_latents_and_an_image(gan, run, tmp_path, capsys):
    target = images.to_uint8(gan.sample(1, seed=1_000))[0]
    images.write_png(tmp_path / "a.png", target)
    images.write_png(tmp_path / "b.png", np.full((30, 20, 3), 128, np.uint8))
    out = tmp_path / "o.png"
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert main(["project", run, *paths, "--out", str(out)]) == 0
    found = np.load(tmp_path / "o.npy")
    assert found.shape == (2, 3) and found.dtype == np.float32
    results = to_bytes(gan, found)
    np.testing.assert_allclose(results[0].astype(int), target, atol=5)
    gray = np.full_like(target, 128)
    expected = images.compare(np.stack([target, gray]), results, 12)
    with Image.open(out) as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., None], expected)
    assert "image 0: error 0.00" in capsys.readouterr().out


def test_project_inverts_images_of_a_folder(gan, run, tmp_path):
    (tmp_path / "images").mkdir()
    target = images.to_uint8(gan.sample(1, seed=1_000))[0]
    images.write_png(tmp_path / "images/a.png", 255 - target)
    out = str(tmp_path / "o.png")
    assert main(["project", run, str(tmp_path / "images"), "--invert", "--out", out]) == 0
    results = to_bytes(gan, np.load(tmp_path / "o.npy"))
    np.testing.assert_allclose(results[0].astype(int), target, atol=5)
