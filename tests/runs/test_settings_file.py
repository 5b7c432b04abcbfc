"""Tests settings in a file: their checks, and what overrides them."""

import argparse
import dataclasses
import json

import pytest

from fashion_gan.cli.main import build_parser
from fashion_gan.cli.options import config_from_options
from fashion_gan.runs.config import Config
from fashion_gan.runs.presets import PRESETS
from fashion_gan.runs.settings_file import read_settings


def write(tmp_path, text, name="run.toml"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def config_of(*flags) -> Config:
    options: argparse.Namespace = build_parser().parse_args(["train", *flags])
    return config_from_options(options)


def test_read_settings_accepts_toml_with_the_names_of_flags(tmp_path):
    text = 'model = "dcgan"\ng-learning-rate = 1\nimage_size = 64\nconditional = true\n'
    settings = read_settings(write(tmp_path, text))
    assert settings == {
        "model": "dcgan",
        "g_learning_rate": 1,
        "image_size": "64",
        "conditional": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", r"run.toml holds no settings.*'epoch'. Did you mean 'epochs'\?"),
        ('epochs = "3"', "Expected int. Received: epochs='3'"),
        ("epochs = 1.5", "Expected int. Received: epochs=1.5"),
        ("epochs = 0", "at least 1. Received: epochs=0"),
        ("mirror = 1", "Expected bool. Received: mirror=1"),
        ('dtype_policy = "float8"', "Expected one of .*dtype_policy='float8'"),
        ("[train]\nepochs = 3", "Expected names of settings. Received: 'train'"),
        ("epochs = ", "run.toml holds no settings of a run: Invalid value"),
    ],
)
def test_read_settings_raises_with_the_file_and_the_fault(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_settings(write(tmp_path, text))


@pytest.mark.parametrize("text", ["[1, 2]", "{", "[" * 100_000])
def test_read_settings_raises_for_json_without_settings(tmp_path, text):
    with pytest.raises(ValueError, match="run.json holds no settings of a run"):
        read_settings(write(tmp_path, text, "run.json"))


@pytest.mark.parametrize("preset", list(PRESETS))
def test_train_accepts_the_config_of_any_run(tmp_path, preset):
    text = json.dumps(dataclasses.asdict(PRESETS[preset]))
    assert config_of("--config", write(tmp_path, text, "config.json")) == PRESETS[preset]


def test_train_prefers_flags_to_the_file_and_the_file_to_the_preset(tmp_path):
    path = write(tmp_path, "epochs = 3\nbatch_size = 16\n")
    config = config_of("--preset", "dense_modern", "--config", path, "--epochs", "5")
    assert config == dataclasses.replace(PRESETS["dense_modern"], epochs=5, batch_size=16)


@pytest.mark.parametrize(("channels", "preset"), [("3", "projected"), ("4", "images")])
def test_train_uses_a_preset_for_own_images_when_the_file_sets_data(channels, preset, tmp_path):
    path = write(tmp_path, f'data = "emoji"\nchannels = "{channels}"\n')
    config = config_of("--config", path)
    assert config.steps_per_epoch == PRESETS[preset].steps_per_epoch


def test_train_raises_for_an_idle_setting_of_the_file(tmp_path):
    with pytest.raises(ValueError, match="noise_epochs does nothing without instance_noise"):
        config_of("--config", write(tmp_path, "noise_epochs = 3\n"))


def test_train_combines_the_lengths_of_flags_and_file(tmp_path):
    path = write(tmp_path, "epochs = 10\n")
    config = config_of("--config", path, "--steps", "100")
    assert (config.epochs, config.steps_per_epoch) == (10, 10)


def test_train_accepts_a_run_config_with_an_idle_setting(tmp_path):
    config = dataclasses.replace(PRESETS["dcgan_modern"], lr_decay_epochs=0)
    text = json.dumps(dataclasses.asdict(config))
    path = write(tmp_path, text, "config.json")
    expected = dataclasses.replace(config, epochs=2)
    assert config_of("--config", path, "--epochs", "2") == expected
