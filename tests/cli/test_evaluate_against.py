"""Tests `evaluate IMAGES --against IMAGES`: scores of own images, without Fashion-MNIST."""

import json

import numpy as np
import pytest

from fashion_gan import GAN, data, metrics, models
from fashion_gan.cli.main import main
from fashion_gan.images import write_png

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (150, 8, 8, 3), dtype=np.uint8)
OTHER = np.clip(REAL.astype(int) // 2 + 90, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def _no_fashion_mnist(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "none"))


def evaluate(capsys, *arguments):
    status = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_evaluate_compares_two_folders(tmp_path, capsys):
    for i, image in enumerate(OTHER):
        (tmp_path / "fakes").mkdir(exist_ok=True)
        write_png(tmp_path / f"fakes/{i:03d}.png", image)
    np.savez(tmp_path / "real.npz", images=REAL)
    arguments = ("fakes", "--against", "real.npz", "--out", "report")
    status, out, _ = evaluate(capsys, *arguments)
    assert status == 0
    assert (
        "kernel" in out
        and "pixel Fréchet" in out
        and "Compared 150 images with 150 real images: real.npz." in out
    )
    record = json.loads((tmp_path / "report/scores.json").read_text())
    assert (tmp_path / "report/closest.png").exists()
    assert (record["real"], record["protocol"]["count"]) == ("real.npz", 150)
    components = metrics.fit_pca(REAL / 255, 64)
    real, fake = (components.transform(images / 255) for images in (REAL, OTHER))
    wanted = metrics.frechet_distance(metrics.gaussian(real), fake)
    assert record["scores"]["fakes"]["pixel_frechet_distance"] == pytest.approx(wanted, rel=1e-3)
    status, out, _ = evaluate(capsys, "real.npz", "--against", "real.npz", "--json")
    same = json.loads(out)["scores"]["real.npz"]
    assert same["pixel_frechet_distance"] < 1e-3 * wanted


def test_evaluate_subsamples_the_larger_set_by_the_seed(tmp_path, capsys):
    np.save(tmp_path / "real.npy", REAL)
    np.save(tmp_path / "fakes.npy", OTHER[:100])
    arguments = ("fakes.npy", "--against", "real.npy", "--json")
    scores = []
    for seed in ("0", "0", "1"):
        status, out, _ = evaluate(capsys, *arguments, "--seed", seed)
        record = json.loads(out)
        assert status == 0 and record["protocol"]["count"] == 100
        scores.append(record["scores"]["fakes.npy"]["pixel_frechet_distance"])
    assert scores[0] == scores[1] != scores[2]


def test_evaluate_compares_a_generator_with_images(tmp_path, capsys):
    gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(8, 8, 3)))
    gan.compile()
    gan.save(tmp_path / "gan.keras")
    np.save(tmp_path / "real.npy", REAL)
    arguments = ("gan.keras", "--against", "real.npy", "--num-images", "70", "--json")
    status, out, _ = evaluate(capsys, *arguments)
    assert status == 0
    assert json.loads(out)["protocol"]["count"] == 70


def test_evaluate_treats_gray_images_with_three_channels_as_gray(tmp_path, capsys):
    gray = np.repeat(REAL[..., :1], 3, axis=-1)
    np.save(tmp_path / "a.npy", gray)
    np.save(tmp_path / "b.npy", REAL[..., 0])
    status, out, _ = evaluate(capsys, "a.npy", "--against", "b.npy", "--json")
    assert status == 0
    assert json.loads(out)["scores"]["a.npy"]["pixel_frechet_distance"] < 1


def test_evaluate_resizes_the_images_to_compare_with(tmp_path, capsys):
    (tmp_path / "real").mkdir()
    for i, image in enumerate(REAL):
        sizes = (1, 2) if i % 2 else (2, 1)
        write_png(tmp_path / f"real/{i:03d}.png", image.repeat(2, 0).repeat(2, 1)[:: sizes[0]])
    resized = data.load_images(tmp_path / "real", data.ImageOptions(image_size="8")).images
    np.save(tmp_path / "resized.npy", resized)
    np.save(tmp_path / "fakes.npy", OTHER)
    scores = []
    for against in ("real", "resized.npy"):
        status, out, err = evaluate(capsys, "fakes.npy", "--against", against, "--json")
        assert status == 0
        scores.append(json.loads(out)["scores"])
        assert ("150 images: resized from 2 sizes, 16x8 to 16x16" in err) == (against == "real")
    assert scores[0] == scores[1]
    gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 8, 1)))
    gan.compile()
    gan.save(tmp_path / "gan.keras")
    status, _, err = evaluate(capsys, "gan.keras", "--against", "real", "--num-images", "70")
    assert (status, "150 of 8x4, gray" in err) == (0, True)


def test_evaluate_image_size_resizes_both_sides(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("fakes", "real"):
        (tmp_path / name).mkdir()
        for i in range(60):
            shape = (8, 12, 3) if i % 2 else (10, 10, 3)
            write_png(tmp_path / f"{name}/{i:02d}.png", rng.integers(0, 256, shape, np.uint8))
    resized = data.load_images(tmp_path / "fakes", data.ImageOptions("8", "stretch")).images
    np.save(tmp_path / "resized.npy", resized)
    against = ("--against", "real", "--json")
    status, _, err = evaluate(capsys, "fakes", *against)
    assert (status, "Choose one: --image-size" in err) == (2, True)
    size = ("--image-size", "8", "--resize", "stretch")
    status, out, err = evaluate(capsys, "fakes", *against, *size)
    assert (status, "to 8x8 (stretch)" in err) == (0, True)
    other = evaluate(capsys, "resized.npy", *against, *size)[1]
    assert json.loads(out)["scores"]["fakes"] == json.loads(other)["scores"]["resized.npy"]


@pytest.mark.parametrize(
    ("source", "against", "flags", "message"),
    [
        ("gray.npy", "real.npy", (), "shape (8, 8, 1). Received: images of shape (8, 8, 3) in re"),
        ("few.npy", "real.npy", (), "at least 2 images on each side. Received: count=1"),
        ("real.npy", "none", (), "none does not exist"),
        ("none", "real.npy", (), "There is no none"),
        ("real.npy", "real.npy", ("--baselines",), "Omit --baselines"),
        ("real.npy", "real.npy", ("--resize", "pad"), "Expected --image-size with --resize"),
        ("dense", "real.npy", ("--image-size", "8"), "the generator dense, whose images keep"),
    ],
    ids=["channels", "few", "no images", "no source", "baselines", "no size", "generator"],
)
def test_evaluate_raises_for_incompatible_arguments(
    source, against, flags, message, tmp_path, capsys
):
    np.save(tmp_path / "real.npy", REAL)
    np.save(tmp_path / "gray.npy", REAL[..., 0])
    np.save(tmp_path / "few.npy", REAL[:1])
    status, _, error = evaluate(capsys, source, "--against", against, *flags)
    assert status == 2
    assert message in error
