"""Tests global state: only a training seeds the process and sets its dtype policy."""

import random
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import fashion_gan
from fashion_gan import evaluation, models
from fashion_gan.cli.main import main
from fashion_gan.runs import builder, checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.evaluate import evaluate_source
from fashion_gan.runs.train import check_configs, train_run

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")

SMALL = {"batch_size": 100, "eval_freq": 0, "on_collapse": "off", "jit_compile": False}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns the file of a GAN."""
    path = tmp_path_factory.mktemp("saved") / "gan.keras"
    build_gan(Config()).save(path)
    return path


def judge():
    protocol = evaluation.EvalConfig(count=150, kernel_subsets=2, kernel_size=50, bins=0)
    evaluate_source("dense", protocol, baselines=True)


CALLS = {
    "build": lambda: build_gan(
        Config(model="dcgan", dropout=0.3, ema_decay=0.9, dtype_policy="mixed_float16", seed=7)
    ),
    "check": lambda: check_configs([Config(seed=1), Config(conditional=True)]),
    "dry run": lambda: main(["train", "--dry-run", "--dtype-policy", "mixed_bfloat16"]),
    "evaluate": judge,
    "features": lambda: evaluation.load_classifier.__wrapped__(),
    "load": lambda: checkpoints.load("gan.keras"),
    "pretrained": lambda: fashion_gan.GAN.from_preset("dense").sample(2),
    "sample": lambda: main(["sample", "dense", "--num-images", "2", "--out", "a.png"]),
}


@pytest.fixture
def global_policy():
    """Sets a dtype policy that no config has, during a test."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield "mixed_bfloat16"
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_functions_do_not_change_random_state_or_dtype_policy(
    call, global_policy, saved, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(saved, "gan.keras")
    evaluation.load_classifier.cache_clear()
    keras.utils.set_random_seed(3)
    wanted = float(tf.random.uniform([]))
    keras.utils.set_random_seed(3)
    python, numpy = random.getstate(), np.random.get_state()
    call()
    assert random.getstate() == python
    np.testing.assert_equal(np.random.get_state(), numpy)
    assert float(tf.random.uniform([])) == wanted
    assert keras.config.dtype_policy().name == global_policy


def test_build_gan_restores_the_global_state_after_an_error(global_policy, monkeypatch):
    def fail(*_, **__):
        assert keras.config.dtype_policy().name == "float32"
        random.random()
        raise ZeroDivisionError

    monkeypatch.setattr(models, "build_networks", fail)
    python = random.getstate()
    with pytest.raises(ZeroDivisionError):
        build_gan(Config())
    assert random.getstate() == python
    assert keras.config.dtype_policy().name == global_policy


def test_build_gan_uses_the_seed_and_the_precision_of_its_config(global_policy):
    random.seed(1)
    gan = build_gan(Config(seed=8, dtype_policy="mixed_float16"))
    keras.utils.set_random_seed(8)
    for network, expected in zip(
        (gan.generator, gan.discriminator), models.build_networks("dense"), strict=True
    ):
        assert network.layers[0].compute_dtype == "float16"
        for a, b in zip(network.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_train_run_uses_its_seed_and_seeds_the_process(tmp_path, monkeypatch):
    before = []

    def note_and_build(*arguments):
        before.append((random.getstate(), np.random.get_state(), float(tf.random.uniform([]))))
        before.append(keras.config.dtype_policy().name)
        gan = build_gan(*arguments)
        networks = (gan.generator, gan.discriminator)
        before.append([weight for net in networks for weight in net.get_weights()])
        return gan

    monkeypatch.setattr(builder, "build_gan", note_and_build)
    keras.utils.set_random_seed(1)
    config = Config(epochs=1, seed=8, dtype_policy="mixed_bfloat16", **SMALL)
    try:
        train_run(config, tmp_path / "run", verbose=0)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(8)
    expected = random.getstate(), np.random.get_state(), float(tf.random.uniform([]))
    np.testing.assert_equal(before[0], expected)
    assert before[1] == "mixed_bfloat16"
    keras.utils.set_random_seed(8)
    generator, discriminator = models.build_networks("dense")
    weights = [*generator.get_weights(), *discriminator.get_weights()]
    for a, b in zip(weights, before[2], strict=True):
        np.testing.assert_array_equal(a, b)
