"""Tests augmentations against NumPy, and their gradients."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import augmentations

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (6, 8, 10, 2)).astype("float32")
RGB = RNG.uniform(-1, 1, (6, 5, 4, 3)).astype("float32")


class FixedRandom:
    """Stands in for a `StepRandom`: returns given numbers, and others where it is folded."""

    def __init__(self, numbers, folded=None, dtype="float32"):
        self.numbers = tf.cast(tf.constant(numbers, "float32"), dtype)
        self.folded = folded

    def uniform(self, batch_size, shape):
        return tf.reshape(self.numbers, (batch_size, *shape))

    def normal(self, batch_size, shape):
        return self.numbers

    def fold_in(self, purpose):
        return FixedRandom(self.folded)


def augment(augmentation, numbers, step=0, low=-1.0, images=IMAGES):
    images, random = tf.constant(images), FixedRandom(numbers)
    return np.asarray(augmentation.augment(images, random, tf.constant(step), low))


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
        ({"name": "mirror", "p": 1.5}, "p=1.5"),
        ({"name": "hue", "p": -0.5}, "p=-0.5"),
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
        expected = np.empty_like(before)
        for i in range(8):
            for j in range(10):
                expected[i, j] = before[min(max(i - down, 0), 7), min(max(j - right, 0), 9)]
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


def test_mirror_flips_images_with_random_numbers_below_half():
    uniform = np.array([0.1, 0.9, 0.49, 0.5, 0.0, 0.7])
    expected = [im[:, ::-1] if u < 0.5 else im for im, u in zip(IMAGES, uniform, strict=True)]
    np.testing.assert_array_equal(augment(augmentations.Mirror(), uniform), expected)


def interpolate(image, y, x):
    """Interpolates an image linearly, with zeros around it."""
    value = np.zeros(image.shape[-1])
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            value += max(1 - abs(y - i), 0) * max(1 - abs(x - j), 0) * image[i, j]
    return value


def resample(image, source):
    """Returns an image whose pixels come from other offsets to the center."""
    height, width, _ = image.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    pixels = [
        [interpolate(image, *(middle + source(*((i, j) - middle)))) for j in range(width)]
        for i in range(height)
    ]
    return np.array(pixels)


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_scale_matches_numpy(strength):
    uniform = np.array([0.0, 0.2, 0.5, 0.6, 0.8, 0.999])
    scaled = augment(augmentations.Scale(strength), uniform, low=-1.0)
    for image, before, u in zip(scaled, IMAGES, uniform, strict=True):
        factor = 2 ** (strength * (2 * u - 1))
        expected = resample(before + 1, lambda y, x, f=factor: np.array([y, x]) / f) - 1
        np.testing.assert_allclose(image, expected, atol=2e-6)
    np.testing.assert_allclose(scaled[2], IMAGES[2], atol=1e-6)


def rotate(image, angle):
    """Rotates an image clockwise, by the source of each pixel."""
    c, s = math.cos(angle), math.sin(angle)
    return resample(image, lambda y, x: np.array([c * y - s * x, c * x + s * y]))


@pytest.mark.parametrize("strength", [1.0, 0.125])
def test_rotation_matches_numpy(strength):
    uniform = np.array([0.0, 0.2, 0.5, 0.6, 0.8, 0.999])
    rotated = augment(augmentations.Rotation(strength), uniform, low=-1.0)
    for image, before, u in zip(rotated, IMAGES, uniform, strict=True):
        expected = rotate(before + 1, strength * np.pi * (2 * u - 1)) - 1
        np.testing.assert_allclose(image, expected, atol=3e-6)
    np.testing.assert_allclose(rotated[2], IMAGES[2], atol=1e-6)


def test_rotation_turns_clockwise():
    square = RGB[:, :4]
    quarter = augment(augmentations.Rotation(0.5), np.ones(6), images=square)
    np.testing.assert_allclose(quarter, np.rot90(square, -1, axes=(1, 2)), atol=1e-6)


def test_rotation_has_the_gradient_of_the_interpolation():
    augmentation, uniform = augmentations.Rotation(1.0), RNG.random(20)
    upstream = RNG.standard_normal((20, 5, 4, 1)).astype("float32")
    images = tf.constant(RNG.random((20, 5, 4, 1)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(images)
        rotated = augmentation.augment(images, FixedRandom(uniform), 0, 0.0)
        total = tf.reduce_sum(rotated * upstream)
    units = np.eye(20).reshape(20, 5, 4, 1)
    for gradient, weights, u in zip(tape.gradient(total, images), upstream, uniform, strict=True):
        matrix = np.stack([rotate(unit, np.pi * (2 * u - 1)).ravel() for unit in units])
        np.testing.assert_allclose(np.ravel(gradient), matrix @ weights.ravel(), atol=1e-5)


def test_saturation_matches_numpy():
    uniform = RNG.random((6, 1, 1, 1))
    saturated = augment(augmentations.Saturation(0.8), uniform, images=RGB)
    mean = RGB.mean(axis=-1, keepdims=True)
    expected = mean + (1 + 0.8 * (2 * uniform - 1)) * (RGB - mean)
    np.testing.assert_allclose(saturated, expected, atol=1e-6)


def test_hue_matches_rodrigues_formula():
    uniform = RNG.random(6)
    turned = augment(augmentations.Hue(0.7), uniform, images=RGB)
    axis = np.ones(3) / math.sqrt(3)
    for image, before, u in zip(turned, RGB, uniform, strict=True):
        angle = 0.7 * np.pi * (2 * u - 1)
        along = (before @ axis)[..., None] * axis
        expected = (
            np.cos(angle) * before
            + np.sin(angle) * np.cross(axis, before)
            + (1 - np.cos(angle)) * along
        )
        np.testing.assert_allclose(image, expected, atol=1e-6)


def test_hue_turns_red_into_green_after_a_third_of_a_turn():
    red = np.broadcast_to(np.float32([1, 0, 0]), (6, 2, 2, 3))
    turned = augment(augmentations.Hue(2 / 3), np.ones(6), images=red)
    np.testing.assert_allclose(turned, np.broadcast_to([0, 1, 0], turned.shape), atol=1e-6)


COLOR = ("brightness", "contrast", "saturation", "hue")


@pytest.mark.parametrize("name", COLOR)
def test_color_augmentation_does_not_change_alpha(name):
    (augmentation,) = augmentations.get_all(name)
    alpha = RNG.uniform(-1, 1, (6, 5, 4, 1)).astype("float32")
    changed = augment(augmentation, np.full(6, 0.9), images=np.concatenate([RGB, alpha], -1))
    np.testing.assert_array_equal(changed[..., 3:], alpha)
    np.testing.assert_allclose(
        changed[..., :3], augment(augmentation, np.full(6, 0.9), images=RGB), atol=1e-6
    )
    assert np.abs(changed[..., :3] - RGB).mean() > 0.01


@pytest.mark.parametrize("name", ["saturation", "hue"])
@pytest.mark.parametrize("shape", [(6, 5, 4, 1), (6, 5, 4)])
def test_color_augmentation_does_not_change_gray_images(name, shape):
    (augmentation,) = augmentations.get_all(name)
    gray = RNG.random(shape).astype("float32")
    np.testing.assert_array_equal(augment(augmentation, np.full(6, 0.9), images=gray), gray)


@pytest.mark.parametrize(("p", "factor"), [(0.4, 1.0), (0.8, 0.5), (1.0, tf.constant(0.4))])
def test_augmentation_changes_images_with_random_numbers_below_its_probability(p, factor):
    choice = np.array([0.1, 0.9, 0.39, 0.41, 0.0, 0.7])
    random = FixedRandom(np.ones(6), folded=choice)
    changed = augmentations.Brightness(0.5, p)(tf.constant(IMAGES), random, 0, -1.0, factor)
    expected = IMAGES + 0.5 * (choice < 0.4)[:, None, None, None]
    np.testing.assert_allclose(changed, expected, atol=1e-6)


def test_augmentation_draws_no_random_choice_when_its_probability_is_one():
    changed = augmentations.Brightness(0.5)(tf.constant(IMAGES), FixedRandom(np.ones(6)), 0, -1.0)
    np.testing.assert_allclose(changed, IMAGES + 0.5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(6, 7, 12, 4), (6, 9, 5)])
def test_augmentation_in_16_bits_is_close_to_32_bits(dtype, shape):
    images = RNG.random(shape).astype("float32")
    for name, kind in augmentations.AUGMENTATIONS.items():
        if name == "instance_noise":
            continue
        numbers = np.full((6, 2) if name in ("translation", "cutout") else 6, 0.625)
        exact = augment(kind(), numbers, low=0.0, images=images)
        random = FixedRandom(numbers, dtype=dtype)
        rounded = kind().augment(tf.cast(images, dtype), random, tf.constant(0), 0.0)
        assert rounded.dtype == dtype and rounded.shape == shape, name
        np.testing.assert_allclose(tf.cast(rounded, "float32"), exact, atol=0.02, err_msg=name)


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
