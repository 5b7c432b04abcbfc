"""Tests projection of a generator's own samples and of other images."""

import keras
import numpy as np
import pytest
from helpers import tiny_networks
from keras import layers

from fashion_gan import GAN, latents, models


def linear_generator(size=3, shape=(4, 4, 1), scale=0.05):
    """Returns a generator that is linear in the latent, within [0, 1] for normal latents."""
    generator = keras.Sequential(
        [
            layers.Input((size,)),
            layers.Dense(int(np.prod(shape)), name="linear"),
            layers.Activation(lambda x: keras.ops.clip(x, 0.0, 1.0)),
            layers.Reshape(shape),
        ]
    )
    kernel = np.random.default_rng(0).standard_normal((size, int(np.prod(shape)))) * scale
    generator.get_layer("linear").set_weights([kernel, np.full(int(np.prod(shape)), 0.5)])
    return generator, kernel


def gan_of(generator, shape=(4, 4, 1)):
    discriminator = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(1)])
    return GAN(generator, discriminator, value_range=(0.0, 1.0))


def test_project_matches_least_squares_for_a_linear_generator():
    generator, kernel = linear_generator()
    targets = np.random.default_rng(1).uniform(0.4, 0.6, (5, 4, 4, 1)).astype("float32")
    found = latents.project(gan_of(generator), targets)
    rows = targets.reshape(5, -1) - 0.5
    wanted = np.linalg.lstsq(kernel.T, rows.T, rcond=None)[0].T
    np.testing.assert_allclose(found.latents, wanted, atol=1e-3)
    residual = np.sqrt(np.mean((wanted @ kernel - rows) ** 2, axis=1))
    np.testing.assert_allclose(found.errors, residual, rtol=1e-3)
    assert residual.min() > 0.01


@pytest.fixture(scope="module")
def gan():
    keras.utils.set_random_seed(3)
    generator, discriminator = tiny_networks(latent_dim=4, image_shape=(8, 8, 1))
    for layer in generator.layers[:2]:
        layer.set_weights([3 * w for w in layer.get_weights()])
    return GAN(generator, discriminator)


def test_project_recovers_samples(gan):
    targets = gan.sample(20, seed=1_000)
    found = latents.project(gan, targets)
    assert np.mean(found.errors < 0.01) >= 0.95
    np.testing.assert_array_equal(found.images, gan.sample(latents=found.latents))
    apart = np.sqrt(np.mean((found.images - targets) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(found.errors, apart, atol=1e-7)
    random = latents.project(gan, targets, steps=0, refinements=0)
    assert np.median(random.errors) > 0.02


def test_project_depends_only_on_its_seed(gan):
    targets = np.random.default_rng(0).random((3, 8, 8, 1), dtype="float32")
    first, again, other = (latents.project(gan, targets, seed=seed, steps=5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.latents, again.latents)
    assert (first.latents != other.latents).any()


def test_project_keeps_latent_norms_of_the_normal_distribution():
    generator, kernel = linear_generator(scale=0.001)
    directions = np.random.default_rng(1).standard_normal((4, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    targets = 0.5 + (100 * directions) @ kernel
    found = latents.project(gan_of(generator), targets.reshape(4, 4, 4, 1))
    np.testing.assert_allclose(np.linalg.norm(found.latents, axis=1), 3**0.5 + 3, rtol=1e-5)


def test_project_accepts_bytes_without_a_channels_axis(gan):
    targets = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    as_bytes = latents.project(gan, targets, steps=3, refinements=3)
    as_floats = latents.project(gan, targets[..., None] / np.float32(255), steps=3, refinements=3)
    np.testing.assert_array_equal(as_bytes.latents, as_floats.latents)


def test_project_accepts_a_generator_in_place_of_a_gan(gan):
    targets = gan.sample(2, seed=5)
    ours, theirs = (latents.project(model, targets, steps=3) for model in (gan, gan.generator))
    np.testing.assert_array_equal(ours.latents, theirs.latents)
    np.testing.assert_array_equal(ours.images, theirs.images)


def test_project_raises_for_a_conditional_generator_without_its_gan():
    generator, _ = models.build_networks("dense", num_classes=3)
    with pytest.raises(ValueError, match="latents and labels. Pass its GAN"):
        latents.project(generator, np.zeros((1, 28, 28, 1), "uint8"))


def test_project_uses_the_average_by_default():
    keras.utils.set_random_seed(0)
    gan = GAN(*tiny_networks())
    gan.compile(ema_decay=0.9)
    gan.generator.set_weights([2 * w for w in gan.generator.get_weights()])
    targets = gan.sample(3, seed=2)
    for use_ema in (True, False):
        found = latents.project(gan, targets, use_ema=use_ema, steps=3)
        drawn = gan.sample(latents=found.latents, use_ema=use_ema)
        np.testing.assert_array_equal(found.images, drawn)


def test_project_reports_each_step_and_the_end(gan):
    reports = []
    latents.project(
        gan,
        gan.sample(17, seed=0),
        steps=2,
        refinements=30,
        progress=lambda done, total: reports.append((done, total)),
    )
    assert reports[0] == (1, 64) and reports[-1] == (64, 64)
    assert reports == sorted(set(reports))


def test_project_ignores_colors_of_transparent_pixels():
    keras.utils.set_random_seed(0)
    shape = (4, 4, 4)
    gan = GAN(*tiny_networks(image_shape=shape))
    targets = np.random.default_rng(0).random((2, *shape), dtype="float32")
    targets[:, :2, :, 3] = 0
    painted = targets.copy()
    painted[:, :2, :, :3] = 1
    ours, theirs = (latents.project(gan, part, steps=3) for part in (targets, painted))
    np.testing.assert_array_equal(ours.latents, theirs.latents)
    np.testing.assert_array_equal(ours.errors, theirs.errors)


def test_project_weights_features_and_pixels(gan):
    features = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.AveragePooling2D(8), layers.Rescaling(2.0)]
    )
    targets = np.random.default_rng(0).random((3, 8, 8, 1), dtype="float32")
    plain = latents.project(gan, targets)
    weighed = latents.project(gan, targets, features=features, feature_weight=100.0)

    def apart(found):
        return np.abs(found.images.mean(axis=(1, 2, 3)) - targets.mean(axis=(1, 2, 3))).max()

    assert apart(weighed) < apart(plain) / 3
    assert (weighed.errors >= plain.errors).all()


@pytest.fixture(scope="module")
def conditional():
    """Returns a conditional GAN in which class i brightens row i."""
    keras.utils.set_random_seed(1)
    gan = GAN(*models.build_networks("dense", num_classes=3, image_shape=(8, 8, 1), latent_dim=4))
    for layer in gan.generator.layers:
        if layer.weights:
            layer.set_weights([2 * w for w in layer.get_weights()])
    return gan


def test_project_infers_the_class_or_keeps_the_given_one(conditional):
    classes = np.arange(6, dtype="int32") % 3
    targets = conditional.sample(6, labels=classes, seed=9)
    free = latents.project(conditional, targets)
    np.testing.assert_array_equal(free.labels, classes)
    given = latents.project(conditional, targets, (classes + 1) % 3)
    np.testing.assert_array_equal(given.labels, (classes + 1) % 3)
    assert (given.errors > free.errors).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((1, 4, 4, 1), "uint8")}, r"shape \(n, 8, 8, 1\).*\(1, 4, 4, 1\)"),
        ({"images": np.zeros((0, 8, 8, 1), "uint8")}, r"shape=\(0, 8, 8, 1\)"),
        ({"images": np.full((1, 8, 8, 1), 2.0)}, "floats from 0 to 1. Received: float64 from 2"),
        ({"images": np.full((1, 8, 8, 1), np.nan)}, "floats from 0 to 1.*nan"),
        ({"images": np.zeros((1, 8, 8, 1), int)}, "Expected images of uint8.*int64"),
        ({"starts": 0}, "Expected starts of at least 1. Received: starts=0"),
        ({"labels": 3}, "Expected no labels"),
    ],
)
def test_project_raises_for_wrong_arguments(gan, arguments, message):
    with pytest.raises(ValueError, match=message):
        latents.project(**{"model": gan, "images": np.zeros((1, 8, 8, 1), "uint8"), **arguments})
