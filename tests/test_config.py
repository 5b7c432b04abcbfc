"""Settings: what they refuse, and that a name is all it takes to find one."""

import dataclasses

import pytest

from fashion_gan.config import Config
from fashion_gan.presets import PRESETS


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "at least 1. Received: epochs=0"),
        ({"epochs": 1.5}, "Expected int. Received: epochs=1.5"),
        ({"epochs": True}, "Expected int. Received: epochs=True"),
        ({"g_learning_rate": -1.0}, "at least 0. Received: g_learning_rate=-1.0"),
        ({"g_learning_rate": float("nan")}, "at least 0. Received: g_learning_rate=nan"),
        ({"d_learning_rate": float("inf")}, "at least 0. Received: d_learning_rate=inf"),
        ({"precision": "float8"}, "one of .*mixed_bfloat16.* Received: precision='float8'"),
        ({"jit_compile": "yes"}, r"one of \('auto', 'on', 'off'\)"),
    ],
)
def test_a_setting_out_of_bounds_is_named_with_its_bounds(setting, message):
    with pytest.raises(ValueError, match=message):
        Config(**setting)


def test_a_config_survives_the_way_through_a_dict():
    config = Config(epochs=3, g_learning_rate=1)
    assert Config.from_dict(dataclasses.asdict(config)) == config
    with pytest.raises(ValueError, match="Received: 'epoch'"):
        Config.from_dict({"epoch": 3})


def test_every_setting_has_a_help_text():
    assert all(field.metadata["help"] for field in dataclasses.fields(Config))


def test_the_dense_preset_is_the_books():
    config = PRESETS["dense"]
    assert (config.latent_dim, config.batch_size, config.epochs) == (30, 32, 50)
    assert (config.g_optimizer, config.d_optimizer, config.seed) == ("rmsprop", "rmsprop", 42)
    assert (config.g_learning_rate, config.d_learning_rate) == (0.001, 0.001)
