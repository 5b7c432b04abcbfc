"""Tests the replay buffer against a list, in a train step, and saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import linear_networks, record_traces

from fashion_gan import GAN, augmentations
from fashion_gan.losses import BinaryCrossentropy
from fashion_gan.replay import ReplayBuffer, get
from fashion_gan.typing import LabeledImages


class FixedRandom:
    """Stands in for a `StepRandom`: returns given numbers."""

    def __init__(self, numbers):
        self.numbers = tf.constant(numbers, "float32")

    def uniform(self, batch_size, shape):
        return self.numbers


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ({"name": "replay", "capacity": 0}, "capacity=0"),
        ({"name": "replay", "replace_fraction": 0.0}, "replace_fraction=0.0"),
        ("replays", "Did you mean 'replay'"),
        (True, "Received: replay=True"),
    ],
)
def test_get_raises_for_invalid_buffers(identifier, message):
    with pytest.raises(ValueError, match=message):
        get(identifier)


class PlainBuffer:
    """Implements a buffer as a list of images, one slot after another."""

    def __init__(self, capacity, fraction):
        self.places, self.fraction = [None] * capacity, fraction

    def exchange(self, fakes, numbers):
        each, out = len(self.places) // len(fakes), []
        for i, (fake, (where, chance)) in enumerate(zip(fakes, numbers, strict=True)):
            place = i * each + min(int(where * each), each - 1)
            old = self.places[place]
            if old is None:
                self.places[place] = fake
                out.append(fake)
            elif chance < self.fraction:
                self.places[place] = fake
                out.append(old)
            else:
                out.append(fake)
        return np.stack(out)


@pytest.mark.parametrize("capacity", [4, 13])
def test_replay_buffer_matches_a_plain_list(capacity):
    rng = np.random.default_rng(0)
    replay, plain = ReplayBuffer(capacity, replace_fraction=0.5), PlainBuffer(capacity, 0.5)
    replay.build((None, 2, 2, 1))
    returned = 0
    for _ in range(20):
        fakes = rng.random((4, 2, 2, 1)).astype("float32")
        numbers = rng.random((4, 2)).astype("float32")
        labels = np.arange(4, dtype="int32") + rng.integers(0, 9)
        ours = replay.exchange(
            LabeledImages(tf.constant(fakes), tf.constant(labels)), FixedRandom(numbers)
        )
        expected = plain.exchange(fakes, numbers)
        np.testing.assert_array_equal(ours.images, expected)
        returned += (expected != fakes).any(axis=(1, 2, 3)).sum()
    assert 20 < returned < 60


def test_replay_buffer_keeps_labels_with_their_images():
    rng = np.random.default_rng(0)
    replay = ReplayBuffer(8)
    replay.build((None, 2, 2, 1))
    for _ in range(10):
        labels = rng.integers(0, 9, 4).astype("int32")
        images = np.broadcast_to(labels[:, None, None, None], (4, 2, 2, 1)).astype("float32")
        out = replay.exchange(
            LabeledImages(tf.constant(images), tf.constant(labels)), FixedRandom(rng.random((4, 2)))
        )
        np.testing.assert_array_equal(out.images[:, 0, 0, 0], out.labels)


def test_replay_buffer_raises_when_the_batch_exceeds_its_capacity(make_gan, tiny_images):
    with pytest.raises(ValueError, match="8 fakes for capacity=4"):
        make_gan(replay=ReplayBuffer(4)).fit(tiny_images, batch_size=8, verbose=0)


def test_fit_with_replay_accepts_batches_of_several_sizes(make_gan, tiny_images):
    gan = make_gan(replay=16, augmentations=list(augmentations.AUGMENTATIONS))
    gan.fit(tiny_images[:20], batch_size=8, verbose=0)
    assert gan.steps == 3


def losses(tiny_images, epochs=1, **arguments):
    """Returns logs of constant networks, with a learning rate of 0."""
    keras.utils.set_random_seed(5)
    gan = GAN(*linear_networks(), seed=0)
    sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    gan.compile(*sgd, **{"jit_compile": False, **arguments})
    history = gan.fit(tiny_images[:8], batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return history.history


def test_fit_applies_augmentations_in_both_phases_and_flips_and_replay_in_the_first(tiny_images):
    plain = losses(tiny_images, 2)
    brighter = losses(tiny_images, augmentations=augmentations.Brightness(1.0))
    assert brighter["d_loss"][0] != plain["d_loss"][0]
    assert brighter["g_loss"][0] != plain["g_loss"][0]
    flipped = losses(tiny_images, loss=BinaryCrossentropy(label_flip_rate=0.4))
    assert flipped["d_loss"][0] != plain["d_loss"][0]
    assert flipped["g_loss"][0] == plain["g_loss"][0]
    assert flipped["d_accuracy_real"][0] == plain["d_accuracy_real"][0], "labels flip in the loss"
    replayed = losses(tiny_images, 2, replay=ReplayBuffer(8, 1.0))
    first = [{name: values[0] for name, values in logs.items()} for logs in (replayed, plain)]
    assert first[0] == first[1], "the first batch only fills the buffer"
    assert replayed["d_loss"][1] != plain["d_loss"][1]
    assert replayed["d_logit_fake"][1] == pytest.approx(replayed["d_logit_fake"][0], abs=1e-6)


@pytest.mark.slow
def test_fit_traces_once_with_every_setting(make_gan, tiny_images):
    gan = make_gan(
        loss={"name": "relativistic", "label_flip_rate": 0.1},
        penalties=[{"name": "r1", "weight": 0.5}, {"name": "r2", "weight": 0.5}],
        augmentations=list(augmentations.AUGMENTATIONS),
        replay=16,
        ema_decay=0.9,
        d_steps=2,
    )
    traces = record_traces(gan)
    logs = gan.fit(tiny_images, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert len(traces) == 1
    assert all(np.isfinite(value).all() for value in logs.values())


@pytest.mark.slow
def test_fit_compiles_augmentations_replay_and_flips_with_xla(tiny_images):
    logs = losses(
        tiny_images,
        loss={"name": "hinge", "label_flip_rate": 0.1},
        augmentations=list(augmentations.AUGMENTATIONS),
        replay=16,
        jit_compile=True,
    )
    assert all(np.isfinite(value).all() for value in logs.values())


def test_replay_buffer_resumes_from_a_saved_model(make_gan, tiny_images, tmp_path):
    gan = make_gan(replay=ReplayBuffer(16))
    gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    buffer, loaded_buffer = gan.replay, loaded.replay
    assert np.abs(buffer.get_weights()[0]).max() > 0
    for one in (gan, loaded):
        one.fit(tiny_images, batch_size=8, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(buffer.get_weights(), loaded_buffer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(gan.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
