"""Tests gradient penalties against closed forms, and their points."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import models, penalties

RNG = np.random.default_rng(0)
REAL = RNG.random((6, 4, 4, 1))
FAKE = RNG.random((6, 4, 4, 1))
SLOPE = RNG.normal(size=(4, 4, 1))


def uniform(shape):
    """Returns 0.5 everywhere, so that a closed form exists."""
    return np.full((len(REAL), *shape), 0.5)


def linear(images):
    """Returns logits whose slope is `SLOPE` at every image."""
    return tf.reshape(tf.reduce_sum(images * SLOPE, axis=(1, 2, 3)), (-1, 1))


def quadratic(images):
    """Logits whose slope is the image."""
    return tf.reshape(tf.reduce_sum(images**2, axis=(1, 2, 3)) / 2, (-1, 1))


def norm(images):
    return np.sqrt((images**2).sum(axis=(1, 2, 3)))


POINTS = {
    "r1": REAL,
    "r2": FAKE,
    "wgan_gp": (REAL + FAKE) / 2,
    "dragan": REAL + 0.25 * REAL.std(),
}
COSTS = {
    "r1": lambda slope: slope**2 / 2,
    "r2": lambda slope: slope**2 / 2,
    "wgan_gp": lambda slope: (slope - 1) ** 2,
    "dragan": lambda slope: (slope - 1) ** 2,
}


def penalise(name, logits, real=REAL, fake=FAKE, **arguments):
    penalty = penalties.get({"name": name, "weight": 3.0, **arguments})
    values = penalty(logits, tf.constant(real), tf.constant(fake), uniform)
    return penalty.weight_at(step=7) * values


@pytest.mark.parametrize("name", penalties.PENALTIES)
def test_penalty_matches_its_formula(name):
    result = penalise(name, quadratic)
    assert result.shape == (6,)
    np.testing.assert_allclose(result, 3 * COSTS[name](norm(POINTS[name])), rtol=1e-10)
    np.testing.assert_allclose(
        penalise(name, linear), 3 * COSTS[name](np.full(6, np.sqrt((SLOPE**2).sum()))), rtol=1e-10
    )


@pytest.mark.parametrize("name", penalties.PENALTIES)
def test_penalty_gradient_matches_its_formula(name):
    scale = tf.Variable(0.7, dtype="float64")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(penalise(name, lambda images: scale * linear(images)))
    step, length = 1e-6, np.sqrt((SLOPE**2).sum())
    up, down = (6 * 3 * COSTS[name]((0.7 + s) * length) for s in (step, -step))
    assert float(tape.gradient(total, scale)) == pytest.approx((up - down) / (2 * step), rel=1e-8)


@pytest.mark.parametrize("name", penalties.PENALTIES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_penalty_and_gradient_are_finite_for_a_constant_discriminator(name, dtype):
    weight = tf.Variable(tf.zeros((16, 1), dtype))

    def flat(images):
        return tf.reshape(tf.cast(images, dtype), (-1, 16)) @ weight

    with tf.GradientTape() as tape:
        total = penalise(name, flat, REAL.astype("float32"), FAKE.astype("float32"))
    assert total.dtype == "float32"
    assert np.isfinite(total).all()
    assert np.isfinite(tape.gradient(total, weight)).all()


def test_penalty_accepts_images_without_a_channels_axis():
    for name in penalties.PENALTIES:
        flat = penalties.get({"name": name, "weight": 3.0})(
            lambda x: quadratic(x[..., None]),
            tf.constant(REAL[..., 0]),
            tf.constant(FAKE[..., 0]),
            uniform,
        )
        np.testing.assert_allclose(3 * flat, penalise(name, quadratic), rtol=1e-12)


@pytest.mark.parametrize("name", penalties.PENALTIES)
def test_penalties_are_restored_from_their_config(name):
    penalty = penalties.get({"name": name, "weight": 2.0, "interval": 4})
    again = penalties.get(keras.saving.serialize_keras_object(penalty))
    assert type(again) is type(penalty)
    assert again.get_config() == {"weight": 2.0, "interval": 4}


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        (
            "r1",
            "penalty='r1'.*missing.*'weight'.* Pass R1\\(weight=…\\), or {'name': 'r1', 'weight'",
        ),
        (
            {"name": "dragan", "weigth": 1},
            "Pass DRAGAN\\(weight=…, interval=…\\), or {'name': 'dragan'",
        ),
        (3, "one of .*'dragan'.*Received: penalty=3"),
        ({"name": "wgan-gp", "weight": 1}, "one of .*'dragan'.*Did you mean 'wgan_gp'"),
        ({"name": "r1", "weight": -1}, "weight=-1"),
        ({"name": "r1", "weight": 1, "interval": 0}, "interval=0"),
    ],
)
def test_get_all_raises_for_other_penalties(identifier, message):
    with pytest.raises(ValueError, match=message):
        penalties.get_all([identifier])


def test_fused_penalties_exclude_a_subclass_that_overrides_call():
    class Doubled(penalties.R1):
        def __call__(self, logits, real, fake, uniform):
            return 2 * super().__call__(logits, real, fake, uniform)

    _, discriminator = models.build_networks("dense", image_shape=(4, 4, 1))
    own, plain = Doubled(1.0), penalties.R1(1.0)
    assert penalties.fused_penalties([own, plain], discriminator) == [plain]


def test_fused_penalties_exclude_points_of_fakes_with_labels_of_reals():
    class AtFakes(penalties.GradientPenalty):
        sample_points = penalties.R2.sample_points
        penalty = penalties.R2.penalty

    _, discriminator = models.build_networks("dense", image_shape=(4, 4, 1))
    own, plain = AtFakes(1.0), penalties.R2(1.0)
    assert penalties.fused_penalties([own, plain], discriminator) == [plain]
