"""The compiled loop of many steps: where it runs, and that it ends in the bits of Keras' loop."""

import dataclasses
import gc
import json
import os
import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, evaluation, models, penalties
from fashion_gan.callbacks import BackupAndRestore
from fashion_gan.data import make_dataset
from fashion_gan.data.image_dataset import IndexedImages
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.presets import PRESETS

ROOT = Path(__file__).parent.parent
PIXELS = np.random.default_rng(5).integers(0, 256, (47, 4, 4, 1)).astype("uint8")
"""For 11 batches of 4, and 3 images that are left over."""


def dense():
    return models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1))


def stateful():
    """Batch norm and dropout: all the state that layers have."""
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8), layers.Dropout(0.3)]
        + [layers.Dense(1)]
    )
    return generator, discriminator


def convolutional():
    return models.build_networks("dcgan", latent_dim=3, image_shape=(4, 4, 1))


def make_gan(networks=dense, value_range=None, seed=7, steps_per_execution=3, **compile_arguments):
    keras.utils.set_random_seed(seed)
    gan = GAN(*networks(), value_range=value_range, seed=seed)
    gan.compile(
        **{"jit_compile": True, **compile_arguments}, steps_per_execution=steps_per_execution
    )
    return gan


def state(gan):
    optimizers = (gan.g_optimizer, gan.d_optimizer)
    variables = [*gan.variables, *(v for optimizer in optimizers for v in optimizer.variables)]
    return [variable.numpy() for variable in variables]


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def make_data(gan, images=PIXELS, in_loop=True, **arguments):
    dataset = make_dataset(images, 4, value_range=gan.value_range, **arguments)
    if not in_loop:
        dataset.indexed_images = None
    return dataset


@pytest.fixture
def loops(monkeypatch):
    """A list that grows with each `fit()` that uses the compiled loop."""
    found, executions = [], IndexedImages.index_batches
    monkeypatch.setattr(
        IndexedImages,
        "index_batches",
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


BYTES_IN_AN_ODD_RANGE = {
    "gan": {"value_range": (-0.5, 0.25)},
    "fits": [
        {"epochs": 2, "validation_data": (PIXELS[:8] / np.float32(1020),)},
        {"epochs": 5, "initial_epoch": 2, "steps_per_epoch": 7},
    ],
}
FLOATS_AS_STORED_IN_ONE_EXECUTION = {
    "gan": {"networks": stateful, "steps_per_execution": 20},
    "data": {"images": PIXELS / np.float32(255), "shuffle": False},
    "fits": [{"epochs": 2}, {"epochs": 3}],
}
ALL_THAT_A_STEP_CAN_DO = {
    "gan": {
        "loss": "relativistic",
        "penalties": [penalties.WGANGP(0.3, interval=2)],
        "ema_decay": 0.9,
        "d_steps": 2,
        "log_gradients": True,
        "g_optimizer": "adam",
    },
    "fits": [{"epochs": 2}],
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of steps_per_epoch=7
@pytest.mark.filterwarnings("ignore:.*only fill")
@pytest.mark.parametrize(
    "case",
    [BYTES_IN_AN_ODD_RANGE, FLOATS_AS_STORED_IN_ONE_EXECUTION, ALL_THAT_A_STEP_CAN_DO],
    ids=["bytes in an odd range", "floats as stored in one execution", "all that a step can do"],
)
def test_the_bits_are_those_of_keras_loop_and_the_step_is_traced_once(case, loops):
    def run(in_loop):
        gan, traces, executions = make_gan(**case["gan"]), [], Logs()
        step = gan.train_step
        gan.train_step = lambda data: (traces.append(1), step(data))[1]
        dataset = make_data(gan, in_loop=in_loop, **case.get("data", {}))
        logs = [
            gan.fit(dataset, verbose=0, callbacks=[executions], **arguments).history
            for arguments in case["fits"]
        ]
        position = (int(dataset.epoch), int(dataset.skip_batches))
        return state(gan), logs, executions.seen, position, len(traces)

    theirs = run(in_loop=False)
    assert not loops
    ours = run(in_loop=True)
    assert len(loops) == len(case["fits"])
    assert_same(ours[0], theirs[0])
    assert ours[1:] == theirs[1:]
    assert ours[-1] == 1


class Stop(keras.callbacks.Callback):
    """Raises when so many steps are done."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps >= self.steps:
            raise RuntimeError("stopped here")


def test_a_run_stopped_within_an_epoch_ends_as_keras_loop_does_without_a_stop(tmp_path, loops):
    theirs = make_gan(stateful)
    logs = theirs.fit(make_data(theirs, in_loop=False), epochs=3, verbose=0).history

    first = make_gan(stateful)
    callbacks = [BackupAndRestore(tmp_path, save_interval=-1), Stop(17)]
    with pytest.raises(RuntimeError, match="stopped here"):
        first.fit(make_data(first), epochs=3, callbacks=callbacks, verbose=0)

    ours = make_gan(stateful, seed=8)
    resumed = ours.fit(
        make_data(ours), epochs=3, callbacks=[BackupAndRestore(tmp_path)], verbose=0
    ).history
    assert len(loops) == 2
    assert_same(state(ours), state(theirs))
    assert resumed == {name: values[1:] for name, values in logs.items()}


def test_an_array_and_a_single_batch_between_are_trained_on_as_ever(loops):
    gan = make_gan()
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


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_gan_that_is_gone_leaves_no_graph_behind(jit_compile):
    def graphs_after_a_training():
        gan = make_gan(jit_compile=jit_compile)
        gan.fit(make_data(gan), verbose=0)
        del gan
        gc.collect()
        return sum(issubclass(type(thing), tf.Graph) for thing in gc.get_objects())

    assert graphs_after_a_training() == graphs_after_a_training()


def itself(dataset):
    return dataset


@pytest.mark.parametrize(
    ("compile_arguments", "data_arguments", "derive", "expected"),
    [
        ({}, {}, itself, True),
        ({}, {"drop_remainder": False}, itself, False),
        ({}, {}, lambda dataset: dataset.take(3), False),
        ({}, {}, lambda dataset: PIXELS, False),
        ({"steps_per_execution": 1}, {}, itself, False),
        ({"jit_compile": False}, {}, itself, False),
        ({"jit_compile": "auto", "run_eagerly": True}, {}, itself, False),
        ({"networks": convolutional}, {}, itself, False),
    ],
    ids=["convnet", "remainder", "derived", "array", "one step", "no XLA", "eager", "convolutions"],
)
def test_all_else_is_left_to_keras(compile_arguments, data_arguments, derive, expected):
    gan = make_gan(**compile_arguments)
    gan_data = derive(make_dataset(PIXELS, 4, value_range=gan.value_range, **data_arguments))
    with gan._executor.feed(gan_data) as fed:
        assert (fed is not gan_data) == expected


def test_an_execution_is_one_program_of_static_shapes_that_asks_the_host_for_nothing():
    gan = make_gan(ema_decay=0.9, penalties=[penalties.R1(0.5)])
    source = make_data(gan).indexed_images
    gan.make_train_function()
    indices = next(iter(source.index_batches(3)))
    program = gan._executor.loop.experimental_get_compiler_ir(*source.on_device, **indices)
    text = program(stage="hlo")
    assert text.count(" while(") == 1, "the loop over the steps, and none beside it"
    assert "u8[47,4,4,1]" in text and "f32[47,4,4,1]" not in text, "images stay as they are kept"
    assert "<=" not in text, "no shape is dynamic"
    for word in ("infeed", "outfeed", "send(", "recv(", "callback"):
        assert word not in text, word


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The module of benchmarks/, a config that it exported, and the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT / "tools")])
        import train_with_jax as tool
    config = dataclasses.replace(PRESETS["dense_modern"], epochs=2)
    folder = tmp_path_factory.mktemp("exported")
    tool.export(config, folder)
    return tool, config, folder


def test_what_is_exported_to_other_runtimes_is_the_whole_state(exported, tmp_path):
    tool, config, folder = exported
    meta = json.loads((folder / "meta.json").read_text())
    state, twins = tool.load_arrays(folder, "state"), meta["ema_copies"]
    variables = tool.all_variables(build_gan(config))
    assert sorted([*state, *map(int, twins)]) == list(range(len(variables)))
    for i, variable in enumerate(variables):
        np.testing.assert_array_equal(variable, state[twins.get(str(i), i)])
    written = {meta["state"][i - len(meta["inputs"])] for i in meta["outputs"].values()}
    rest = set(range(len(variables))) - written
    assert {variables[i].name for i in rest} == {"learning_rate"}

    moved = {i: np.asarray(variables[i]) + 1 for i in meta["networks"]}
    tool.save_arrays(tmp_path / "epoch-0001", moved)
    back = tool.all_variables(tool.restore_gan(folder, tmp_path, "epoch-0001"))
    for i, array in moved.items():
        np.testing.assert_array_equal(back[i], array)


def test_what_was_trained_elsewhere_comes_back_as_a_run_with_scores_of_what_came(
    exported, tmp_path, monkeypatch
):
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    monkeypatch.setattr(evaluation, "FULL", small)
    tool, config, exports = exported
    gan = build_gan(config)
    variables = tool.all_variables(gan)
    average, generator = (
        {i: np.asarray(variables[i]) for i in tool.positions(network.variables, variables)}
        for network in (gan.ema_generator, gan.generator)
    )
    average = {i: array * 1.5 for i, array in average.items()}
    losses = {"epoch": 1, "seconds": 2.0, "compilation": 3.0, "device": "another"}
    (tmp_path / "epochs.jsonl").write_text(2 * (json.dumps(losses) + "\n"))
    for epoch, came in enumerate((average, average | generator), start=1):
        tool.save_arrays(tmp_path / f"epoch-{epoch:04d}", came)
        folder = tmp_path / f"run-{epoch}"
        tool.import_run(exports, tmp_path, epoch, folder)
        scores = json.loads((folder / "scores.json").read_text())["scores"]
        assert set(scores) == ({"samples"} if epoch == 1 else {"samples", "no_ema"})
        assert json.loads((folder / "config.json").read_text())["epochs"] == epoch
        assert json.loads((folder / "seconds.json").read_text()) == 3 + 2 * epoch
        back = checkpoints.load(folder)
        for network, sent in ((back.ema_generator, average), (back.generator, generator)):
            for array, weight in zip(sent.values(), network.get_weights(), strict=True):
                np.testing.assert_array_equal(weight, array)
    assert scores["samples"]["frechet_distance"] != scores["no_ema"]["frechet_distance"]


def test_the_images_are_kept_once_for_all_who_train_on_them():
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
def test_neither_an_iterator_nor_the_compiled_loop_copies_the_images():
    images = np.zeros((100_000, 32, 32, 1), "uint8")  # 102 MB
    images[:] = 1
    next(iter(make_dataset(images[:64], 32)))
    dataset = make_dataset(images, 32)
    before = resident_megabytes()
    iterators = [iter(dataset), iter(dataset.indexed_images.index_batches(10))]
    for iterator in iterators:
        next(iterator)
    assert dataset.indexed_images.on_device[0].shape == images.shape
    assert resident_megabytes() - before < 51
