"""Saving and loading: what comes back goes on as if nothing had happened."""

import subprocess
import sys

import keras
import numpy as np
import pytest
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


def trained(images):
    gan = GAN(*networks(), seed=7)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)
    gan.compile(keras.optimizers.Adam(schedule, beta_1=0), "rmsprop", jit_compile=False)
    gan.fit(images, batch_size=8, shuffle=False, verbose=0)
    return gan


def everything(gan):
    optimizers = [*gan.g_optimizer.variables, *gan.d_optimizer.variables]
    return [v.numpy() for v in (*gan.variables, *optimizers)]


def assert_same(a, b):
    for x, y in zip(everything(a), everything(b), strict=True):
        np.testing.assert_array_equal(x, y)


def go_on(gan, images):
    gan.fit(images, batch_size=8, shuffle=False, epochs=2, verbose=0)


def test_a_saved_model_comes_back_compiled_and_goes_on_alike(tiny_images, tmp_path):
    gan = trained(tiny_images)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True)
    assert loaded.compiled
    assert isinstance(loaded.loss_function, losses.BinaryCrossentropy)
    assert loaded.get_compile_config() == gan.get_compile_config()
    assert (loaded.latent_dim, loaded.value_range) == (3, (0, 1))
    assert_same(gan, loaded)
    go_on(gan, tiny_images)
    go_on(loaded, tiny_images)
    assert gan.steps == 12
    assert_same(gan, loaded)


def test_saved_weights_carry_slots_and_random_states_too(tiny_images, tmp_path):
    gan = trained(tiny_images)
    gan.save_weights(tmp_path / "gan.weights.h5")
    keras.utils.set_random_seed(99)
    other = GAN(*networks(), seed=1)
    other.compile(*(gan.get_compile_config()[k] for k in ("g_optimizer", "d_optimizer")))
    other.load_weights(tmp_path / "gan.weights.h5")
    assert_same(gan, other)
    other.compile(
        *(gan.get_compile_config()[k] for k in ("g_optimizer", "d_optimizer")), jit_compile=False
    )
    other.load_weights(tmp_path / "gan.weights.h5")
    go_on(gan, tiny_images)
    go_on(other, tiny_images)
    assert_same(gan, other)


def test_weights_of_another_gan_are_refused(tiny_images, tmp_path):
    trained(tiny_images).save_weights(tmp_path / "gan.weights.h5")
    generator, discriminator = networks()
    smaller = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    other = GAN(generator, smaller)
    with pytest.raises(ValueError, match=r"1 random states of this GAN. Received: a file with 2"):
        other.load_weights(tmp_path / "gan.weights.h5")


def test_the_generator_alone_is_a_plain_keras_model(tiny_images, tmp_path):
    gan = trained(tiny_images)
    gan.generator.save(tmp_path / "generator.keras")
    generator = keras.saving.load_model(tmp_path / "generator.keras")
    assert type(generator) is keras.Sequential
    latents = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    np.testing.assert_array_equal(generator(latents), gan.generator(latents))


def test_an_uncompiled_gan_is_saved_and_loaded_uncompiled(tmp_path):
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
def test_a_model_loads_in_another_process_by_the_library_alone(tiny_images, tmp_path, load):
    trained(tiny_images).save(tmp_path / "gan.keras")
    code = f"import sys, keras\n{load}\nprint(type(gan).__name__, gan.steps, gan.compiled)"
    command = [sys.executable, "-c", code, tmp_path / "gan.keras"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["GAN", "4", "True"], result.stderr


def test_settings_of_compile_are_kept_as_they_were_given(tmp_path):
    gan = GAN(*networks(None), value_range=(-1, 1), seed=7)
    gan.compile("adam", {"class_name": "SGD", "config": {"learning_rate": 0.5}}, jit_compile=False)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.value_range == (-1, 1)
    assert loaded.jit_decision.reason == "jit_compile=False was requested"
    assert float(loaded.d_optimizer.learning_rate) == 0.5
    assert type(loaded.g_optimizer) is keras.optimizers.Adam


def test_a_resumed_epoch_needs_its_batches_to_be_whole_executions(make_gan):
    gan = make_gan(steps_per_execution=4)
    with pytest.raises(ValueError, match=r"6 batches of the epoch.*steps_per_execution=4"):
        gan.resume_at(epoch=0, batch=6)
