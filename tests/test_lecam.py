"""Tests LeCam regularization against a loop in NumPy, in a train step, and saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import linear_networks

from fashion_gan import GAN
from fashion_gan.lecam import LeCam, get


@pytest.mark.parametrize("decay", [0.9, 0.3])
def test_lecam_matches_a_plain_loop(decay):
    rng = np.random.default_rng(0)
    lecam = LeCam(0.5, decay)
    lecam.build()
    averages, positive = None, 0
    for step in range(20):
        real, fake = rng.normal(0.3, 1, (5, 1)), rng.normal(-0.2, 1, (5, 1))
        means = np.array([real.mean(), fake.mean()])
        keep = min(decay, step / (step + 1))
        averages = means if step == 0 else keep * averages + (1 - keep) * means
        expected = 0.5 * (
            np.maximum(real - averages[1], 0) ** 2 + np.maximum(averages[0] - fake, 0) ** 2
        )
        penalty = lecam.regularize(tf.constant(real, "float32"), tf.constant(fake, "float32"))
        np.testing.assert_allclose(penalty, expected, rtol=1e-4, atol=1e-6)
        positive += (expected > 0).sum()
    assert 20 < positive < 100
    np.testing.assert_allclose(lecam.averages, averages, rtol=1e-5)


def test_lecam_has_no_gradient_through_its_averages():
    lecam = LeCam(1.0)
    lecam.build()
    real, fake = tf.constant([[2.0], [1.0]]), tf.constant([[0.5], [0.0]])
    with tf.GradientTape() as tape:
        tape.watch((real, fake))
        total = tf.reduce_sum(lecam.regularize(real, fake))
    gradients = tape.gradient(total, (real, fake))
    np.testing.assert_allclose(gradients[0], 2 * (real - 0.25))
    np.testing.assert_allclose(gradients[1], -2 * (1.5 - fake))


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        (-1.0, "weight=-1.0"),
        ({"name": "lecam", "decay": 1.0}, "decay=1.0"),
        (True, "Received: lecam=True"),
        ("le_cam", "Did you mean 'lecam'"),
    ],
)
def test_get_raises_for_invalid_regularization(identifier, message):
    with pytest.raises(ValueError, match=message):
        get(identifier)


def test_discriminator_step_minimizes_the_loss_and_the_regularization(tiny_images):
    """Recomputes one step of gradient descent on a linear discriminator in NumPy."""
    gan = GAN(*linear_networks(), seed=0)
    sgd = keras.optimizers.SGD
    gan.compile(sgd(0.0), sgd(0.1), "wasserstein", lecam=0.7, jit_compile=False)
    real = tiny_images[:8]
    fake = gan.generator(gan.draw_latents(8, 0)).numpy()
    kernel, bias = (w.numpy() for w in gan.discriminator.weights)
    logits = [images.reshape(8, 16) @ kernel + bias for images in (real, fake)]
    slopes = [
        (-1 + 1.4 * np.maximum(logits[0] - logits[1].mean(), 0)) / 8,
        (1 - 1.4 * np.maximum(logits[0].mean() - logits[1], 0)) / 8,
    ]
    gradient = sum(
        images.reshape(8, 16).T @ slope for images, slope in zip((real, fake), slopes, strict=True)
    )
    logs = gan.fit(real, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(
        gan.discriminator.weights[0].numpy(), kernel - 0.1 * gradient, atol=1e-6
    )
    penalties = (
        np.maximum(logits[0] - logits[1].mean(), 0) ** 2
        + np.maximum(logits[0].mean() - logits[1], 0) ** 2
    )
    assert logs["d_lecam"][0] == pytest.approx(0.7 * penalties.mean(), rel=1e-4)
    assert np.abs(gradient - (fake - real).reshape(8, 16).mean(axis=0)[:, None]).max() > 0.01


def test_lecam_computes_in_float32_under_a_mixed_policy(tiny_images):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        gan = GAN(*linear_networks(), seed=0)
        gan.compile(lecam=0.5, jit_compile=False)
        logs = gan.fit(tiny_images, batch_size=8, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert gan.lecam.averages.dtype == "float32"
    assert 0 < logs["d_lecam"][0] < 10
