"""Remedies: against plain recomputations in NumPy, in a train step, saved, and on replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, remedies
from fashion_gan.remedies import Draws, Shown

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (6, 8, 10, 2)).astype("float32")


def fixed(numbers):
    """Draws of given numbers."""
    return Draws(*(lambda shape: tf.constant(numbers, "float32"),) * 2)


def seen(remedy, numbers, step=0, low=-1.0):
    return np.asarray(remedy.seen(tf.constant(IMAGES), fixed(numbers), tf.constant(step), low))


@pytest.mark.parametrize("name", remedies.REMEDIES)
def test_each_remedy_is_serialised_with_its_arguments(name):
    (remedy,) = remedies.get_all(name)
    (again,) = remedies.get_all([keras.saving.serialize_keras_object(remedy)])
    assert type(again) is remedies.REMEDIES[name]
    assert again.get_config() == remedy.get_config()


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("replays", "Did you mean 'replay'"),
        ({"name": "replay", "capacity": 0}, "capacity=0"),
        ({"name": "replay", "share": 0.0}, "share=0.0"),
        ({"name": "label_flips", "share": 0.5}, "share=0.5"),
        ({"name": "instance_noise", "deviation": -1.0}, "deviation=-1.0"),
        ({"name": "translation", "strength": 2.0}, "strength=2.0"),
        ({"name": "cutout", "side": 2.0}, "unexpected keyword argument 'side'"),
    ],
)
def test_others_are_refused(identifier, message):
    with pytest.raises(ValueError, match=message):
        remedies.get_all([identifier])


@pytest.mark.parametrize(("step", "left"), [(0, 1.0), (30, 0.7), (100, 0.0), (150, 0.0)])
def test_instance_noise_fades_on_a_line(step, left):
    noise = RNG.standard_normal(IMAGES.shape)
    remedy = remedies.InstanceNoise(0.5, steps=100)
    np.testing.assert_allclose(seen(remedy, noise, step), IMAGES + 0.5 * left * noise, atol=1e-6)
    lasting = remedies.InstanceNoise(0.5)
    np.testing.assert_allclose(seen(lasting, noise, step), IMAGES + 0.5 * noise, atol=1e-6)


def test_flips_exchange_the_rows_below_the_share():
    real, fake = tf.constant([[1.0], [2.0], [3.0]]), tf.constant([[-1.0], [-2.0], [-3.0]])
    told = remedies.LabelFlips(0.2).told(real, fake, fixed([[0.5], [0.1], [0.2]]))
    np.testing.assert_array_equal(told, [[[1], [-2], [3]], [[-1], [2], [-3]]])


def test_translation_moves_rows_and_columns_and_fills_with_the_darkest_shade():
    uniform = RNG.random((6, 2))
    uniform[0], uniform[1] = (0.0, 0.999), (0.5, 0.5)
    moved = seen(remedies.Translation(0.25), uniform, low=-1.0)
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
    covered = seen(remedies.Cutout(strength), RNG.random((6, 2)), low=-1.0)
    side = (int(8 * strength + 0.5), int(10 * strength + 0.5))
    for image, before in zip(covered, IMAGES, strict=True):
        hidden = (image == -1).all(axis=-1)
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        assert hidden[np.ix_(rows, columns)].all() and hidden.sum() == len(rows) * len(columns)
        assert 1 <= len(rows) <= side[0] and 1 <= len(columns) <= side[1]
        assert np.ptp(rows) == len(rows) - 1 and np.ptp(columns) == len(columns) - 1
        np.testing.assert_array_equal(image[~hidden], before[~hidden])


def test_cutout_hides_a_middle_square_whole():
    covered = seen(remedies.Cutout(0.5), np.full((6, 2), 0.5), low=-1.0)
    assert ((covered == -1).all(axis=-1).sum(axis=(1, 2)) == 4 * 5).all()


def test_brightness_and_contrast_are_their_formulas():
    uniform = RNG.random((6, 1, 1, 1))
    change = 0.5 * (2 * uniform - 1)
    brighter = seen(remedies.Brightness(0.5), uniform)
    np.testing.assert_allclose(brighter, IMAGES + change, atol=1e-6)
    mean = IMAGES.mean(axis=(1, 2, 3), keepdims=True)
    contrasted = seen(remedies.Contrast(0.5), uniform)
    np.testing.assert_allclose(contrasted, mean + (1 + change) * (IMAGES - mean), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["instance_noise", "translation", "cutout", "brightness", "contrast"]
)
def test_the_generators_gradient_passes(name):
    (remedy,) = remedies.get_all(name)
    images = tf.constant(IMAGES)
    numbers = np.full((6, 2), 0.5) if name in ("translation", "cutout") else np.zeros((6, 1, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(remedy.seen(images, fixed(numbers), tf.constant(0), -1.0))
    gradient = tape.gradient(total, images).numpy()
    covered = 4 * 5 * 2 if name == "cutout" else 0
    assert (gradient == 1).sum() == IMAGES.size - 6 * covered


class PlainPool:
    """The pool as a list of images, one place after another."""

    def __init__(self, capacity, share):
        self.places, self.share = [None] * capacity, share

    def learned(self, fakes, numbers):
        each, out = len(self.places) // len(fakes), []
        for i, (fake, (where, chance)) in enumerate(zip(fakes, numbers, strict=True)):
            place = i * each + min(int(where * each), each - 1)
            old = self.places[place]
            if old is None:
                self.places[place] = fake
                out.append(fake)
            elif chance < self.share:
                self.places[place] = fake
                out.append(old)
            else:
                out.append(fake)
        return np.stack(out)


@pytest.mark.parametrize("capacity", [4, 13])
def test_the_pool_is_the_plain_one(capacity):
    rng = np.random.default_rng(0)
    replay, plain = remedies.Replay(capacity, share=0.5), PlainPool(capacity, 0.5)
    replay.build((None, 2, 2, 1))
    returned = 0
    for _ in range(20):
        fakes = rng.random((4, 2, 2, 1)).astype("float32")
        numbers = rng.random((4, 2)).astype("float32")
        labels = np.arange(4, dtype="int32") + rng.integers(0, 9)
        ours = replay.learned(Shown(tf.constant(fakes), tf.constant(labels)), fixed(numbers))
        expected = plain.learned(fakes, numbers)
        np.testing.assert_array_equal(ours.images, expected)
        returned += (expected != fakes).any(axis=(1, 2, 3)).sum()
    assert 20 < returned < 60


def test_labels_go_with_their_images():
    rng = np.random.default_rng(0)
    replay = remedies.Replay(8)
    replay.build((None, 2, 2, 1))
    for _ in range(10):
        labels = rng.integers(0, 9, 4).astype("int32")
        images = np.broadcast_to(labels[:, None, None, None], (4, 2, 2, 1)).astype("float32")
        out = replay.learned(
            Shown(tf.constant(images), tf.constant(labels)), fixed(rng.random((4, 2)))
        )
        np.testing.assert_array_equal(out.images[:, 0, 0, 0], out.labels)


def test_a_batch_beyond_the_pool_is_refused(make_gan, tiny_images):
    with pytest.raises(ValueError, match="8 fakes for capacity=4"):
        make_gan(remedies=remedies.Replay(4)).fit(tiny_images, batch_size=8, verbose=0)


def test_batches_may_be_of_several_sizes(make_gan, tiny_images):
    gan = make_gan(remedies=list(remedies.REMEDIES))
    gan.fit(tiny_images[:20], batch_size=8, verbose=0)
    assert gan.steps == 3


def still_pair():
    """Networks that do not move under a learning rate of 0, and a discriminator that is linear."""
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    )
    discriminator = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    return generator, discriminator


def losses(tiny_images, *made, epochs=1):
    keras.utils.set_random_seed(5)
    gan = GAN(*still_pair(), seed=0)
    sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    gan.compile(*sgd, remedies=made, jit_compile=False)
    history = gan.fit(tiny_images[:8], batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return history.history, gan


def test_what_is_seen_differs_in_both_phases_and_what_is_told_in_the_first(tiny_images):
    plain, _ = losses(tiny_images)
    brighter, _ = losses(tiny_images, remedies.Brightness(1.0))
    assert brighter["d_loss"] != plain["d_loss"] and brighter["g_loss"] != plain["g_loss"]
    flipped, _ = losses(tiny_images, remedies.LabelFlips(0.4))
    assert flipped["d_loss"] != plain["d_loss"] and flipped["g_loss"] == plain["g_loss"]
    assert flipped["d_accuracy_real"] == plain["d_accuracy_real"], "the accuracies stay honest"
    replayed, _ = losses(tiny_images, remedies.Replay(8, share=1.0))
    assert replayed == plain, "the first batch only fills the pool"
    later = [losses(tiny_images, *r, epochs=2)[0] for r in ((), (remedies.Replay(8, share=1.0),))]
    assert later[0]["d_loss"][1] != later[1]["d_loss"][1]
    assert later[1]["d_logit_fake"][1] == pytest.approx(later[1]["d_logit_fake"][0], abs=1e-6)


@pytest.mark.parametrize("xla", [False, True])
def test_all_together_train_in_one_trace(make_gan, tiny_images, xla):
    gan = make_gan(
        loss="relativistic",
        penalties=[{"name": "r1", "weight": 0.5}, {"name": "r2", "weight": 0.5}],
        remedies=list(remedies.REMEDIES),
        ema_decay=0.9,
        d_steps=2,
        jit_compile=xla,
    )
    traces, step = [], gan.train_step
    gan.train_step = lambda data: (traces.append(1), step(data))[1]
    logs = gan.fit(tiny_images, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert len(traces) == 1
    assert all(np.isfinite(value).all() for value in logs.values())


def test_the_pool_is_saved_and_goes_on(make_gan, tiny_images, tmp_path):
    gan = make_gan(remedies=[remedies.Replay(16)])
    gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    (pool,), (loaded_pool,) = gan.remedies, loaded.remedies
    assert np.abs(pool.get_weights()[0]).max() > 0
    for one in (gan, loaded):
        one.fit(tiny_images, batch_size=8, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(pool.get_weights(), loaded_pool.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(gan.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
