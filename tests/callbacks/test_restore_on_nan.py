"""Tests RestoreOnNaN: the message, the restored state and the number of restores."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan.callbacks import JSONLogger, RestoreOnNaN


class Poison(keras.callbacks.Callback):
    """Writes NaN into a weight before given steps, so that the next step has a NaN loss."""

    def __init__(self, network, *steps):
        super().__init__()
        self.network = network
        self.steps = list(steps)

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.steps in self.steps:
            self.steps.remove(self.model.steps)
            kernel = getattr(self.model, self.network).weights[0]
            kernel.assign(np.full(kernel.shape, np.nan))


def finite(gan):
    return all(np.isfinite(v.numpy()).all() for v in gan.variables)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_restore_on_nan_warns_with_the_nan_variables_and_restores_the_last_finite_state(
    make_gan, tiny_images, network
):
    gan, guard = make_gan(), RestoreOnNaN(check_freq=2)
    with pytest.warns(UserWarning) as warned:
        gan.fit(
            tiny_images, batch_size=4, epochs=2, callbacks=[guard, Poison(network, 5)], verbose=0
        )
    (message,) = (str(w.message) for w in warned)
    assert "Not finite: d_loss and g_loss" in message
    assert f"{network}/dense" in message
    assert "between steps 4 and 6. Restored the state after step 4" in message
    assert "(try 1 of 3)" in message
    assert finite(gan)
    assert gan.steps == 16 - 2
    assert guard.restores == 1


def test_restore_on_nan_restores_everything_except_latents_bit_for_bit(make_gan, tiny_images):
    gan, states = make_gan(), []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            variables = gan.variables + gan.g_optimizer.variables + gan.d_optimizer.variables
            states.append([v.numpy() for v in variables])

    guard = RestoreOnNaN(check_freq=1)
    with pytest.warns(UserWarning, match="Not finite"):
        gan.fit(
            tiny_images,
            batch_size=4,
            callbacks=[guard, Record(), Poison("discriminator", 3)],
            verbose=0,
        )
    good, restored = states[2], states[3]
    differ = [i for i, (a, b) in enumerate(zip(good, restored, strict=True)) if (a != b).any()]
    assert len(differ) == 1
    assert good[differ[0]][0] != restored[differ[0]][0]
    assert good[differ[0]][1] == restored[differ[0]][1] == 3


def test_restore_on_nan_restores_and_raises_after_max_restores(make_gan, tiny_images):
    gan = make_gan()

    class Always(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            kernel = self.model.generator.weights[0]
            kernel.assign(np.full(kernel.shape, np.inf))

    with (
        pytest.warns(UserWarning) as warned,
        pytest.raises(
            FloatingPointError,
            match=r"gave up after 2 restores. The model has the state after step 0. Lower the",
        ),
    ):
        gan.fit(
            tiny_images, batch_size=4, callbacks=[RestoreOnNaN(max_restores=2), Always()], verbose=0
        )
    assert ["try 1 of 2" in str(w.message) for w in warned] == [True, False]
    assert finite(gan)
    assert gan.steps == 0


def test_restore_on_nan_raises_at_the_first_nan_when_max_restores_is_0(make_gan, tiny_images):
    with pytest.raises(FloatingPointError, match="gave up after 0 restores"):
        make_gan().fit(
            tiny_images,
            batch_size=4,
            callbacks=[RestoreOnNaN(max_restores=0), Poison("generator", 2)],
            verbose=0,
        )


def test_restore_on_nan_does_not_change_a_healthy_run(make_gan, tiny_images):
    results = []
    for callbacks in ([], [RestoreOnNaN(check_freq=1)]):
        keras.utils.set_random_seed(3)
        gan = make_gan()
        gan.fit(tiny_images, batch_size=4, shuffle=False, callbacks=callbacks, verbose=0)
        results.append([v.numpy() for v in gan.variables])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_restore_on_nan_raises_for_weights_that_are_nan_from_the_start(make_gan, tiny_images):
    gan = make_gan()
    gan.generator.weights[0].assign(np.full(gan.generator.weights[0].shape, np.nan))
    with pytest.raises(FloatingPointError, match="Not finite: generator/.*kernel, before"):
        gan.fit(tiny_images, callbacks=[RestoreOnNaN()], verbose=0)


@pytest.mark.parametrize(
    "arguments", [{"max_restores": -1}, {"check_freq": 0}, {"check_freq": 1.5}]
)
def test_restore_on_nan_raises_for_wrong_arguments(arguments):
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        RestoreOnNaN(**arguments)


def poisoned(gan, images, file, *steps, **arguments):
    """Returns the error of a training whose weights become NaN before the given steps."""
    guarded = [RestoreOnNaN(), JSONLogger(file), Poison("generator", *steps)]
    with pytest.warns(UserWarning), pytest.raises(FloatingPointError) as error:
        gan.fit(images, batch_size=4, verbose=0, callbacks=guarded, **arguments)
    assert finite(gan)
    return str(error.value)


def test_restore_on_nan_raises_and_logs_nothing_when_no_step_of_an_epoch_is_left(
    make_gan, tiny_images, tmp_path
):
    gan = make_gan(steps_per_execution=8)
    said = poisoned(gan, tiny_images, tmp_path / "metrics.jsonl", 8, epochs=2)
    assert (
        "d_loss and g_loss" in said and "between steps 8 and 16; no step is left of epoch 2" in said
    )
    assert gan.steps == 8
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["steps"] == 8


def test_restore_on_nan_logs_the_means_of_the_remaining_steps(make_gan, tiny_images, tmp_path):
    gan, file = make_gan(steps_per_execution=4), tmp_path / "metrics.jsonl"
    with pytest.warns(UserWarning, match="between steps 4 and 8. Restored"):
        gan.fit(
            tiny_images,
            batch_size=4,
            verbose=0,
            callbacks=[RestoreOnNaN(check_freq=1), JSONLogger(file), Poison("generator", 4)],
        )
    line = json.loads(file.read_text())
    assert line["steps"] == 4 and 0.1 < line["d_loss"] < 10


def test_restore_on_nan_counts_the_steps_before_a_resumed_run(make_gan, tiny_images):
    gan = make_gan()
    gan.fit(tiny_images[:16], batch_size=4, verbose=0)
    means = [variable.numpy() for variable in gan.metrics_variables]
    gan.resume_at(0, 4, means)
    dataset = tf.data.Dataset.from_tensor_slices(tiny_images).batch(4)
    with pytest.warns(UserWarning, match="between steps 4 and 5. Restored"):
        logs = gan.fit(
            dataset,
            verbose=0,
            callbacks=[RestoreOnNaN(), Poison("generator", 4)],
            steps_per_epoch=5,
        )
    assert gan.steps == 4
    np.testing.assert_allclose(logs.history["d_loss"], means[0][0] / 4, rtol=1e-5)


def test_get_metrics_result_returns_nan_before_the_first_step(make_gan):
    assert all(np.isnan(mean) for mean in make_gan().get_metrics_result().values())
