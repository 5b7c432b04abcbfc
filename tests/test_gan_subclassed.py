"""Tests subclasses of `keras.Model` as networks, built or not."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import fashion_gan
from fashion_gan import GAN


@keras.saving.register_keras_serializable("tests")
class Generator(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(8, activation="relu")
        self.norm = layers.BatchNormalization()
        self.pixels = layers.Dense(16, activation="sigmoid")
        self.images = layers.Reshape((4, 4, 1))

    def call(self, latents, training=False):
        return self.images(self.pixels(self.norm(self.hidden(latents), training=training)))


@keras.saving.register_keras_serializable("tests")
class Discriminator(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten = layers.Flatten()
        self.dropout = layers.Dropout(0.3)
        self.judge = layers.Dense(1)

    def call(self, images, training=False):
        return self.judge(self.dropout(self.flatten(images), training=training))


@keras.saving.register_keras_serializable("tests")
class ConditionalGenerator(Generator):
    def call(self, inputs, training=False):
        latents, labels = inputs
        return super().call(ops.concatenate([latents, ops.one_hot(labels, 3)], 1), training)


@keras.saving.register_keras_serializable("tests")
class ConditionalDiscriminator(Discriminator):
    def call(self, inputs):
        images, labels = inputs
        return super().call(images) + ops.cast(labels, "float32")[:, None]


class Pair(keras.Model):
    def call(self, latents):
        return {"images": latents}


@pytest.mark.parametrize(
    ("built", "num_classes", "jit_compile"),
    [
        pytest.param(True, None, "auto", marks=pytest.mark.slow),
        (False, None, False),
        (False, 3, False),
    ],
    ids=["built", "unbuilt", "conditional"],
)
def test_subclassed_networks_train_sample_save_and_load(
    built, num_classes, jit_compile, tiny_images, tmp_path
):
    kinds = (Generator, Discriminator)
    labels = None
    if num_classes:
        kinds, labels = (ConditionalGenerator, ConditionalDiscriminator), np.arange(32) % 3
    pair = [kind() for kind in kinds]
    if built:
        for network, x in zip(pair, (np.zeros((1, 3), "float32"), tiny_images[:1]), strict=True):
            network(x)
    gan = GAN(*pair, latent_dim=3, num_classes=num_classes, seed=0)
    assert (gan.value_range, gan.image_shape) == ((0, 1), (4, 4, 1))
    gan.compile("adam", "adam", ema_decay=0.9, jit_compile=jit_compile)
    before = gan.get_weights()
    gan.fit(tiny_images, labels, batch_size=8, verbose=0)
    assert not all(np.array_equal(a, b) for a, b in zip(before, gan.get_weights(), strict=True))
    gan.save(tmp_path / "gan.keras")
    loaded = fashion_gan.load(tmp_path / "gan.keras")
    np.testing.assert_array_equal(loaded.sample(6, seed=0), gan.sample(6, seed=0))
    gan.export(tmp_path / "folder", verbose=False)


def test_gan_raises_when_a_conditional_subclass_lacks_num_classes():
    with pytest.raises(ValueError, match="Pass latent_dim, and num_classes"):
        GAN(ConditionalGenerator(), ConditionalDiscriminator(), latent_dim=3)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ((None, None), "Expected a Keras model as generator. Received: None"),
        (("generator", "discriminator"), "Expected a Keras model as generator"),
        ((Pair(), Discriminator()), "returns a dict. Return the tensor itself"),
    ],
)
def test_gan_raises_for_objects_other_than_image_networks(networks, message):
    with pytest.raises(ValueError, match=message):
        GAN(*networks, latent_dim=3)


def test_gan_raises_when_networks_share_a_layer():
    shared = layers.Dense(16, activation="sigmoid")
    generator = keras.Sequential([layers.Input((16,)), shared, layers.Reshape((4, 4, 1))])
    discriminator = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), shared, layers.Dense(1)]
    )
    with pytest.raises(ValueError, match="without a common weight.*Build the layers twice"):
        GAN(generator, discriminator)


@pytest.mark.parametrize(
    "arguments",
    [
        {"value_range": 3},
        {"value_range": (0, 1, 2)},
        {"value_range": ("a", "b")},
        {"value_range": (0, float("inf"))},
        {"value_range": (1, 0)},
        {"seed": "a"},
        {"seed": 2**70},
        {"seed": 1.5},
        {"latent_dim": 0},
    ],
    ids=str,
)
def test_gan_raises_with_the_name_of_a_wrong_argument(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        GAN(Generator(), Discriminator(), **{"latent_dim": 3, **arguments})


@pytest.mark.parametrize(
    "arguments", [{"count": True}, {"latents": "a"}, {"count": 2, "seed": "a"}], ids=str
)
def test_sample_raises_for_wrong_arguments(arguments):
    gan = GAN(Generator(), Discriminator(), latent_dim=3)
    with pytest.raises(ValueError, match="Expected"):
        gan.sample(**arguments)


def test_gan_signature_lists_its_arguments():
    import inspect

    names = list(inspect.signature(GAN).parameters)
    assert names == [
        *("generator", "discriminator", "latent_dim", "value_range", "num_classes"),
        *("projector", "seed", "kwargs"),
    ]


def test_load_raises_for_a_lambda_unless_safe_mode_is_off(tmp_path):
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(16),
            layers.Lambda(lambda x: 0.5 * x),
            layers.Activation("sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    gan = GAN(generator, Discriminator())
    gan.save(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="safe_mode=False"):
        fashion_gan.load(tmp_path / "gan.keras")
    loaded = fashion_gan.load(tmp_path / "gan.keras", safe_mode=False)
    np.testing.assert_array_equal(loaded.sample(2, seed=0), gan.sample(2, seed=0))
