"""Checks of networks and of the arguments of `compile`."""

import keras
import numpy as np
import pytest
from keras import layers

from fashion_gan import GAN, models

NETWORKS = ("generator", "discriminator")


def pair():
    return models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps_per_execution": "auto"},
        {"steps_per_execution": 0},
        {"steps_per_execution": 2.5},
        {"steps_per_execution": True},
        {"d_steps": 0},
        {"d_steps": "2"},
        {"ema_decay": "0.9"},
        {"ema_decay": 1.0},
        {"g_optimizer": None},
        {"d_optimizer": 3},
        {"g_optimizer": "adm"},
        {"jit_compile": "on"},
        {"jit_compile": None},
        {"replay": "many"},
        {"penalties": "r1"},
        {"augmentations": 3},
        {"loss": 3},
    ],
    ids=str,
)
def test_compile_raises_with_the_name_of_a_wrong_argument(arguments):
    (name,) = arguments
    with pytest.raises(ValueError) as error:
        GAN(*pair()).compile(**arguments)
    assert name.rstrip("s").replace("penaltie", "penalty") in str(error.value)


@pytest.mark.parametrize("frozen", NETWORKS)
def test_compile_raises_for_a_frozen_network(frozen):
    networks = dict(zip(NETWORKS, pair(), strict=True))
    networks[frozen].trainable = False
    with pytest.raises(ValueError, match=f"Set {frozen}.trainable = True before compile"):
        GAN(**networks).compile()


@pytest.mark.parametrize("frozen", NETWORKS)
def test_fit_raises_for_a_network_frozen_after_compile(frozen, tiny_images):
    networks = dict(zip(NETWORKS, pair(), strict=True))
    gan = GAN(**networks)
    gan.compile(jit_compile=False)
    networks[frozen].trainable = False
    with pytest.raises(ValueError, match="have changed since.*Call compile\\(\\) again"):
        gan.fit(tiny_images, verbose=0)


def test_fit_trains_the_layers_that_are_not_frozen(tiny_images):
    generator, discriminator = pair()
    discriminator.layers[1].trainable = False
    gan = GAN(generator, discriminator)
    gan.compile(jit_compile=False)
    before = discriminator.get_weights()
    gan.fit(tiny_images, verbose=0)
    pairs = zip(before, discriminator.get_weights(), strict=True)
    moved = [not np.array_equal(a, b) for a, b in pairs]
    assert moved[:2] == [False, False] and all(moved[2:])


def test_gan_raises_for_channels_first():
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(192, activation="tanh"), layers.Reshape((3, 8, 8))]
    )
    discriminator = keras.Sequential([layers.Input((3, 8, 8)), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"\(height, width, channels\).*\(3, 8, 8\)"):
        GAN(generator, discriminator)
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(64, activation="tanh"), layers.Reshape((8, 8, 1))]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.MaxPooling2D(data_format="channels_first", padding="same"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    with pytest.raises(ValueError, match="data_format='channels_first'"):
        GAN(generator, discriminator)


def test_gan_raises_with_the_pooling_that_a_patch_discriminator_needs():
    patches = keras.Sequential([layers.Input((4, 4, 1)), layers.Conv2D(1, 3)])
    with pytest.raises(ValueError, match="GlobalAveragePooling2D"):
        GAN(pair()[0], patches)


def test_fit_raises_with_a_remedy_for_arrays_with_a_remainder(tiny_images):
    gan = GAN(*pair())
    gan.compile(d_steps=2, jit_compile=False)
    with pytest.raises(ValueError, match="multiple of 2.*data.make_dataset"):
        gan.fit(tiny_images[:31], batch_size=8, shuffle=False, verbose=0)


@pytest.mark.parametrize("size", [5, 8, 31])
def test_validation_accepts_any_batch_size_at_any_d_steps(size, tiny_images):
    gan = GAN(*pair())
    gan.compile(d_steps=5, jit_compile=False)
    held_out = (tiny_images[:31],)
    logs = gan.fit(
        tiny_images[:30],
        batch_size=10,
        validation_data=held_out,
        validation_batch_size=size,
        verbose=0,
    ).history
    assert np.isfinite(logs["val_d_loss"]).all()
    assert np.isfinite(gan.evaluate(*held_out, batch_size=size, verbose=0)).all()
