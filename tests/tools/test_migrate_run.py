"""Tests tools/migrate_run.py: files from before 0.1.0 load after conversion unchanged.

`data/before_0_1.keras` was saved by the last version with the older names, after 8 steps with every
kind of setting that was renamed; `data/before_0_1.json` holds what it sampled then.
"""

import importlib.util
import json
import runpy
import shutil
import sys

import numpy as np
import pytest
from helpers import ROOT

import fashion_gan
from fashion_gan.models import MinibatchStdDev
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.summary import read_history, summarize_run

DATA = ROOT / "tests/data"


@pytest.fixture(scope="module")
def migrate():
    spec = importlib.util.spec_from_file_location("migrate_run", ROOT / "tools/migrate_run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_model(path):
    gan = fashion_gan.load(path)
    expected = json.loads((DATA / "before_0_1.json").read_text())
    np.testing.assert_allclose(gan.sample(3, seed=1), expected["ema"], atol=1e-6)
    np.testing.assert_allclose(gan.sample(3, seed=1, use_ema=False), expected["raw"], atol=1e-6)
    assert np.abs(np.subtract(expected["ema"], expected["raw"])).max() > 1e-4
    assert gan.steps == expected["steps"] == 8
    return gan


def test_migrate_model_keeps_networks_average_and_settings(tmp_path, migrate):
    path = tmp_path / "model.keras"
    shutil.copy(DATA / "before_0_1.keras", path)
    with pytest.raises(ValueError, match="cannot be loaded"):
        fashion_gan.load(path)
    migrate.migrate_model(path)
    gan = check_model(path)
    assert [type(a).__name__ for a in gan.augmentations] == ["InstanceNoise", "Cutout"]
    assert gan.augmentations[0].get_config() == {"stddev": 0.2, "steps": 10, "p": 1.0}
    assert (gan.replay.capacity, gan.replay.replace_fraction) == (8, 0.25)
    arguments = gan.get_compile_config()
    assert arguments["loss"]["config"]["label_flip_rate"] == 0.1
    assert arguments["penalties"][0]["config"] == {"weight": 0.5, "interval": 2}
    (layer,) = (x for x in gan.discriminator.layers if isinstance(x, MinibatchStdDev))
    assert layer.group_size == 2
    assert np.abs(gan.replay.variables[0].numpy()).max() > 0
    assert int(gan.d_optimizer.iterations.numpy()) == 8


def test_migrate_model_changes_nothing_when_called_again(tmp_path, migrate):
    path = tmp_path / "model.keras"
    shutil.copy(DATA / "before_0_1.keras", path)
    migrate.migrate_model(path)
    migrate.migrate_model(path)
    check_model(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


def test_migrate_run_command_renames_settings_and_metrics(tmp_path, monkeypatch):
    shutil.copy(DATA / "before_0_1.keras", tmp_path / "model.keras")
    old = {"networks": "plain", "precision": "float32", "alarm": "warn", "jit_compile": "off"}
    (tmp_path / "config.json").write_text(json.dumps({**old, "epochs": 2, "decay_epochs": 3}))
    line = {"epoch": 2, "steps": 8, "findings": 1.0, "rotation": 0.25, "nearest_ratio": 0.9}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    state = {"series": {}, "shares": [], "streaks": {"vanished: Bag": 2}, "restorations": 1}
    (tmp_path / "monitor.json").write_text(json.dumps({"2": {**state, "said": ["vanished: Bag"]}}))
    with pytest.raises(ValueError, match="tools/migrate_run.py"):
        RunDirectory(tmp_path).read_config()
    monkeypatch.setattr(sys, "argv", ["migrate_run.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "tools/migrate_run.py"), run_name="__main__")
    config = RunDirectory(tmp_path).read_config()
    assert config == Config(model="convnet", jit_compile=False, epochs=2, lr_decay_epochs=3)
    assert read_history(tmp_path) == [
        {
            "epoch": 2,
            "steps": 8,
            "num_issues": 1.0,
            "mode_rotation": 0.25,
            "memorization_ratio": 0.9,
        }
    ]
    summary = summarize_run(tmp_path)
    assert (summary.state, summary.issues) == ("collapsed", ("missing: Bag",))
    check_model(tmp_path / "model.keras")


def test_migrate_run_raises_for_an_unfinished_run(tmp_path, migrate):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SystemExit, match="Expected a finished run"):
        migrate.migrate_run(tmp_path)
    assert (tmp_path / "config.json").read_text() == "{}"
