"""Tests each program of examples/ on few images."""

import importlib.util
import re

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from fashion_gan import evaluation

pytestmark = [
    pytest.mark.usefixtures("small_fashion_mnist"),
    pytest.mark.filterwarnings("ignore:.*only fill"),
]
EXAMPLES = ROOT / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples_readme_lists_each_example():
    listed = re.findall(r"\| \[(\w+)\.py\]\(\1\.py\) \|", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == sorted(path.stem for path in EXAMPLES.glob("*.py"))
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60, f"{path.name} is longer than a page"


@pytest.mark.slow
def test_book_gan_example_writes_a_grid(tmp_path):
    load("book_gan").main(epochs=1, folder=str(tmp_path))
    with Image.open(tmp_path / "final.png") as picture:
        assert picture.size == (4 * 29 - 1, 4 * 29 - 1)


@pytest.mark.slow
def test_own_images_example_writes_grids_and_a_scored_preset(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(220):
        pixels = rng.integers(0, 256, (20, 24, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
    folder = tmp_path / "run"
    gan = load("own_images").main(str(tmp_path / "photos"), 16, 20, str(folder))
    assert gan.steps == 20 and gan.image_shape == (16, 16, 3)
    assert re.search(r"\| \w+ \| [\d.]+ \|", (folder / "preset/README.md").read_text())
    assert list(folder.rglob("epoch_*.png"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wgan_gp", "transfer"])
def test_other_examples_train_on_fashion_mnist(name, tmp_path):
    gan = load(name).main(epochs=1, folder=str(tmp_path))
    assert gan.steps > 0 and list(tmp_path.rglob("epoch_*.png"))


@pytest.mark.slow
def test_keras_io_example_scores_both_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "QUICK", evaluation.EvalConfig(200, kernel_size=200, bins=0))
    name = "keras_io_gan_that_does_not_collapse"
    source = (EXAMPLES / f"{name}.py").read_text()
    assert "EPOCHS = 5" in source
    names = {}
    exec(compile(source.replace("EPOCHS = 5", "EPOCHS = 1"), name, "exec"), names)
    shown = capsys.readouterr().out
    for setting, measured in names["scores"].items():
        assert f"{setting}: coverage {measured['coverage']:.2f}, missing" in shown
        assert (tmp_path / "logs" / setting / "images").is_dir()


@pytest.mark.slow
def test_conditional_example_writes_sandals(tmp_path):
    gan = load("conditional").main(epochs=1, path=str(tmp_path / "sandals.png"))
    assert gan.num_classes == 10 and (tmp_path / "sandals.png").exists()


@pytest.mark.slow
def test_own_networks_example_saves_a_model_and_a_table(tmp_path):
    load("own_networks").main(epochs=1, path=str(tmp_path / "gan.keras"))
    assert {path.name for path in tmp_path.iterdir()} == {"gan.keras", "gan.keras.csv"}
