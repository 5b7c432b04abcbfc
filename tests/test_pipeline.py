"""Tests `make_dataset`: the batches, their order, and resuming within an epoch."""

import gc
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import data
from fashion_gan.data import make_dataset

NUMBERED = np.tile(np.arange(100, dtype=np.uint8).reshape(-1, 1, 1), (1, 3, 2))
"""Image i is all i."""


def numbers(batches):
    """Returns the indices in NUMBERED of the images of the batches, in order."""
    return np.concatenate([np.rint(b.numpy()[:, 0, 0, 0] * 255).astype(int) for b in batches])


def epoch(dataset, number):
    dataset.epoch.assign(number)
    return numbers(dataset)


def test_make_dataset_permutes_each_epoch_differently():
    dataset = make_dataset(NUMBERED, 10)
    epochs = [numbers(dataset) for _ in range(3)]
    for order in epochs:
        assert sorted(order) == list(range(100))
    assert len({tuple(order) for order in [*epochs, range(100)]}) == 4
    assert dataset.epoch == 3


def test_make_dataset_order_depends_on_seed_and_epoch():
    one, same, other = (make_dataset(NUMBERED, 10, seed=seed) for seed in (1, 1, 2))
    second = [numbers(one) for _ in range(3)][1]
    np.testing.assert_array_equal(epoch(same, 1), second)
    np.testing.assert_array_equal(epoch(one, 1), second)
    assert one.epoch == same.epoch == 2
    assert not np.array_equal(epoch(other, 1), second)
    assert not np.array_equal(epoch(other, 0), epoch(one, 1))  # not of their sum


def test_make_dataset_order_is_fixed_across_machines():
    order = epoch(make_dataset(NUMBERED, 10, seed=42), 7)
    assert order[:10].tolist() == [10, 91, 92, 43, 89, 70, 93, 40, 38, 99]


def test_make_dataset_spreads_images_over_the_epoch():
    dataset = make_dataset(NUMBERED, 100)
    places = np.stack([np.argsort(epoch(dataset, k)) for k in range(40)])
    deviation = np.sqrt((100**2 - 1) / 12)  # of a place drawn uniformly
    np.testing.assert_allclose(places.mean(axis=0), 49.5, atol=5 * deviation / np.sqrt(40))
    np.testing.assert_allclose(places.std(), deviation, rtol=0.05)


def test_make_dataset_keeps_the_order_without_shuffling():
    dataset = make_dataset(NUMBERED, 10, shuffle=False)
    for _ in range(2):
        np.testing.assert_array_equal(numbers(dataset), np.arange(100))


def test_make_dataset_ignores_an_unused_iterator():
    dataset = make_dataset(NUMBERED, 10)
    dataset.skip_batches.assign(2)
    spare = iter(dataset)
    time.sleep(0.2)  # time for a prefetch to go wrong
    assert (dataset.epoch, dataset.skip_batches) == (0, 2)
    next(spare)
    time.sleep(0.2)
    assert (dataset.epoch, dataset.skip_batches) == (1, 0)
    assert len(list(spare)) == 9
    assert dataset.epoch == 1


def test_make_dataset_returns_blank_images_for_skipped_batches():
    dataset = make_dataset(NUMBERED + np.uint8(1), 10)
    whole = np.concatenate(list(dataset))
    dataset.epoch.assign(0)
    dataset.skip_batches.assign(3)
    resumed = np.concatenate(list(dataset))
    np.testing.assert_array_equal(resumed[:30], np.zeros_like(whole[:30]), strict=True)
    np.testing.assert_array_equal(resumed[30:], whole[30:], strict=True)
    assert (dataset.epoch, dataset.skip_batches) == (1, 0)
    assert all(batch.numpy().any() for batch in dataset)


@pytest.mark.parametrize(("start", "drop_remainder"), [(10, True), (4, False), (99, False)])
def test_make_dataset_keeps_its_length_when_all_batches_are_skipped(start, drop_remainder):
    dataset = make_dataset(NUMBERED, 30, drop_remainder=drop_remainder)
    dataset.skip_batches.assign(start)
    batches = list(dataset)
    assert len(batches) == dataset.cardinality() == (3 if drop_remainder else 4)
    assert not np.concatenate(batches).any()


def test_make_dataset_scales_uint8_like_the_book_bit_for_bit():
    images = np.arange(256, dtype=np.uint8).reshape(64, 2, 2)
    (batch,) = make_dataset(images, 64, shuffle=False)
    np.testing.assert_array_equal(
        batch.numpy()[..., 0], images.astype(np.float32) / 255, strict=True
    )


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 255.0), (-0.5, 0.25), (2, 3)])
def test_make_dataset_scales_uint8_to_the_value_range(value_range):
    low, high = value_range
    images = np.arange(256, dtype=np.uint8).reshape(64, 2, 2, 1)
    (batch,) = make_dataset(images, 64, value_range=value_range, shuffle=False)
    unit = images.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch.numpy(), low + (high - low) * unit, strict=True)
    assert (batch.numpy().min(), batch.numpy().max()) == value_range


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_make_dataset_leaves_floats_unscaled_as_float32(dtype):
    images = np.random.default_rng(0).uniform(-1, 1, size=(4, 3, 2, 3)).astype(dtype)
    (batch,) = make_dataset(images, 4, value_range=(-1, 1), shuffle=False)
    np.testing.assert_array_equal(batch.numpy(), images.astype(np.float32), strict=True)


def test_make_dataset_accepts_float32_at_a_rounded_limit():
    images = np.full((1, 2, 2), 0.1, np.float32)  # a little more than 0.1
    assert len(make_dataset(images, 1, value_range=(0.0, 0.1))) == 1


def test_make_dataset_copies_the_images():
    images = NUMBERED.copy()
    dataset = make_dataset(images, 10)
    images[:] = 0
    assert sorted(numbers(dataset)) == list(range(100))


def test_make_dataset_has_static_shapes_and_a_length():
    dropped, kept = (make_dataset(NUMBERED, 30, drop_remainder=drop) for drop in (True, False))
    assert dropped.element_spec == tf.TensorSpec((30, 3, 2, 1), tf.float32)
    assert kept.element_spec == tf.TensorSpec((None, 3, 2, 1), tf.float32)
    assert [len(batch) for batch in dropped] == [30, 30, 30]
    assert [len(batch) for batch in kept] == [30, 30, 30, 10]
    assert (dropped.cardinality(), kept.cardinality()) == (3, 4)
    assert sorted(epoch(kept, 0)) == list(range(100))


def test_derived_dataset_outlives_its_source():
    derived = make_dataset(NUMBERED, 10).map(tf.identity)
    gc.collect()
    assert not np.array_equal(numbers(derived), numbers(derived))


@pytest.mark.parametrize("steps", [4, 20])
def test_executions_return_the_indices_of_the_batches(steps):
    dataset, expected = make_dataset(NUMBERED, 9), make_dataset(NUMBERED, 9)
    executions = dataset.indexed_images.executions(steps)
    assert executions.cardinality() == 11
    firsts, counts = zip(*[map(int, element) for element in executions], strict=True)
    assert firsts == ((0, 4, 8) if steps == 4 else (0,))
    assert counts == ((4, 4, 3) if steps == 4 else (11,))
    for number in (1, 2):
        order = dataset.indexed_images.order_of(tf.constant(number, tf.int64))
        assert order.shape == (11, 9) and order.dtype == "int64"
        np.testing.assert_array_equal(np.ravel(order), epoch(expected, number))


def test_indexed_images_exist_only_for_whole_batches():
    dataset = make_dataset(NUMBERED, 10)
    assert dataset.indexed_images is not None
    assert not hasattr(dataset.prefetch(1), "source")
    assert make_dataset(NUMBERED, 10, drop_remainder=False).indexed_images is None


class Recorder(keras.Model):
    """Trains nothing, and keeps what `fit()` feeds it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def train_step(self, x):
        tf.py_function(lambda batch: self.seen.append(batch), [x], [])
        return {"mean": tf.reduce_mean(x)}


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_fit_iterates_each_epoch_and_resumes_within_one(steps_per_execution):
    dataset, expected = make_dataset(NUMBERED, 10), make_dataset(NUMBERED, 10)
    model = Recorder()
    model.compile(steps_per_execution=steps_per_execution)
    history = model.fit(dataset, epochs=3, shuffle=False, verbose=0)
    assert history.params["steps"] == 10
    np.testing.assert_array_equal(
        numbers(model.seen), [i for _ in range(3) for i in numbers(expected)]
    )

    resumed = make_dataset(NUMBERED, 10)
    model.seen.clear()
    resumed.epoch.assign(1)
    resumed.skip_batches.assign(4)
    model.fit(resumed, initial_epoch=1, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(numbers(model.seen)[:40], 0)
    np.testing.assert_array_equal(
        numbers(model.seen)[40:], [*epoch(expected, 1)[40:], *epoch(expected, 2)]
    )


TWO_REPLICAS = """
import numpy as np, tensorflow as tf
from fashion_gan.data import make_dataset
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
images = np.arange(1, 101, dtype=np.uint8).reshape(-1, 1, 1)
def epoch(dataset, variables, number, start=0):
    variables.epoch.assign(number)
    variables.skip_batches.assign(start)
    parts = [strategy.experimental_local_results(batch) for batch in dataset]
    assert all(len(part) == 2 and len(part[0]) == len(part[1]) for part in parts)
    return np.concatenate([np.concatenate(part) for part in parts])
for drop_remainder in (True, False):
    single = make_dataset(images, 20, drop_remainder=drop_remainder)
    expected = [np.concatenate(list(single)) for _ in range(3)]
    dataset = make_dataset(images, 20, drop_remainder=drop_remainder)
    replicated = strategy.experimental_distribute_dataset(dataset)
    assert replicated.cardinality == 5
    spare = iter(replicated)
    assert dataset.epoch == 0
    for k in (0, 1, 2, 1):
        np.testing.assert_array_equal(epoch(replicated, dataset, k), expected[k])
        assert dataset.epoch == k + 1
    resumed = epoch(replicated, dataset, 2, start=3)
    assert not resumed[:60].any() and dataset.skip_batches == 0
    np.testing.assert_array_equal(resumed[60:], expected[2][60:])
"""


@pytest.mark.slow
def test_make_dataset_splits_each_batch_between_replicas_in_order():
    # A process of its own: the number of virtual CPUs is fixed once TensorFlow has started.
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (NUMBERED[0], {}, r"\(n, h, w\) or \(n, h, w, c\). Received: shape=\(3, 2\)"),
        (NUMBERED[None, None], {}, r"Received: shape=\(1, 1, 100, 3, 2\)"),
        (NUMBERED[:0], {}, r"at least one image.*Received: shape=\(0, 3, 2\)"),
        (NUMBERED, {"batch_size": 0}, "batch_size of at least 1. Received: batch_size=0"),
        (
            NUMBERED,
            {"batch_size": 101},
            "100 images are too few for a batch of 101.*drop_remainder=False",
        ),
        (NUMBERED, {"value_range": (1, 1)}, r"low < high. Received: \(1, 1\)"),
        (NUMBERED, {"value_range": (1, -1)}, r"low < high. Received: \(1, -1\)"),
        (NUMBERED, {"value_range": (0, np.inf)}, r"low < high. Received: \(0, inf\)"),
        (NUMBERED, {"value_range": (np.nan, 1)}, r"low < high. Received: \(nan, 1\)"),
        (NUMBERED.astype(int), {}, "uint8, or floating.*Received: dtype=int64"),
        (NUMBERED > 1, {}, "Received: dtype=bool"),
        (NUMBERED / 98.0, {}, r"value_range=\(0.0, 1.0\). Received: values from 0.0 to 1.01"),
        (NUMBERED - 0.5, {"value_range": (0, 99)}, "Received: values from -0.5 to 98.5"),
        (np.full((40, 1, 1), np.inf), {}, "values from inf to inf"),
        (np.array([0.5, np.nan] * 40, "f4").reshape(-1, 1, 1), {}, "without NaN"),
    ],
)
def test_make_dataset_raises_for_too_few_images_or_wrong_batch_sizes(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(images, **arguments)


def test_make_dataset_raises_for_a_non_integer_batch_size():
    with pytest.raises(TypeError, match="float"):
        make_dataset(NUMBERED, 10.0)


def test_make_dataset_keeps_a_smaller_batch_with_the_remainder():
    (batch,) = make_dataset(NUMBERED, 101, drop_remainder=False)
    assert sorted(numbers([batch])) == list(range(100))


def test_make_dataset_matches_the_images_of_the_book():
    images = data.load_fashion_mnist().train_images
    first = next(iter(make_dataset(images, 32, shuffle=False)))
    np.testing.assert_array_equal(first, images[:32].astype(np.float32) / 255)


def test_make_dataset_does_not_autotune():
    dataset = make_dataset(np.zeros((8, 4, 4), np.uint8), 4)
    for one in (dataset, dataset.indexed_images.executions(2)):
        assert one.options().autotune.enabled is False
