"""Tests the averaged generator against a recomputation, saved, and in sampling."""

import keras
import numpy as np
import pytest
from keras import layers

from fashion_gan import GAN
from fashion_gan.training.ema import decay_from_half_life


def networks():
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    return generator, discriminator


def make(**arguments):
    gan = GAN(*networks(), seed=3)
    gan.compile(jit_compile=False, **arguments)
    return gan


def test_ema_matches_numpy_with_batch_norm(tiny_images):
    gan, decay = make(ema_decay=0.6), 0.6
    expected = gan.generator.get_weights()
    for step in range(8):
        gan.fit(tiny_images[:8], batch_size=8, verbose=0)
        keep = min(decay, (1 + step) / (10 + step))
        weights = gan.generator.get_weights()
        expected = [keep * a + (1 - keep) * b for a, b in zip(expected, weights, strict=True)]
    for ours, theirs in zip(gan.ema_generator.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert not np.allclose(gan.ema_generator.get_weights()[0], gan.generator.get_weights()[0])
    assert [w.name for w in gan.ema_generator.weights].count("moving_mean") == 1


def test_sample_draws_from_the_average_unless_use_ema_is_false(tiny_images):
    gan = make(ema_decay=0.9)
    gan.fit(tiny_images, batch_size=8, epochs=3, verbose=0)
    latents = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    np.testing.assert_allclose(gan.sample(latents=latents), gan.ema_generator(latents), atol=1e-6)
    raw = gan.sample(latents=latents, use_ema=False)
    np.testing.assert_allclose(raw, gan.generator(latents, training=False), atol=1e-6)
    assert np.abs(raw - gan.sample(latents=latents)).max() > 1e-4


def test_fit_is_bit_for_bit_equal_with_and_without_an_average(tiny_images):
    one, other = make(), make(ema_decay=0.9)
    for network in ("generator", "discriminator"):
        getattr(other, network).set_weights(getattr(one, network).get_weights())
    for gan in (one, other):
        keras.utils.set_random_seed(0)
        gan.generator.layers[2].seed_generator.state.assign([1, 1])
        gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(one.generator.get_weights(), other.generator.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_load_model_continues_the_average(tiny_images, tmp_path):
    gan = make(ema_decay=0.9)
    gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    for one in (gan, loaded):
        one.fit(tiny_images, batch_size=8, shuffle=False, epochs=2, verbose=0)
    assert loaded.ema_decay == 0.9
    for a, b in zip(
        gan.ema_generator.get_weights(), loaded.ema_generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_decay_from_half_life_halves_after_a_half_life():
    decay = decay_from_half_life(half_life=10_000, batch_size=64)
    assert decay ** (10_000 / 64) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="half_life=0"):
        decay_from_half_life(0, 64)


def test_compile_raises_for_a_decay_out_of_range():
    with pytest.raises(ValueError, match="0 <= ema_decay < 1, or None. Received: ema_decay=1.0"):
        make(ema_decay=1.0)
