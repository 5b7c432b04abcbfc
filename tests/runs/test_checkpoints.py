"""Checkpoints and pretrained generators: what is packed, loaded and refused."""

import dataclasses
import hashlib
import json

import keras
import ml_dtypes
import numpy as np
import pytest

from fashion_gan import GAN, evaluation, hub
from fashion_gan.cli.main import main
from fashion_gan.evaluation import classifier
from fashion_gan.files import write_json
from fashion_gan.images import to_uint8
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import DatasetInfo
from fashion_gan.runs.init_from import init_from
from fashion_gan.runs.train import train_run


@pytest.mark.parametrize("name", hub.pretrained_cards())
def test_from_preset_returns_a_pretrained_generator_with_a_complete_card(name):
    gan, card = GAN.from_preset(name), hub.pretrained_cards()[name]
    config = Config.from_dict(card["config"])
    assert config.model
    if config.data:
        assert gan.sample(4, seed=0).shape == (4, *card["image_shape"])
        assert card["record"]["scores"]["samples"]["kernel_distance"] > 0
    else:
        assert gan.sample(4, seed=0).shape == (4, 28, 28, 1)
        assert card["record"]["classifier"] == classifier.SHA256
        assert card["record"]["protocol"]["count"] == 10_000


def test_sample_of_the_pretrained_dense_gan_has_no_sneakers(tmp_path):
    assert main(["sample", "dense", "--num-images", "500", "--out", str(tmp_path / "x.npy")]) == 0
    _, labels = evaluation.load_classifier()(np.load(tmp_path / "x.npy"))
    assert np.mean(labels == 7) < 0.01
    assert len(np.unique(labels)) > 3


def test_pack_pretrained_packs_the_average(make_gan, tmp_path, monkeypatch):
    config = Config(ema_decay=0.5, epochs=1, jit_compile=False)
    gan = build_gan(config)
    gan.fit(np.random.default_rng(0).random((64, 28, 28, 1)), batch_size=32, verbose=0)
    (tmp_path / "run").mkdir()
    gan.save(tmp_path / "run/model.keras")
    write_json(tmp_path / "run/config.json", {"ema_decay": 0.5, "epochs": 1})
    write_json(tmp_path / "run/scores.json", {"scores": {}})
    checkpoints.pack_pretrained(tmp_path / "run", "mine", tmp_path)
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    loaded = GAN.from_preset("mine")
    np.testing.assert_allclose(loaded.sample(5, seed=1), gan.sample(5, seed=1), atol=2e-3)
    assert np.abs(loaded.sample(5, seed=1) - gan.sample(5, seed=1, use_ema=False)).max() > 5e-3


@pytest.mark.slow
def test_commands_use_a_pretrained_generator_of_own_images(tmp_path, monkeypatch, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (240, 16, 16, 3), "uint8")
    np.save(tmp_path / "images.npy", pixels)
    config = Config(data=str(tmp_path / "images.npy"), model="fastgan", width=4, batch_size=20)
    config = dataclasses.replace(config, epochs=1, latent_dim=4, jit_compile=False)
    gan = train_run(config, tmp_path / "run", verbose=0)
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    checkpoints.pack_pretrained(tmp_path / "run", "mine", tmp_path)
    card = hub.pretrained_cards()["mine"]
    assert (card["config"]["data"], card["image_shape"]) == ("images.npy", [16, 16, 3])
    assert main(["sample", "mine", "--num-images", "5", "--out", str(tmp_path / "x.npy")]) == 0
    expected = to_uint8(gan.sample(5, seed=0), gan.value_range)
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), expected, atol=3)
    again = build_gan(dataclasses.replace(config, seed=7), DatasetInfo((16, 16, 3), 140, None))
    init_from(again, "mine")
    for one, other in zip(
        again.discriminator.get_weights(), gan.discriminator.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2**-8, atol=2**-20)
    assert main(["evaluate", "mine"]) == 2
    assert "without its images (images.npy). Name images: --against" in capsys.readouterr().err


def test_pack_pretrained_rounds_weights_as_bfloat16_does(tmp_path, monkeypatch):
    run, gan = tmp_path / "run", build_gan(Config())
    run.mkdir()
    gan.save(run / "model.keras")
    write_json(run / "config.json", {})
    write_json(run / "scores.json", {})
    checkpoints.pack_pretrained(run, "mine", tmp_path)
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    packed = GAN.from_preset("mine").generator.get_weights()
    for before, after in zip(gan.generator.get_weights(), packed, strict=True):
        expected = before.astype(ml_dtypes.bfloat16).astype("float32")
        half_of_the_smallest_step = 2**-25
        np.testing.assert_allclose(after, expected, rtol=0, atol=half_of_the_smallest_step)
    assert (tmp_path / "mine.npz").stat().st_size < 2 * gan.generator.count_params() * 0.9


def test_packaged_weights_take_less_than_20_megabytes():
    assert sum(path.stat().st_size for path in hub.WEIGHTS.glob("*.npz")) < 20_000_000


def test_pretrained_weights_raise_for_a_wrong_file(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    (tmp_path / "mine.npz").write_bytes(b"other")
    card = {"sha256": hashlib.sha256(b"mine").hexdigest(), "config": {}, "record": {}}
    (tmp_path / "pretrained.json").write_text(json.dumps({"mine": card}))
    with pytest.raises(ValueError, match="SHA-256 .*Install the package again"):
        GAN.from_preset("mine")
    with pytest.raises(FileNotFoundError, match="Did you mean 'mine'"):
        GAN.from_preset("mime")
    assert keras.config.dtype_policy().name == "float32"
