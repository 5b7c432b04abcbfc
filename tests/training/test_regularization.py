"""Regularizers and added losses: part of each network's own loss, as in Keras."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from fashion_gan import GAN, penalties


class AddsLoss(layers.Layer):
    """Adds the mean square of its input as a loss, in training alone."""

    def call(self, x, training=False):
        if training:
            self.add_loss(0.5 * ops.mean(ops.square(x)))
        return x


def networks(kernel=None, activity=None, adds_loss=False):
    keras.utils.set_random_seed(4)
    extra = [AddsLoss()] if adds_loss else []
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(16, activation="sigmoid", kernel_regularizer=kernel),
            *extra,
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(8, kernel_regularizer=kernel, activity_regularizer=activity),
            *([AddsLoss()] if adds_loss else []),
            layers.Dense(1),
        ]
    )
    return generator, discriminator


def train(pair, images, epochs=1, **arguments):
    gan = GAN(*pair, seed=0)
    sgd = (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    gan.compile(*sgd, **{"jit_compile": False, **arguments})
    logs = gan.fit(images, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history
    return gan, logs


def test_fit_applies_a_kernel_regularizer_and_logs_its_loss(tiny_images):
    plain, plain_logs = train(networks(), tiny_images[:8])
    start = [network.get_weights()[0] for network in networks()]
    regularized, logs = train(networks(keras.regularizers.L2(0.3)), tiny_images[:8])
    for name, before in zip(("generator", "discriminator"), start, strict=True):
        ours, without = (getattr(gan, name).get_weights()[0] for gan in (regularized, plain))
        if name == "discriminator":  # the generator learns from another discriminator
            np.testing.assert_allclose(ours, without - 0.1 * 2 * 0.3 * before, atol=1e-6)
        expected = 0.3 * np.square(before).sum()
        assert logs[f"{name[0]}_regularization"][0] == pytest.approx(expected, rel=1e-5)
    assert logs["d_loss"] == plain_logs["d_loss"]
    assert set(logs) - set(plain_logs) == {"d_regularization", "g_regularization"}


def test_activity_regularizer_uses_the_pass_of_the_loss(tiny_images):
    pair = networks(activity=keras.regularizers.L2(0.2))
    gan = GAN(*pair, seed=0)
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0), jit_compile=False)
    dense = pair[1].layers[1]
    fake = gan(gan.draw_latents(8, 0)).numpy()
    both = np.concatenate([fake, tiny_images[:8]]).reshape(16, 16)
    outputs = both @ dense.kernel.numpy() + dense.bias.numpy()
    logs = gan.fit(tiny_images[:8], batch_size=8, shuffle=False, verbose=0).history
    assert logs["d_regularization"][0] == pytest.approx(0.2 * np.square(outputs).sum() / 16)


@pytest.mark.parametrize(
    "arguments",
    [
        {"run_eagerly": True},
        {
            "penalties": [penalties.R1(0.1), penalties.WGANGP(0.1), penalties.R2(0.1, interval=2)],
            "d_steps": 2,
        },
    ],
    ids=["eager", "penalties"],
)
def test_fit_applies_added_losses_in_every_kind_of_step(arguments, tiny_images):
    plain, _ = train(networks(), tiny_images, epochs=3, **arguments)
    added, logs = train(networks(adds_loss=True), tiny_images, epochs=3, **arguments)
    for name in ("generator", "discriminator"):
        assert min(logs[f"{name[0]}_regularization"]) > 0.01
        ours, without = (getattr(gan, name).get_weights()[0] for gan in (added, plain))
        assert np.abs(ours - without).max() > 1e-3


def test_fit_sets_averaged_weights_of_optimizers_at_the_end(tiny_images):
    averaging = [keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9) for _ in range(2)]
    gan = GAN(*networks(), seed=0)
    gan.compile(*averaging, jit_compile=False)
    gan.fit(tiny_images, batch_size=8, verbose=0)
    for network, optimizer in zip((gan.generator, gan.discriminator), averaging, strict=True):
        for weight, average in zip(
            network.trainable_variables, optimizer._model_variables_moving_average, strict=True
        ):
            np.testing.assert_array_equal(weight, average)
