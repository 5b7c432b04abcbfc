"""Tests GAN.save and load: the restored state, and that training continues bit-for-bit."""

import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from helpers import assert_equal_states, read_state
from keras import layers

from fashion_gan import GAN, losses


def networks(activation="sigmoid"):
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.SpectralNormalization(layers.Dense(8)),
            layers.Dropout(0.4),
            layers.Dense(1, activation=activation),
        ]
    )
    return generator, discriminator


def make_gan(seed, **arguments):
    """Returns a GAN of the same networks and settings; its optimizers are new."""
    gan = GAN(*networks(), seed=seed)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)
    gan.compile(keras.optimizers.Adam(schedule, beta_1=0), "rmsprop", **arguments)
    return gan


def fit(gan, images, epochs):
    gan.fit(images, batch_size=8, shuffle=False, epochs=epochs, verbose=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns the folder of a GAN saved after an epoch, its state, and that two epochs later."""
    folder = tmp_path_factory.mktemp("saved")
    images = np.random.default_rng(1).random((32, 4, 4, 1), dtype="float32")
    gan = make_gan(7, jit_compile=False)
    fit(gan, images, 1)
    gan.save(folder / "gan.keras")
    gan.save_weights(folder / "gan.weights.h5")
    gan.generator.save(folder / "generator.keras")
    latents = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    before, samples = read_state(gan), gan.generator(latents).numpy()
    fit(gan, images, 2)
    return SimpleNamespace(
        folder=folder,
        images=images,
        before=before,
        after=read_state(gan),
        compile_config=gan.get_compile_config(),
        latents=latents,
        samples=samples,
    )


def test_load_model_restores_a_compiled_gan_that_continues_bit_for_bit(saved):
    loaded = keras.saving.load_model(saved.folder / "gan.keras", safe_mode=True)
    assert loaded.compiled
    assert isinstance(loaded.loss_function, losses.BinaryCrossentropy)
    assert loaded.get_compile_config() == saved.compile_config
    assert (loaded.latent_dim, loaded.value_range) == (3, (0, 1))
    assert_equal_states(read_state(loaded), saved.before)
    fit(loaded, saved.images, 2)
    assert loaded.steps == 12
    assert_equal_states(read_state(loaded), saved.after)


def test_load_weights_restores_slots_and_random_states(saved):
    keras.utils.set_random_seed(99)
    other = make_gan(1)
    other.load_weights(saved.folder / "gan.weights.h5")
    assert_equal_states(read_state(other), saved.before)
    other.compile(
        *(saved.compile_config[k] for k in ("g_optimizer", "d_optimizer")), jit_compile=False
    )
    other.load_weights(saved.folder / "gan.weights.h5")
    fit(other, saved.images, 2)
    assert_equal_states(read_state(other), saved.after)


def test_load_weights_raises_for_the_weights_of_another_gan(saved):
    generator, discriminator = networks()
    smaller = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    other = GAN(generator, smaller)
    with pytest.raises(ValueError, match=r"1 random states of this GAN. Received: a file with 2"):
        other.load_weights(saved.folder / "gan.weights.h5")


def test_generator_is_saved_as_a_plain_keras_model(saved):
    generator = keras.saving.load_model(saved.folder / "generator.keras")
    assert type(generator) is keras.Sequential
    np.testing.assert_array_equal(generator(saved.latents), saved.samples)


def test_load_model_restores_an_uncompiled_gan(tmp_path):
    gan = GAN(*networks(), seed=7)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.compiled
    for a, b in zip(gan.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    "load",
    [
        "import fashion_gan; gan = fashion_gan.load(sys.argv[1])",
        "from fashion_gan import GAN; gan = keras.saving.load_model(sys.argv[1])",
    ],
)
def test_load_model_needs_only_the_library_in_another_process(saved, load):
    code = f"import sys, keras\n{load}\nprint(type(gan).__name__, gan.steps, gan.compiled)"
    command = [sys.executable, "-c", code, saved.folder / "gan.keras"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["GAN", "4", "True"], result.stderr


def test_load_model_restores_the_settings_of_compile(tmp_path):
    gan = GAN(*networks(None), value_range=(-1, 1), seed=7)
    gan.compile("adam", {"class_name": "SGD", "config": {"learning_rate": 0.5}}, jit_compile=False)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.value_range == (-1, 1)
    assert loaded.jit_decision.reason == "jit_compile=False was requested"
    assert float(loaded.d_optimizer.learning_rate) == 0.5
    assert type(loaded.g_optimizer) is keras.optimizers.Adam


def test_resume_at_raises_for_a_partial_execution(make_gan):
    gan = make_gan(steps_per_execution=4)
    with pytest.raises(ValueError, match=r"6 batches of the epoch.*steps_per_execution=4"):
        gan.resume_at(epoch=0, batch=6)


def test_state_tree_restores_every_variable(make_gan, tiny_images):
    settings = {"ema_decay": 0.9, "replay": 8, "lecam": 0.1, "augment_p": "adaptive"}
    settings["post_hoc_ema"] = True
    gan, other = (make_gan("adam", "rmsprop", seed=seed, **settings) for seed in (0, 1))
    fit(gan, tiny_images, 1)
    tree = gan.get_state_tree("numpy_array")
    assert set(tree["trainable_variables"]) == {"generator", "discriminator"}
    owners = {"gan", "ema_generator", "power_averages", "replay", "lecam", "augment_probability"}
    assert set(tree["non_trainable_variables"]) == owners
    other.set_state_tree(tree)
    assert_equal_states(read_state(gan), read_state(other))
    for model in (gan, other):
        fit(model, tiny_images, 1)
    assert_equal_states(read_state(gan), read_state(other))


def test_set_state_tree_raises_for_the_tree_of_another_gan(make_gan):
    tree = make_gan(ema_decay=0.9).get_state_tree()
    message = "Expected non_trainable_variables of {'gan': 1}. Received: .*'ema_generator'"
    with pytest.raises(ValueError, match=message):
        make_gan().set_state_tree(tree)
    with pytest.raises(ValueError, match="Did you mean 'metrics_variables'"):
        make_gan().set_state_tree({"metric_variables": {}})
