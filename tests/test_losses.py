"""Tests adversarial losses against formulas in NumPy, and by their purpose."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import losses

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(0, 3, (50, 1)), RNG.normal(0, 3, (50, 1))


def p(logits):
    """Probabilities of being real."""
    return 1 / (1 + np.exp(-logits))


REFERENCES = {
    "binary_crossentropy": (
        lambda r, f: -(np.log(p(r)) + np.log(1 - p(f))) / 2,
        lambda r, f: -np.log(p(f)),
    ),
    "minimax": (
        lambda r, f: -(np.log(p(r)) + np.log(1 - p(f))) / 2,
        lambda r, f: np.log(1 - p(f)),
    ),
    "least_squares": (
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
        lambda r, f: 0.5 * (f - 1) ** 2,
    ),
    "hinge": (
        lambda r, f: np.where(r < 1, 1 - r, 0) + np.where(f > -1, 1 + f, 0),
        lambda r, f: -f,
    ),
    "wasserstein": (lambda r, f: -r + f, lambda r, f: -f),
    "relativistic": (lambda r, f: -np.log(p(r - f)), lambda r, f: -np.log(p(f - r))),
}


def test_every_loss_has_a_reference():
    assert set(REFERENCES) == set(losses.LOSSES)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_match_their_formulas(name):
    loss = losses.get(name)
    for ours, theirs in zip((loss.discriminator, loss.generator), REFERENCES[name], strict=True):
        result = ours(tf.constant(REAL), tf.constant(FAKE))
        assert result.shape == (50, 1)
        np.testing.assert_allclose(result, theirs(REAL, FAKE), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_loss_gradients_move_both_networks_toward_their_targets(name):
    loss = losses.get(name)
    real, fake = tf.Variable([[0.3]]), tf.Variable([[0.2]])
    with tf.GradientTape(persistent=True) as tape:
        d_loss, g_loss = loss.discriminator(real, fake), loss.generator(real, fake)
    assert tape.gradient(d_loss, real) < 0 < tape.gradient(d_loss, fake)
    assert tape.gradient(g_loss, fake) < 0
    assert (tape.gradient(g_loss, real) is None) != loss.uses_real_logits


@pytest.mark.parametrize("name", losses.LOSSES)
def test_decision_threshold_shifts_with_the_logits_of_relative_losses(name):
    loss = losses.get(name)
    real, fake = tf.constant([[3.0], [5.0]]), tf.constant([[1.0], [-1.0]])
    here, there = (float(loss.decision_threshold(real + c, fake + c)) for c in (0.0, 10.0))
    if name in ("wasserstein", "relativistic"):
        assert (here, there) == (2.0, 12.0)
    else:
        assert here == there == (0.5 if name == "least_squares" else 0.0)


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_and_gradients_are_finite_for_extreme_logits(name, dtype):
    loss = losses.get(name)
    real = tf.Variable([[-1000.0], [1000.0]], dtype=dtype)
    with tf.GradientTape() as tape:
        total = loss.discriminator(real, -real) + loss.generator(real, -real)
    assert total.dtype == dtype
    assert np.isfinite(total).all()
    assert np.isfinite(tape.gradient(total, real)).all()


def test_label_smoothing_changes_only_the_targets_of_reals():
    loss = losses.BinaryCrossentropy(label_smoothing=0.1)
    targets = np.concatenate([np.full_like(REAL, 0.9), np.zeros_like(FAKE)])
    probabilities = np.concatenate([p(REAL), p(FAKE)])
    crossentropy = -targets * np.log(probabilities) - (1 - targets) * np.log(1 - probabilities)
    ours = loss.discriminator(tf.constant(REAL), tf.constant(FAKE))
    assert np.mean(ours) == pytest.approx(crossentropy.mean(), rel=1e-10)
    np.testing.assert_array_equal(
        loss.generator(REAL, FAKE), losses.BinaryCrossentropy().generator(REAL, FAKE)
    )
    with pytest.raises(ValueError, match="label_smoothing=0.5"):
        losses.BinaryCrossentropy(0.5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_are_restored_from_their_config(name):
    loss = losses.get(name)
    again = losses.get(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_flip_labels_exchanges_the_pairs_below_the_rate(name):
    loss = losses.get({"name": name, "label_flip_rate": 0.2})
    assert losses.get(keras.saving.serialize_keras_object(loss)).label_flip_rate == 0.2
    real, fake = tf.constant([[1.0], [2.0], [3.0]]), tf.constant([[-1.0], [-2.0], [-3.0]])
    flipped = loss.flip_labels(real, fake, tf.constant([[0.5], [0.1], [0.2]]))
    np.testing.assert_array_equal(flipped, [[[1], [-2], [3]], [[-1], [2], [-3]]])
    with pytest.raises(ValueError, match="label_flip_rate=0.5"):
        losses.get({"name": name, "label_flip_rate": 0.5})
