"""Tests the compiled loop: where it runs, and that its results equal those of Keras' loop."""

import gc
import os
import shutil
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    assert_equal_states,
    linear_networks,
    read_state,
    record_traces,
    stateful_networks,
    tiny_networks,
)
from keras import layers

from fashion_gan import GAN, models, penalties
from fashion_gan.callbacks import BackupAndRestore
from fashion_gan.data import make_dataset
from fashion_gan.data.image_dataset import IndexedImages

PIXELS = np.random.default_rng(5).integers(0, 256, (47, 4, 4, 1)).astype("uint8")
"""For 11 batches of 4, and 3 images that are left over."""


def convolutional():
    return models.build_networks("dcgan", latent_dim=3, image_shape=(4, 4, 1))


def make_gan(
    networks=tiny_networks, value_range=None, seed=7, steps_per_execution=3, **compile_arguments
):
    keras.utils.set_random_seed(seed)
    gan = GAN(*networks(), value_range=value_range, seed=seed)
    gan.compile(
        **{"jit_compile": True, **compile_arguments}, steps_per_execution=steps_per_execution
    )
    return gan


def make_data(gan, images=PIXELS, in_loop=True, **arguments):
    dataset = make_dataset(images, 4, value_range=gan.value_range, **arguments)
    if not in_loop:
        dataset.indexed_images = None
    return dataset


@pytest.fixture
def loops(monkeypatch):
    """Returns a list that grows with each `fit()` that uses the compiled loop."""
    found, executions = [], IndexedImages.executions
    monkeypatch.setattr(
        IndexedImages,
        "executions",
        lambda self, steps: (found.append(steps), executions(self, steps))[1],
    )
    return found


class Logs(keras.callbacks.Callback):
    """Keeps what each execution logs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, {name: float(value) for name, value in logs.items()}))


def regularized():
    """Returns a conditional pair whose dense layers have a regularizer each."""
    keras.utils.set_random_seed(7)
    regularizer = {"kernel_regularizer": keras.regularizers.L2(0.3)}
    latents, label = keras.Input((3,)), keras.Input((), dtype="int32")
    joined = layers.Concatenate()([latents, layers.Embedding(3, 2)(label)])
    pixels = layers.Dense(16, activation="sigmoid", **regularizer)(joined)
    generator = keras.Model([latents, label], layers.Reshape((4, 4, 1))(pixels))
    image = keras.Input((4, 4, 1))
    features = layers.Dense(3, **regularizer)(layers.Flatten()(image))
    logit = keras.ops.sum(features * keras.ops.one_hot(label, 3), axis=1, keepdims=True)
    return generator, keras.Model([image, label], logit)


class CopyBackup(keras.callbacks.Callback):
    """Copies the folder of the backups when a number of steps is done."""

    def __init__(self, steps, source, target):
        super().__init__()
        self.steps, self.source, self.target = steps, source, target

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps == self.steps:
            shutil.copytree(self.source, self.target)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of steps_per_epoch=7
@pytest.mark.filterwarnings("ignore:.*only fill")
def test_loop_is_bit_for_bit_equal_to_keras_loop_and_resumes_within_an_epoch(tmp_path, loops):
    fits = [
        {"epochs": 2, "validation_data": (PIXELS[:8] / np.float32(1020),)},
        {"epochs": 5, "initial_epoch": 2, "steps_per_epoch": 7},
    ]
    backups, copied = tmp_path / "backups", tmp_path / "copied"

    def run(in_loop, *callbacks):
        gan, executions = make_gan(stateful_networks, value_range=(-0.5, 0.25)), Logs()
        traces, dataset, states = record_traces(gan), make_data(gan, in_loop=in_loop), []
        logs = []
        for arguments in fits:
            watching = [executions, *callbacks]
            logs.append(gan.fit(dataset, verbose=0, callbacks=watching, **arguments).history)
            states.append(read_state(gan))
            callbacks = ()
        position = (int(dataset.epoch), int(dataset.skip_batches))
        return states, logs, executions.seen, position, len(traces)

    theirs = run(in_loop=False)
    assert not loops
    ours = run(True, BackupAndRestore(backups, save_interval=-1), CopyBackup(17, backups, copied))
    assert len(loops) == 2
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert_equal_states(mine, other)
    assert ours[1:] == theirs[1:]
    assert ours[-1] == 1

    resumed = make_gan(stateful_networks, value_range=(-0.5, 0.25), seed=8)
    logs = resumed.fit(
        make_data(resumed), epochs=2, verbose=0, callbacks=[BackupAndRestore(copied)]
    ).history
    assert_equal_states(read_state(resumed), theirs[0][0])
    assert logs == {name: theirs[1][0][name][1:] for name in logs}


@pytest.mark.slow
def test_loop_is_bit_for_bit_equal_to_keras_loop_with_labels_and_every_setting(loops):
    def run(in_loop):
        gan = make_gan(
            regularized,
            value_range=(0, 1),
            steps_per_execution=20,
            loss="relativistic",
            penalties=[penalties.WGANGP(0.3, interval=2), penalties.R2(1.0)],
            ema_decay=0.9,
            d_steps=2,
            accumulate=2,
            log_gradients=True,
            g_optimizer="adam",
        )
        traces, floats = record_traces(gan), PIXELS / np.float32(255)
        dataset = make_data(gan, floats, in_loop, labels=np.arange(47) % 3, shuffle=False)
        logs = [gan.fit(dataset, verbose=0, epochs=epochs).history for epochs in (2, 1)]
        return read_state(gan), logs, len(traces)

    theirs = run(in_loop=False)
    assert not loops
    ours = run(in_loop=True)
    assert len(loops) == 2
    assert_equal_states(ours[0], theirs[0])
    assert ours[1:] == theirs[1:]
    assert ours[-1] == 1
    assert min(ours[1][0]["d_regularization"]) > 0.01


def test_loop_alternates_with_arrays_and_single_batches_and_releases_its_images(loops):
    gan = make_gan(linear_networks, g_optimizer="sgd", d_optimizer="sgd")
    dataset, floats = make_data(gan), PIXELS / np.float32(255)
    one_more = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: gan.train_on_batch(floats[:4])
    )
    gan.fit(dataset, callbacks=[one_more], verbose=0)
    gan.fit(floats[:20], batch_size=4, verbose=0)
    gan.fit(dataset, verbose=0)
    assert len(loops) == 2
    assert gan.steps == 11 + 5 + 1 + 11
    source = weakref.ref(dataset.indexed_images)
    del dataset
    gc.collect()
    assert source() is None, "the model keeps the images when it is done with them"


def test_gan_frees_its_graph_when_deleted():
    def graphs_after_a_training():
        gan = make_gan(linear_networks, g_optimizer="sgd", d_optimizer="sgd")
        gan.fit(make_data(gan), verbose=0)
        del gan
        gc.collect()
        return sum(issubclass(type(thing), tf.Graph) for thing in gc.get_objects())

    assert graphs_after_a_training() == graphs_after_a_training()


@pytest.mark.parametrize(
    ("compile_arguments", "data_arguments", "derive"),
    [
        ({}, {"drop_remainder": False}, None),
        ({}, {}, lambda dataset: dataset.take(3)),
        ({}, {}, lambda dataset: PIXELS),
        ({"steps_per_execution": 1}, {}, None),
        ({"jit_compile": False}, {}, None),
        ({"jit_compile": "auto", "run_eagerly": True}, {}, None),
    ],
    ids=["remainder", "derived", "array", "one step", "no XLA", "eager"],
)
def test_executor_returns_other_datasets_unchanged(compile_arguments, data_arguments, derive):
    gan = make_gan(**compile_arguments)
    dataset = make_dataset(PIXELS, 4, value_range=gan.value_range, **data_arguments)
    if derive is not None:
        dataset = derive(dataset)
    with gan._executor.feed(dataset) as fed:
        assert fed is dataset


def execution_arguments(gan, dataset, first=3):
    """Returns the arguments of an execution of 3 steps in epoch 1."""
    gan.make_train_function()
    executor, source = gan._executor, dataset.indexed_images
    order = executor.order_of(source, tf.constant(1, tf.int64))
    return executor.loop_arguments(source, order, first, steps=3)


@pytest.mark.parametrize(
    ("networks", "accelerator"),
    [
        (tiny_networks, False),
        (tiny_networks, True),
        pytest.param(convolutional, True, marks=pytest.mark.slow),
    ],
)
def test_execution_compiles_to_one_program_of_static_shapes_without_host_calls(
    networks, accelerator, monkeypatch
):
    monkeypatch.setattr("fashion_gan.training.executor.has_accelerator", lambda: accelerator)
    gan = make_gan(networks, ema_decay=0.9, penalties=[penalties.R1(0.5)])
    dataset = make_data(gan)
    with gan._executor.feed(dataset) as fed:
        assert fed is not dataset
    arguments = execution_arguments(gan, dataset)
    program = gan._executor.loop.experimental_get_compiler_ir(**arguments)
    text = program(stage="hlo")
    assert text.count(" while(") == 1, "expected no loop but that over the steps"
    assert "u8[47,4,4,1]" in text and "f32[47,4,4,1]" not in text, "images stay as they are kept"
    assert "<=" not in text, "no shape is dynamic"
    for word in ("infeed", "outfeed", "send(", "recv(", "callback"):
        assert word not in text, word
    optimized = program(stage="optimized_hlo")
    assert ('"known_trip_count":{"n":"3"}' in optimized) == accelerator


def record_transfers(gan, source, monkeypatch):
    """Returns a list that grows with each tensor that the host sends to a compiled function.

    The images, their labels and all results of the compiled functions are on the device. TensorFlow
    keeps int32 tensors of a GPU on the host, wherever they come from.
    """
    gan.make_train_function()
    executor, sent = gan._executor, []
    on_device = [part for part in source.on_device if part is not None]

    def record(name):
        function = getattr(executor, name)

        def call(*args, **kwargs):
            tensors = [value for value in (*args, *kwargs.values()) if tf.is_tensor(value)]
            for tensor in tensors:
                if tensor.dtype == tf.int32 or not any(tensor is part for part in on_device):
                    sent.append((name, tensor.dtype.name, tensor.shape.num_elements()))
            traced = function.get_concrete_function(*args, **kwargs)
            assert all(variable.dtype != tf.int32 for variable in traced.graph.variables)
            result = function(*args, **kwargs)
            on_device.extend(tf.nest.flatten(result))
            return result

        monkeypatch.setattr(executor, name, call)

    record("order_of")
    record("loop")
    return sent


@pytest.mark.parametrize("accelerator", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_host_sends_a_scalar_in_each_epoch_and_the_position_in_each_execution(
    accelerator, monkeypatch
):
    monkeypatch.setattr("fashion_gan.training.executor.has_accelerator", lambda: accelerator)
    gan = make_gan(regularized, ema_decay=0.9, g_optimizer="adam")
    dataset = make_data(gan, labels=np.arange(47) % 3, mirror=True)
    sent = record_transfers(gan, dataset.indexed_images, monkeypatch)
    gan.fit(dataset, epochs=2, verbose=0)
    positions = [("loop", "int32", 1)] * (1 if accelerator else 2)  # first, and on the CPU steps
    assert sent == [("order_of", "int64", 1), *(8 * positions)] * 2


def test_program_does_not_depend_on_the_position_in_the_epoch(monkeypatch):
    monkeypatch.setattr("fashion_gan.training.executor.has_accelerator", lambda: True)
    gan = make_gan()
    dataset = make_data(gan, labels=np.arange(47) % 3, mirror=True)

    def program(first):
        arguments = execution_arguments(gan, dataset, first)
        return gan._executor.loop.experimental_get_compiler_ir(**arguments)(stage="hlo")

    # XLA compiles again for each value of an argument that has to be a constant.
    assert program(first=3) == program(first=6)


@pytest.mark.slow
def test_loop_with_convolutions_resumes_bit_for_bit_and_stays_close_to_keras_loop(tmp_path, loops):
    backups, copied = tmp_path / "backups", tmp_path / "copied"

    def run(*callbacks, in_loop=True, seed=7):
        gan = make_gan(convolutional, seed=seed)
        gan.fit(make_data(gan, in_loop=in_loop), epochs=2, verbose=0, callbacks=list(callbacks))
        return read_state(gan)

    whole = run(BackupAndRestore(backups, save_interval=-1), CopyBackup(17, backups, copied))
    assert_equal_states(run(BackupAndRestore(copied), seed=8), whole)
    assert len(loops) == 2
    theirs = run(in_loop=False)
    assert len(loops) == 2
    for ours, keras_loops in zip(whole, theirs, strict=True):
        np.testing.assert_allclose(ours, keras_loops, rtol=0.02, atol=0.02)


@pytest.mark.slow
def test_loop_is_bit_for_bit_equal_for_any_steps_per_execution(monkeypatch):
    def run(accelerator):
        monkeypatch.setattr("fashion_gan.training.executor.has_accelerator", lambda: accelerator)
        gan = make_gan(stateful_networks)
        gan.fit(make_data(gan), epochs=2, verbose=0)
        return read_state(gan), gan._executor.loop.experimental_get_tracing_count()

    (states, traces), (others, programs) = run(False), run(True)
    assert_equal_states(states, others)
    assert (traces, programs) == (1, 2)  # executions of 3 steps, and of the last 2


def test_indexed_images_are_stored_once_on_the_device():
    source = make_data(make_gan()).indexed_images
    images, lookup_table, labels = source.on_device
    assert labels is None
    assert source.on_device[0] is images
    for on_device, kept in (
        (images, source.images.read_value()),
        (lookup_table, source.lookup_table),
    ):
        assert np.shares_memory(np.asarray(memoryview(on_device)), np.asarray(memoryview(kept)))


def resident_megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_iterators_and_the_compiled_loop_do_not_copy_the_images():
    images = np.zeros((100_000, 32, 32, 1), "uint8")  # 102 MB
    images[:] = 1
    next(iter(make_dataset(images[:64], 32)))
    dataset = make_dataset(images, 32)
    before = resident_megabytes()
    iterators = [iter(dataset), iter(dataset.indexed_images.executions(10))]
    for iterator in iterators:
        next(iterator)
    assert dataset.indexed_images.on_device[0].shape == images.shape
    assert resident_megabytes() - before < 51
