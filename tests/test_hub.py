"""Tests presets: their content and sources, and broken or hostile ones."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import linear_networks, stand_in_for_hub, tiny_networks

import fashion_gan
from fashion_gan import GAN, hub


@pytest.fixture
def trained():
    """Returns a compiled GAN with an average, after a few steps."""
    keras.utils.set_random_seed(3)
    gan = GAN(*tiny_networks(), seed=3)
    gan.compile("adam", "adam", ema_decay=0.9)
    gan.fit(np.random.default_rng(0).random((16, 4, 4, 1)), batch_size=4, verbose=0)
    return gan


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_from_preset_restores_a_gan_bit_for_bit_and_fit_continues(trained, tmp_path):
    trained.save_to_preset(tmp_path / "mine")
    assert set(files(tmp_path / "mine")) == {*hub.MEMBERS, hub.CARD}
    loaded = GAN.from_preset(tmp_path / "mine")
    images = np.random.default_rng(1).random((8, 4, 4, 1))
    for gan in (trained, loaded):
        gan.fit(images, batch_size=4, shuffle=False, verbose=0)
    assert loaded.steps == trained.steps == 6
    for use_ema in (True, False):
        np.testing.assert_array_equal(
            loaded.sample(5, seed=1, use_ema=use_ema), trained.sample(5, seed=1, use_ema=use_ema)
        )


@pytest.mark.slow
def test_from_preset_is_bit_for_bit_equal_in_another_process(tmp_path):
    program = (
        "import numpy as np; from fashion_gan import GAN, models; import sys;"
        "gan = GAN(*models.build_networks('dcgan', image_shape=(8, 8, 3)), seed=1);"
        "gan.save_to_preset(sys.argv[1]); np.save(sys.argv[2], gan.sample(4, seed=2))"
    )
    preset, images = tmp_path / "preset", tmp_path / "images.npy"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", program, str(preset), str(images)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    np.testing.assert_array_equal(GAN.from_preset(str(preset)).sample(4, seed=2), np.load(images))


def test_card_describes_the_gan_its_data_license_and_scores(trained, tmp_path):
    trained.save_to_preset(
        tmp_path / "mine",
        description="Small squares.",
        data="Random numbers, in the public domain.",
        license="cc0-1.0",
        scores={"distance": 1.25, "distance of blurred copies": 3.5},
    )
    card = (tmp_path / "mine" / hub.CARD).read_text()
    front, _, text = card.removeprefix("---\n").partition("\n---\n")
    assert front == 'library_name: keras\ntags: [gan, image-generation]\nlicense: "cc0-1.0"'
    for part in ("Small squares.", "gray images of 4x4 pixels", "4 train steps", "public domain"):
        assert part in text
    assert "| distance of blurred copies | 3.5 |" in text
    assert "GAN.from_preset(" in text


def test_save_to_preset_keeps_other_files_and_replaces_a_whole_preset(
    trained, tmp_path, monkeypatch
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"Received: .*mine, which holds thesis.txt"):
            trained.save_to_preset(folder, overwrite=overwrite)
    (folder / "thesis.txt").unlink()
    trained.save_to_preset(folder)
    before = files(folder)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trained.save_to_preset(folder)

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(OSError, match="No space"):
            trained.save_to_preset(folder, overwrite=True, description="new")
    assert files(folder) == before
    rename = hub.Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(
            "pathlib.Path.rename",
            lambda self, target: full() if self.name == "new" else rename(self, target),
        )
        with pytest.raises(OSError, match="No space"):
            trained.save_to_preset(folder, overwrite=True, description="new")
    assert files(folder) == before
    trained.save_to_preset(folder, overwrite=True, description="new")
    assert b"new" in files(folder)[hub.CARD]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("member", hub.MEMBERS)
def test_from_preset_raises_for_a_missing_or_damaged_file(trained, tmp_path, member):
    trained.save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / member
    if member != "metadata.json":  # which Keras writes and does not read
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(ValueError, match="mine cannot be loaded"):
            GAN.from_preset(tmp_path / "mine")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"without {member}"):
        GAN.from_preset(tmp_path / "mine")


def test_from_preset_runs_no_code_and_loads_only_gans(tmp_path):
    lambdas = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Lambda(lambda x: 2 * x)])
    generator, discriminator = linear_networks()
    hostile = keras.Sequential([lambdas, discriminator])
    GAN(generator, hostile).save_to_preset(tmp_path / "hostile")
    with pytest.raises(ValueError, match="[Ll]ambda"):
        GAN.from_preset(tmp_path / "hostile")
    generator.save(tmp_path / "other.keras")
    content = io.BytesIO((tmp_path / "other.keras").read_bytes())
    hub.write_preset(tmp_path / "other", content, card="")
    with pytest.raises(ValueError, match="holds a Sequential, not a GAN"):
        GAN.from_preset(tmp_path / "other")


@pytest.mark.parametrize(
    ("preset", "error", "message"),
    [
        ("dense_modem", FileNotFoundError, "Did you mean 'dense_modern'"),
        ("ftp://a/b", ValueError, "Expected hf://USER/MODEL"),
        ("hf://a", ValueError, "Received: 'hf://a'"),
        ("hf://../b", ValueError, "Expected hf://USER/MODEL"),
        ("kaggle://a/b/keras/c", ImportError, "pip install kagglehub"),
    ],
)
def test_from_preset_raises_for_an_invalid_address(preset, error, message, monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(error, match=message):
        GAN.from_preset(preset)


@pytest.mark.parametrize(
    ("package", "uri"),
    [("huggingface_hub", "hf://anna/gan"), ("kagglehub", "kaggle://anna/gan/keras/small")],
)
def test_from_preset_restores_an_uploaded_preset_bit_for_bit(
    package, uri, trained, tmp_path, monkeypatch
):
    stand_in = stand_in_for_hub(monkeypatch, package, tmp_path / "hub")
    trained.save_to_preset(tmp_path / "mine")
    (tmp_path / "mine" / "secret.txt").write_text("do not share")
    fashion_gan.upload_preset(uri, tmp_path / "mine")
    loaded = GAN.from_preset(uri)
    np.testing.assert_array_equal(loaded.sample(3, seed=0), trained.sample(3, seed=0))
    assert not list((tmp_path / "hub").rglob("secret.txt"))
    if package == "huggingface_hub":
        assert stand_in.calls[0] == ("create", "anna/gan", True)


def test_upload_preset_raises_for_an_incomplete_preset_or_a_wrong_address(trained, tmp_path):
    trained.save_to_preset(tmp_path / "mine")
    with pytest.raises(ValueError, match="Expected an address"):
        fashion_gan.upload_preset("mine", tmp_path / "mine")
    with pytest.raises(ValueError, match="Expected a folder to upload"):
        fashion_gan.upload_preset("hf://a/b", "hf://a/c")
    (tmp_path / "mine" / "metadata.json").unlink()
    with pytest.raises(FileNotFoundError, match="without metadata.json"):
        fashion_gan.upload_preset("hf://a/b", tmp_path / "mine")


def test_save_to_preset_writes_a_format_that_keras_loads(trained, tmp_path):
    trained.save_to_preset(tmp_path / "mine")
    assert json.loads((tmp_path / "mine/config.json").read_text())["class_name"] == "GAN"
    loaded = keras.saving.load_model(tmp_path / "mine")
    np.testing.assert_array_equal(loaded.sample(3, seed=0), trained.sample(3, seed=0))
