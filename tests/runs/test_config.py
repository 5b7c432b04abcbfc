"""Tests settings: their checks, and their lookup by name."""

import contextlib
import dataclasses
import re

import keras
import pytest

from fashion_gan.losses import LOSSES
from fashion_gan.models import MODELS
from fashion_gan.runs.config import Config
from fashion_gan.runs.presets import PRESETS


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "at least 1. Received: epochs=0"),
        ({"epochs": 1.5}, "Expected int. Received: epochs=1.5"),
        ({"epochs": True}, "Expected int. Received: epochs=True"),
        ({"g_learning_rate": -1.0}, "at least 0. Received: g_learning_rate=-1.0"),
        ({"g_learning_rate": float("nan")}, "at least 0. Received: g_learning_rate=nan"),
        ({"d_learning_rate": float("inf")}, "at least 0. Received: d_learning_rate=inf"),
        ({"dtype_policy": "float8"}, "one of .*mixed_bfloat16.* Received: dtype_policy='float8'"),
        ({"dtype_policy": "floaty32"}, "Did you mean 'float32'"),
        ({"jit_compile": "yes"}, r"one of \('auto', True, False\)"),
        ({"seed": -1}, "Expected 0 to 4294967295. Received: seed=-1"),
        ({"seed": 2**32}, "Expected 0 to 4294967295. Received: seed=4294967296"),
        ({"dropout": 1.0}, "at least 0 and below 1. Received: dropout=1.0"),
        ({"label_flip_rate": 0.5}, "at least 0 and below 0.5. Received: label_flip_rate=0.5"),
        ({"translation": 1.1}, "Expected 0 to 1. Received: translation=1.1"),
        ({"cutout": 2}, "Expected 0 to 1. Received: cutout=2"),
        ({"brightness": 2.0}, "Expected 0 to 1. Received: brightness=2.0"),
        ({"rotation": 1.5}, "Expected 0 to 1. Received: rotation=1.5"),
        ({"augment_p": 1.5}, "Expected 0 to 1. Received: augment_p=1.5"),
        ({"overfit_target": 0.0}, "Expected 0.01 to 0.99. Received: overfit_target=0.0"),
        ({"lecam": -1.0}, "at least 0. Received: lecam=-1.0"),
        ({"contrast": float("nan")}, "Expected 0 to 1. Received: contrast=nan"),
        ({"ema_decay": 1.0}, "at least 0 and below 1. Received: ema_decay=1.0"),
        ({"beta_1": 1.5}, "at least 0 and below 1. Received: beta_1=1.5"),
        ({"beta_2": 1}, "at least 0 and below 1. Received: beta_2=1"),
        ({"lr_final_scale": 2.0}, "Expected 0 to 1. Received: lr_final_scale=2.0"),
        ({"replay_size": 16}, "replay_size=0, or at least batch_size=32. Received: replay_size=16"),
    ],
)
def test_config_raises_for_a_setting_out_of_bounds(setting, message):
    with pytest.raises(ValueError, match=message):
        Config(**setting)


def test_config_is_restored_from_a_dict():
    config = Config(epochs=3, g_learning_rate=1)
    assert Config.from_dict(dataclasses.asdict(config)) == config
    with pytest.raises(ValueError, match="Received: 'epoch'"):
        Config.from_dict({"epoch": 3})


def test_config_accepts_the_bounds():
    Config(
        seed=2**32 - 1, cutout=1, lr_final_scale=1.0, dropout=0, ema_decay=0.9999, replay_size=32
    )


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({"noise_epochs": 3}, "instance_noise"),
        ({"lr_final_scale": 0.1}, "lr_decay_epochs"),
        ({"skip_corrupt": True}, "data"),
        ({"overfit_target": 0.5}, "adaptive_augmentation"),
        ({"augment_p": 0.5}, "instance_noise or augment_mirror or .* or hue"),
        ({"augment_p": 0.5, "augment_mirror": True}, ""),
        ({"penalty_interval": 4}, "r1 or r2 or wgan_gp or dragan"),
        ({"dropout": 0.1}, "model as dcgan"),
        ({"beta_1": 0.5}, "g_optimizer or d_optimizer as adam or .*"),
        ({"noise_epochs": 3, "instance_noise": 0.1}, ""),
        ({"penalty_interval": 4, "dragan": 1}, ""),
        ({"dropout": 0.1, "model": "dcgan"}, ""),
        ({"beta_2": 0.5, "d_optimizer": "AdamW"}, ""),
    ],
)
def test_idle_returns_the_settings_that_a_setting_needs(settings, needs):
    (found,) = Config(**settings).idle(list(settings)[:1]).values() or [""]
    assert re.fullmatch(needs, found)


def test_idle_lists_every_optimizer_with_betas():
    names = set()
    for name in dir(keras.optimizers):
        with contextlib.suppress(KeyError, TypeError, ValueError):  # of what is no optimizer
            settings = keras.optimizers.get(name).get_config()
            names.add(name)
            for beta in ("beta_1", "beta_2"):
                assert (beta in settings) == (not Config(g_optimizer=name).idle([beta])), name
    assert {"Adam", "RMSprop"} <= names


def test_config_has_a_help_text_for_each_setting():
    assert all(field.metadata["help"] for field in dataclasses.fields(Config))


def test_config_help_lists_networks_and_losses():
    helps = {field.name: field.metadata["help"] for field in dataclasses.fields(Config)}
    for setting, names in (("model", MODELS), ("loss", LOSSES)):
        listed = re.findall(r"\w+", helps[setting].split(":")[-1])
        assert sorted(set(listed) - {"or"}) == sorted(names)


def test_dense_preset_has_the_settings_of_the_book():
    config = PRESETS["dense"]
    assert (config.latent_dim, config.batch_size, config.epochs) == (30, 32, 50)
    assert (config.g_optimizer, config.d_optimizer, config.seed) == ("rmsprop", "rmsprop", 42)
    assert (config.g_learning_rate, config.d_learning_rate) == (0.001, 0.001)
