"""Tests parity with the chapter's loop, which is reimplemented here."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, data, models

BATCH, LATENTS = 32, 30


class BookLoop:
    """Trains in two phases a step: fakes (target 0) and reals (target 1), then fakes (target 1)."""

    def __init__(self, make_optimizer):
        self.generator = keras.Sequential(
            [
                layers.Input([LATENTS]),
                layers.Dense(100, activation="selu"),
                layers.Dense(150, activation="selu"),
                layers.Dense(28 * 28, activation="sigmoid"),
                layers.Reshape([28, 28]),
            ]
        )
        self.discriminator = keras.Sequential(
            [
                layers.Input([28, 28]),
                layers.Flatten(),
                layers.Dense(150, activation="selu"),
                layers.Dense(100, activation="selu"),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        self.d_optimizer, self.g_optimizer = make_optimizer(), make_optimizer()
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.step = tf.function(self._step)

    def _step(self, reals, d_noise, g_noise):
        mixed = tf.concat([self.generator(d_noise), reals], axis=0)
        targets = tf.constant([[0.0]] * BATCH + [[1.0]] * BATCH, mixed.dtype)
        self._minimise(self.d_optimizer, self.discriminator, lambda: mixed, targets)
        targets = tf.constant([[1.0]] * BATCH, mixed.dtype)
        self._minimise(self.g_optimizer, self.generator, lambda: self.generator(g_noise), targets)

    def _minimise(self, optimizer, network, images, targets):
        with tf.GradientTape() as tape:
            probabilities = self.discriminator(images())
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(targets, probabilities))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


class WithNoise(GAN):
    """Replaces the latents of a GAN by given ones, an array for each phase of each step."""

    noise = None

    def draw_latents(self, batch_size, index):
        return tf.gather(self.noise, index)


def train_both(make_optimizer, steps, dtype, **compile_arguments):
    """Trains both loops from equal weights, images and latents, and returns their states."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        noise = np.random.default_rng(0).standard_normal((2 * steps, BATCH, LATENTS)).astype(dtype)
        reals = data.load_fashion_mnist().train_images[: steps * BATCH, ..., 0].astype(dtype) / 255
        book = BookLoop(make_optimizer)
        gan = WithNoise(*models.build_networks("dense"), latent_dim=LATENTS)
        gan.noise = tf.constant(noise)
        gan.generator.set_weights(book.generator.get_weights())
        gan.discriminator.set_weights(book.discriminator.get_weights())
        gan.compile(make_optimizer(), make_optimizer(), **compile_arguments)

        dataset = tf.data.Dataset.from_tensor_slices(reals).batch(BATCH)
        gan.fit(dataset, epochs=1, verbose=0)
        for step, batch in enumerate(dataset):
            book.step(batch, noise[2 * step], noise[2 * step + 1])
        return state(gan), state(book)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def state(trained):
    parts = {
        "generator": trained.generator.weights,
        "discriminator": trained.discriminator.weights,
        "g_optimizer": trained.g_optimizer.variables,
        "d_optimizer": trained.d_optimizer.variables,
    }
    return {
        f"{part} {i} {v.name}": v.numpy() for part, vs in parts.items() for i, v in enumerate(vs)
    }


def assert_close(ours, theirs, tolerance):
    """Asserts equality within `tolerance` of each tensor's largest magnitude."""
    assert [v.size for v in ours.values()] == [v.size for v in theirs.values()]
    for (name, our), their in zip(ours.items(), theirs.values(), strict=True):
        scale = np.abs(their).max()
        np.testing.assert_allclose(our, their, rtol=0, atol=tolerance * scale, err_msg=name)


OPTIMIZERS = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fit_matches_the_book_loop_to_1e_8_in_float64(optimizer):
    ours, theirs = train_both(OPTIMIZERS[optimizer], 200, "float64", jit_compile=False)
    assert all(v.dtype == "float64" for k, v in ours.items() if "kernel" in k)
    assert_close(ours, theirs, 1e-8)


@pytest.mark.parametrize(
    ("optimizer", "mode"),
    [
        pytest.param("adam", {"run_eagerly": True}, marks=pytest.mark.slow),
        ("adam", {"jit_compile": False}),
        ("rmsprop", {"jit_compile": True}),
    ],
    ids=["eager", "graph", "xla"],
)
def test_fit_matches_the_book_loop_to_1e_4_in_float32(optimizer, mode):
    ours, theirs = train_both(OPTIMIZERS[optimizer], 20, "float32", **mode)
    assert_close(ours, theirs, 1e-4)


def test_build_networks_gives_dense_the_sizes_of_the_book():
    generator, discriminator = models.build_networks("dense")
    assert (generator.count_params(), discriminator.count_params()) == (136_634, 132_951)
