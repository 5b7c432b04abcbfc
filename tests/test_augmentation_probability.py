"""Tests the adaptive probability against a simulated discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import augmentations
from fashion_gan.augmentations import get_probability


def make(**arguments):
    probability = augmentations.AdaptiveProbability(**arguments)
    probability.build()
    return probability


@pytest.mark.parametrize(
    ("train", "held_out", "generated", "expected"),
    [
        (3.0, 3.0, -1.0, 0.0),
        (3.0, 1.0, -1.0, 0.5),
        (103.0, 101.0, 99.0, 0.5),
        (3.0, -1.0, -1.0, 1.0),
        (3.0, -3.0, -1.0, 1.5),
        (3.0, 4.0, -1.0, -0.25),
        (1.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 2.0, 0.0),
    ],
)
def test_overfitting_is_the_drop_of_held_out_images_relative_to_the_gap(
    train, held_out, generated, expected
):
    logits = (tf.constant(x) for x in (train, held_out, generated))
    assert float(augmentations.overfitting(*logits)) == pytest.approx(expected, abs=1e-6)


def test_adaptive_probability_reaches_the_target_overfitting_in_a_simulation():
    probability = make(target=0.6, ramp_images=10_000, maximum=0.9)

    def overfitting(p, step):  # rises with the steps, and falls with the augmentations
        return 1.57 * min(step / 400, 1) * (1 - p)

    p, series = 0.0, []
    for step in range(10, 2001, 10):
        measured = overfitting(p, step)
        probability.adapt(measured, step, batch_size=8)
        p = min(max(p + np.sign(measured - 0.6) * 10 * 8 / 10_000, 0), 0.9)
        assert float(probability.probability) == pytest.approx(p, abs=1e-5)
        assert float(probability.overfitting) == pytest.approx(measured, abs=1e-6)
        p = float(probability.probability)
        series.append(p)
    assert series[:15] == [0] * 15
    assert 0.60 < min(series[-20:]) <= max(series[-20:]) < 0.64


def test_adaptive_probability_stops_at_its_maximum():
    probability = make(ramp_images=100, maximum=0.7)
    for step in (2, 9, 30):
        probability.adapt(0.9, step, batch_size=5)
    assert float(probability.probability) == pytest.approx(0.7)
    assert int(probability.adapted_at) == 30


def test_get_probability_accepts_numbers_schedules_and_adaptive_probabilities():
    assert (
        get_probability(None) == 1.0 and get_probability(0) == 0.0 and get_probability(0.3) == 0.3
    )
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 100)
    again = get_probability(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()
    assert get_probability("adaptive").target == 0.6
    given = augmentations.AdaptiveProbability(0.5, 2_000, 0.8)
    again = get_probability(keras.saving.serialize_keras_object(given))
    assert again.get_config() == given.get_config() and again.target == 0.5


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        (1.5, "Received: augment_p=1.5"),
        (True, "Received: augment_p=True"),
        ("adaptiv", "Did you mean 'adaptive'"),
        ({"name": "adaptive", "target": 1.0}, "target=1.0"),
        ({"name": "adaptive", "ramp_images": 0}, "ramp_images=0"),
        ({"name": "adaptive", "maximum": 0.0}, "maximum=0.0"),
    ],
)
def test_get_probability_raises_for_invalid_probabilities(identifier, message):
    with pytest.raises(ValueError, match=message):
        get_probability(identifier)


def test_fit_applies_a_scheduled_probability(make_gan, tiny_images):
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 8, warmup_target=0.8, warmup_steps=4)
    gan = make_gan(augmentations="mirror", augment_p=schedule)
    logs = gan.fit(tiny_images, batch_size=8, epochs=3, verbose=0).history
    expected = [np.mean([float(schedule(step)) for step in range(i, i + 4)]) for i in (0, 4, 8)]
    np.testing.assert_allclose(logs["augment_p"], expected, rtol=1e-5)
    assert "augment_p" not in make_gan(augment_p=0.5).fit(tiny_images, verbose=0).history


def test_fit_never_augments_with_a_probability_of_zero(make_gan, tiny_images):
    def weights(**arguments):
        keras.utils.set_random_seed(3)
        gan = make_gan(**arguments)
        gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
        return np.concatenate([w.ravel() for w in gan.get_weights()])

    plain = weights()
    never = weights(augmentations=["brightness", "rotation"], augment_p=0.0)
    always = weights(augmentations=["brightness", "rotation"])
    np.testing.assert_allclose(never, plain, atol=1e-6)
    assert np.abs(always - plain).max() > 1e-4
