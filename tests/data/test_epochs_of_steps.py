"""Epochs of a fixed number of steps, and mirror images: order, resumption, both paths."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan.callbacks import BackupAndRestore
from fashion_gan.data import make_dataset

NUMBERED = np.tile(np.arange(7, dtype=np.uint8).reshape(-1, 1, 1), (1, 3, 2))
"""Image i is all i."""

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 1), dtype=np.uint8)


def numbers(batches):
    """Returns which of NUMBERED the batches hold, in their order."""
    return np.concatenate([np.rint(b.numpy()[:, 0, 0, 0] * 255).astype(int) for b in batches])


def passes(count, images=NUMBERED, seed=42):
    """Returns the orders of the first passes, drawn by a dataset without `steps_per_epoch`."""
    dataset = make_dataset(images, len(images), seed=seed)
    return np.concatenate([numbers(dataset) for _ in range(count)])


@pytest.mark.parametrize(
    ("batch_size", "steps"),
    [(2, 3), (3, 1), (7, 1), (5, 4), (20, 3), (1, 7), (7, 2)],
    ids=str,
)
def test_make_dataset_splits_passes_into_epochs_of_steps(batch_size, steps):
    dataset = make_dataset(NUMBERED, batch_size, steps_per_epoch=steps)
    epochs = [list(dataset) for _ in range(6)]
    assert all(len(epoch) == steps == dataset.cardinality() for epoch in epochs)
    assert all(len(batch) == batch_size for epoch in epochs for batch in epoch)
    drawn = np.concatenate([numbers(epoch) for epoch in epochs])
    np.testing.assert_array_equal(drawn, passes(len(drawn) // 7 + 1)[: len(drawn)])


def test_make_dataset_draws_all_images_equally_often():
    dataset = make_dataset(NUMBERED, 3, steps_per_epoch=5)
    counts = Counter(np.concatenate([numbers(dataset) for _ in range(7)]).tolist())
    assert counts == dict.fromkeys(range(7), 3 * 5)


def test_make_dataset_order_depends_only_on_seed_and_epoch():
    one, other = (make_dataset(NUMBERED, 3, steps_per_epoch=4) for _ in range(2))
    fourth = [numbers(one) for _ in range(4)][3]
    other.epoch.assign(3)
    np.testing.assert_array_equal(numbers(other), fourth)
    assert other.epoch == 4
    different = make_dataset(NUMBERED, 3, steps_per_epoch=4, seed=1)
    different.epoch.assign(3)
    assert not np.array_equal(numbers(different), fourth)


def test_make_dataset_keeps_the_stored_order_without_shuffling():
    dataset = make_dataset(NUMBERED, 3, steps_per_epoch=3, shuffle=False)
    drawn = np.concatenate([numbers(dataset) for _ in range(2)])
    np.testing.assert_array_equal(drawn, np.arange(18) % 7)


def test_make_dataset_returns_blank_images_for_skipped_batches():
    dataset = make_dataset(NUMBERED + np.uint8(1), 3, steps_per_epoch=5)
    dataset.epoch.assign(2)
    whole = np.concatenate(list(dataset))
    dataset.epoch.assign(2)
    dataset.skip_batches.assign(2)
    resumed = np.concatenate(list(dataset))
    assert not resumed[:6].any() and dataset.skip_batches == 0
    np.testing.assert_array_equal(resumed[6:], whole[6:])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("steps", [2, 4, 9])
def test_executions_return_the_indices_of_the_batches(steps, mirror):
    dataset, expected = (
        make_dataset(PIXELS, 3, steps_per_epoch=9, mirror=mirror) for _ in range(2)
    )
    source = dataset.indexed_images
    executions = source.executions(steps)
    assert executions.cardinality() == 9
    for _ in range(3):
        rows = []
        order = source.order_of(source.order.begin())
        for first, count in executions:
            rows.append(order[first : first + count])
        rows = np.concatenate(rows).ravel()
        images = PIXELS[rows % len(PIXELS)]
        flips = rows >= len(PIXELS)
        images[flips] = images[flips][:, :, ::-1]
        assert flips.any() == mirror
        np.testing.assert_array_equal(
            images / np.float32(255), np.concatenate(list(expected)), strict=True
        )
    assert dataset.epoch == 3


def test_make_dataset_fills_a_batch_from_fewer_images():
    labels = np.arange(7)
    dataset = make_dataset(NUMBERED, 16, steps_per_epoch=2, labels=labels)
    images, drawn_labels = next(iter(dataset))
    assert images.shape == (16, 3, 2, 1)
    np.testing.assert_array_equal(numbers([images]), drawn_labels)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (0, ValueError, "steps_per_epoch of at least 1. Received: steps_per_epoch=0"),
        (-3, ValueError, "Received: steps_per_epoch=-3"),
        (2.0, TypeError, "float"),
    ],
)
def test_make_dataset_raises_for_invalid_steps_per_epoch(steps, error, message):
    with pytest.raises(error, match=message):
        make_dataset(NUMBERED, 2, steps_per_epoch=steps)


def test_make_dataset_adds_horizontally_flipped_images_with_mirror():
    dataset = make_dataset(PIXELS, 22, shuffle=False, mirror=True, labels=np.arange(11))
    ((images, labels),) = list(dataset)
    both = np.concatenate([PIXELS, PIXELS[:, :, ::-1]]) / np.float32(255)
    np.testing.assert_array_equal(images, both, strict=True)
    np.testing.assert_array_equal(labels, np.tile(np.arange(11), 2))


def test_make_dataset_draws_each_mirror_image_once_in_a_pass():
    dataset = make_dataset(PIXELS, 5, mirror=True, drop_remainder=False)
    both = np.concatenate([PIXELS, PIXELS[:, :, ::-1]]) / np.float32(255)
    drawn = np.concatenate(list(dataset))
    assert len(dataset) == 5
    assert sorted(image.tobytes() for image in drawn) == sorted(i.tobytes() for i in both)


def test_make_dataset_with_mirror_does_not_copy_the_images():
    assert make_dataset(PIXELS, 2, mirror=True).indexed_images.images.shape == PIXELS.shape


EPOCHS, STEPS = 4, 6


class Stop(keras.callbacks.Callback):
    """Raises when a number of steps is done."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps >= self.steps:
            raise InterruptedError


def state(gan):
    optimizers = (gan.g_optimizer, gan.d_optimizer)
    variables = [*gan.variables, *(v for optimizer in optimizers for v in optimizer.variables)]
    return [variable.numpy() for variable in variables]


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def train(make_gan, tmp_path):
    """Returns a function that trains part of a run with a new GAN, and returns its state."""

    def train(folder, stop_at=None, seed=0, indexed=True, mirror=False, **compile_arguments):
        keras.utils.set_random_seed(seed)
        gan = make_gan(seed=seed, **compile_arguments)
        dataset = make_dataset(
            PIXELS, 4, steps_per_epoch=STEPS, value_range=gan.value_range, mirror=mirror
        )
        if not indexed:
            dataset.indexed_images = None
        callbacks = [BackupAndRestore(tmp_path / folder, -1.0)]
        if stop_at is not None:
            callbacks.append(Stop(stop_at))
        try:
            gan.fit(dataset, epochs=EPOCHS, callbacks=callbacks, verbose=0)
        except InterruptedError:
            assert gan.steps >= stop_at
        return state(gan), gan

    return train


LOOP = {"jit_compile": True, "steps_per_execution": 3}


@pytest.mark.parametrize(
    "compile_arguments",
    [pytest.param({}, id="batches"), pytest.param(LOOP, id="loop", marks=pytest.mark.slow)],
)
def test_fit_resumes_bit_for_bit_within_and_between_epochs(train, compile_arguments):
    wanted, gan = train("whole", **compile_arguments)
    assert gan.steps == EPOCHS * STEPS
    for stop_at, seed in ((3, 0), (6, 1), (15, 2)):
        train("parts", stop_at, seed, **compile_arguments)
    assert_same(train("parts", seed=3, **compile_arguments)[0], wanted)


@pytest.mark.parametrize("mirror", [pytest.param(False, marks=pytest.mark.slow), True])
def test_fit_is_bit_for_bit_equal_with_and_without_indexed_images(train, mirror):
    in_loop, gan = train("loop", mirror=mirror, **LOOP)
    assert gan._executor.loop.experimental_get_tracing_count() == 1
    by_batches, gan = train("batches", indexed=False, mirror=mirror, **LOOP)
    assert gan._executor.loop.experimental_get_tracing_count() == 0
    assert_same(in_loop, by_batches)


@pytest.mark.slow
def test_fit_gives_other_weights_with_mirror_images(train):
    plain, mirrored = (train(str(mirror), mirror=mirror)[0] for mirror in (False, True))
    assert any(not np.array_equal(a, b) for a, b in zip(plain, mirrored, strict=True))


def test_fit_continues_with_the_next_epoch_when_called_again(make_gan):
    def dataset():
        return make_dataset(PIXELS, 4, steps_per_epoch=STEPS)

    at_once, in_parts = make_gan(), make_gan()
    in_parts.set_weights(at_once.get_weights())
    at_once.fit(dataset(), epochs=2, verbose=0)
    for _ in range(2):
        in_parts.fit(dataset(), verbose=0)
    assert_same(state(in_parts), state(at_once))


def test_make_dataset_is_iterated_without_retracing():
    dataset = make_dataset(NUMBERED, 2, steps_per_epoch=3)
    traced = []

    @tf.function
    def total(batches):
        traced.append(1)
        return batches.reduce(0.0, lambda x, batch: x + tf.reduce_sum(batch))

    for _ in range(3):
        total(dataset)
    assert len(traced) == 1
