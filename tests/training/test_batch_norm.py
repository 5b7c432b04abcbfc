"""Tests the images in the discriminator's batch norm, as docs/coming-from.md describes."""

import keras
import numpy as np
import pytest
from keras import layers

from fashion_gan import GAN
from fashion_gan.penalties import R1, R2

FAKES, REALS = 0.25, 0.75


class Recorder(layers.BatchNormalization):
    """Notes the batches that it sees, and whether their statistics are kept."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []

    def call(self, inputs, training=None, mask=None):
        output = super().call(inputs, training=training, mask=mask)
        self.seen.append((np.asarray(inputs)[:, 0].tolist(), training))
        return output


class Constant(layers.Layer):
    """Returns images of one brightness for all latents."""

    def call(self, latents):
        return keras.ops.reshape(0 * keras.ops.sum(latents, axis=1) + FAKES, (-1, 1, 1, 1))


@pytest.fixture
def make():
    """Returns a function that compiles a GAN, with the batch norm of its discriminator."""

    def make(loss, **arguments):
        norm = Recorder(momentum=0.5)
        generator = keras.Sequential([layers.Input((3,)), layers.Dense(3), Constant()])
        discriminator = keras.Sequential(
            [layers.Input((1, 1, 1)), layers.Flatten(), norm, layers.Dense(1)]
        )
        gan = GAN(generator, discriminator, value_range=(0, 1))
        gan.compile("sgd", "sgd", loss, run_eagerly=True, **arguments)
        norm.seen.clear()
        return gan, norm

    return make


def step(gan, norm):
    """Returns the batches of a train step on two images, and the moving mean."""
    gan.train_step(np.full((2 * gan.d_steps, 1, 1, 1), REALS, "float32"))
    return norm.seen, float(norm.moving_mean[0])


MIXED, FAKE, REAL = [FAKES] * 2 + [REALS] * 2, [FAKES] * 2, [REALS] * 2
MIXED_MEAN = (FAKES + REALS) / 2


@pytest.mark.parametrize(
    ("loss", "generator_phase"),
    [("binary_crossentropy", [FAKE]), ("relativistic", [REAL, FAKE])],
)
def test_batch_norm_receives_a_mixed_batch_in_the_discriminator_phase(make, loss, generator_phase):
    gan, norm = make(loss)
    seen, mean = step(gan, norm)
    assert seen == [(batch, True) for batch in [MIXED, *generator_phase]]
    np.testing.assert_allclose(mean, 0.5 * MIXED_MEAN, rtol=1e-6)


def test_batch_norm_updates_statistics_in_each_discriminator_step_but_not_in_penalties(make):
    gan, norm = make("binary_crossentropy", d_steps=2, penalties=[R1(0.1), R2(0.1)])
    seen, mean = step(gan, norm)
    assert [batch for batch, _ in seen] == [MIXED, REAL, FAKE] * 2 + [FAKE]
    np.testing.assert_allclose(mean, 0.75 * MIXED_MEAN, rtol=1e-6)


def test_batch_norm_uses_moving_statistics_in_evaluation(make):
    gan, norm = make("binary_crossentropy")
    gan.test_step(np.full((2, 1, 1, 1), REALS, "float32"))
    assert norm.seen == [(MIXED, False)]
    assert float(norm.moving_mean[0]) == 0
