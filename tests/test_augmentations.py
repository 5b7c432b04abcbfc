"""Augmentations: against plain recomputations in NumPy, and their gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import augmentations

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (6, 8, 10, 2)).astype("float32")


class FixedRandom:
    """Stands in for a `StepRandom`: returns given numbers."""

    def __init__(self, numbers):
        self.numbers = tf.constant(numbers, "float32")

    def uniform(self, batch_size, shape):
        return self.numbers

    normal = uniform


def augment(augmentation, numbers, step=0, low=-1.0):
    images = tf.constant(IMAGES)
    return np.asarray(augmentation.augment(images, FixedRandom(numbers), tf.constant(step), low))


@pytest.mark.parametrize("name", augmentations.AUGMENTATIONS)
def test_augmentation_is_serialized_with_its_arguments(name):
    (augmentation,) = augmentations.get_all(name)
    (again,) = augmentations.get_all([keras.saving.serialize_keras_object(augmentation)])
    assert type(again) is augmentations.AUGMENTATIONS[name]
    assert again.get_config() == augmentation.get_config()


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("translations", "Did you mean 'translation'"),
        ({"name": "instance_noise", "stddev": -1.0}, "stddev=-1.0"),
        ({"name": "translation", "strength": 2.0}, "strength=2.0"),
        ({"name": "cutout", "side": 2.0}, "unexpected keyword argument 'side'"),
    ],
)
def test_get_all_raises_for_unknown_augmentations(identifier, message):
    with pytest.raises(ValueError, match=message):
        augmentations.get_all([identifier])


@pytest.mark.parametrize(("step", "remaining"), [(0, 1.0), (30, 0.7), (100, 0.0), (150, 0.0)])
def test_instance_noise_falls_linearly(step, remaining):
    noise = RNG.standard_normal(IMAGES.shape)
    augmentation = augmentations.InstanceNoise(0.5, steps=100)
    np.testing.assert_allclose(
        augment(augmentation, noise, step), IMAGES + 0.5 * remaining * noise, atol=1e-6
    )
    lasting = augmentations.InstanceNoise(0.5)
    np.testing.assert_allclose(augment(lasting, noise, step), IMAGES + 0.5 * noise, atol=1e-6)


def test_translation_matches_numpy():
    uniform = RNG.random((6, 2))
    uniform[0], uniform[1] = (0.0, 0.999), (0.5, 0.5)
    moved = augment(augmentations.Translation(0.25), uniform, low=-1.0)
    for image, before, (u, v) in zip(moved, IMAGES, uniform, strict=True):
        down, right = int(u * 5) - 2, int(v * 7) - 3  # a quarter of 8 and, rounded, of 10
        expected = np.full_like(before, -1)
        for i in range(8):
            for j in range(10):
                if 0 <= i - down < 8 and 0 <= j - right < 10:
                    expected[i, j] = before[i - down, j - right]
        np.testing.assert_allclose(image, expected, atol=1e-6)
    np.testing.assert_allclose(moved[1], IMAGES[1], atol=1e-6)


@pytest.mark.parametrize("strength", [0.5, 0.4])
def test_cutout_covers_one_square(strength):
    covered = augment(augmentations.Cutout(strength), RNG.random((6, 2)), low=-1.0)
    side = (int(8 * strength + 0.5), int(10 * strength + 0.5))
    for image, before in zip(covered, IMAGES, strict=True):
        hidden = (image == -1).all(axis=-1)
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        assert hidden[np.ix_(rows, columns)].all() and hidden.sum() == len(rows) * len(columns)
        assert 1 <= len(rows) <= side[0] and 1 <= len(columns) <= side[1]
        assert np.ptp(rows) == len(rows) - 1 and np.ptp(columns) == len(columns) - 1
        np.testing.assert_array_equal(image[~hidden], before[~hidden])


def test_cutout_covers_a_whole_square_in_the_center():
    covered = augment(augmentations.Cutout(0.5), np.full((6, 2), 0.5), low=-1.0)
    assert ((covered == -1).all(axis=-1).sum(axis=(1, 2)) == 4 * 5).all()


def test_brightness_and_contrast_match_numpy():
    uniform = RNG.random((6, 1, 1, 1))
    change = 0.5 * (2 * uniform - 1)
    brighter = augment(augmentations.Brightness(0.5), uniform)
    np.testing.assert_allclose(brighter, IMAGES + change, atol=1e-6)
    mean = IMAGES.mean(axis=(1, 2, 3), keepdims=True)
    contrasted = augment(augmentations.Contrast(0.5), uniform)
    np.testing.assert_allclose(contrasted, mean + (1 + change) * (IMAGES - mean), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["instance_noise", "translation", "cutout", "brightness", "contrast"]
)
def test_augmentation_passes_the_gradient(name):
    (augmentation,) = augmentations.get_all(name)
    images = tf.constant(IMAGES)
    numbers = np.full((6, 2), 0.5) if name in ("translation", "cutout") else np.zeros((6, 1, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(
            augmentation.augment(images, FixedRandom(numbers), tf.constant(0), -1.0)
        )
    gradient = tape.gradient(total, images).numpy()
    covered = 4 * 5 * 2 if name == "cutout" else 0
    assert (gradient == 1).sum() == IMAGES.size - 6 * covered
