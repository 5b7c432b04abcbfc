"""Tests the effect of every Keras callback on a GAN, as docs/callbacks.md lists them."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, assert_equal_states, read_state, tiny_networks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fashion_gan import GAN, data
from fashion_gan.callbacks import ForOptimizer, TensorBoard

DOCS = ROOT / "docs/callbacks.md"
CURVE = [3.0, 1.0, 2.0, 4.0]  # of an artificial "distance": the second epoch is the best


class Distance(keras.callbacks.Callback):
    """Puts a number into the logs, as an evaluation would, and keeps the weights of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        logs["distance"] = CURVE[epoch]
        self.weights.append(read_state(self.model))


def networks(gan):
    return gan.generator.get_weights() + gan.discriminator.get_weights()


def rates(gan):
    return [round(float(o.learning_rate), 8) for o in (gan.g_optimizer, gan.d_optimizer)]


def fit(gan, images, *callbacks, epochs=4, **arguments):
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    return gan.fit(images, epochs=epochs, callbacks=list(callbacks), **arguments).history


def test_callbacks_page_lists_every_callback_of_keras():
    classes = {
        name
        for name in dir(keras.callbacks)
        if isinstance(getattr(keras.callbacks, name), type) and not name.startswith("_")
    }
    text = DOCS.read_text()
    assert set(re.findall(r"^\| `(\w+)`", text, re.M)) == classes
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a run with callbacks that only write: its GAN, logs, folder, states and seen logs."""
    folder, distance, seen = tmp_path_factory.mktemp("trained"), Distance(), []
    best = {"monitor": "distance", "mode": "min", "save_best_only": True}
    gan = GAN(*tiny_networks(), seed=0)
    gan.compile(jit_compile=False)
    logs = fit(
        gan,
        np.random.default_rng(1).random((32, 4, 4, 1), dtype="float32"),
        distance,
        keras.callbacks.ModelCheckpoint(folder / "best.keras", **best),
        keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", save_weights_only=True, **best),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs)),
    )
    return SimpleNamespace(gan=gan, logs=logs, folder=folder, states=distance.weights, seen=seen)


def test_model_checkpoint_keeps_the_best_epoch(trained, make_gan):
    best = make_gan()
    best.load_weights(trained.folder / "best.weights.h5")
    for gan in (best, keras.saving.load_model(trained.folder / "best.keras")):
        assert_equal_states(read_state(gan), trained.states[1])


def test_orbax_checkpoint_restores_the_best_epoch(tmp_path, make_gan, tiny_images):
    pytest.importorskip("orbax.checkpoint")
    gan, distance = make_gan("adam", ema_decay=0.9), Distance()
    best = {"monitor": "distance", "mode": "min", "save_best_only": True}
    fit(gan, tiny_images, distance, keras.callbacks.OrbaxCheckpoint(tmp_path / "saved", **best))
    loaded = make_gan("adam", ema_decay=0.9, seed=1)
    loaded.load_weights(tmp_path / "saved")
    for other in (loaded, keras.saving.load_model(tmp_path / "saved")):
        assert_equal_states(read_state(other), distance.weights[1])


def test_early_stopping_stops_and_restores_both_networks(make_gan, tiny_images):
    gan, distance = make_gan(), Distance()
    stop = keras.callbacks.EarlyStopping(
        monitor="distance", mode="min", patience=1, restore_best_weights=True
    )
    logs = fit(gan, tiny_images, distance, stop)
    assert logs["distance"] == CURVE[:3]
    best = distance.weights[1]
    names = {id(v): i for i, v in enumerate((*gan.variables,))}
    for network in (gan.generator, gan.discriminator):
        assert_equal_states(
            [w.numpy() for w in network.weights], [best[names[id(w)]] for w in network.weights]
        )


def test_reduce_lr_on_plateau_reduces_both_rates(make_gan, tiny_images):
    gan = make_gan("adam", "rmsprop")
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="distance", mode="min", factor=0.1, patience=2
    )
    logs = fit(gan, tiny_images, Distance(), plateau)
    assert rates(gan) == [1e-4, 1e-4]
    assert logs["learning_rate_g_optimizer"] == pytest.approx([1e-3] * 4)


def test_learning_rate_scheduler_sets_both_rates(make_gan, tiny_images):
    gan = make_gan("adam", "rmsprop")
    logs = fit(gan, tiny_images, keras.callbacks.LearningRateScheduler(lambda e, lr: lr / 2))
    assert rates(gan) == [0.001 / 16] * 2
    for name in ("learning_rate_g_optimizer", "learning_rate_d_optimizer"):
        assert logs[name] == pytest.approx([0.001 / 2, 0.001 / 4, 0.001 / 8, 0.001 / 16])


@pytest.mark.parametrize(
    ("optimizer", "wanted", "name"),
    [
        ("g_optimizer", [0.5, 0.001], "learning_rate_g_optimizer"),
        ("d_optimizer", [0.001, 0.5], "learning_rate_d_optimizer"),
    ],
)
def test_for_optimizer_does_not_change_the_other_optimizer(
    make_gan, tiny_images, optimizer, wanted, name
):
    gan = make_gan("adam", "rmsprop")
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5)
    logs = fit(gan, tiny_images, ForOptimizer(optimizer, scheduler), epochs=2)
    assert rates(gan) == wanted
    assert logs[name] == [0.5, 0.5]
    assert [n for n in logs if n.startswith("learning_rate")] == [name]


def test_for_optimizer_accepts_a_callback_that_stops_training(make_gan, tiny_images):
    stop = keras.callbacks.EarlyStopping(monitor="distance", mode="min", patience=1)
    logs = fit(make_gan(), tiny_images, Distance(), ForOptimizer("g_optimizer", stop))
    assert len(logs["distance"]) == 3
    with pytest.raises(ValueError, match=r"\['d_optimizer', 'g_optimizer'\].* optimizer='d'"):
        ForOptimizer("d", stop)


def test_learning_rate_schedule_counts_the_steps_of_its_optimizer(make_gan, tiny_images):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5)
    gan = make_gan("sgd", keras.optimizers.SGD(schedule), d_steps=2)
    fit(gan, tiny_images, epochs=2)
    assert rates(gan) == [0.01, round(0.1 * 0.5**4, 8)]


def steps(folder, tag):
    accumulator = EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return {event.step: event.tensor_proto for event in accumulator.Tensors(tag)}


def test_tensorboard_shows_both_rates_and_the_networks_histograms(make_gan, tiny_images, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, profile_batch=(2, 3))
    fit(make_gan("adam", "sgd"), tiny_images, board, epochs=2)
    for name, rate in (("g", 0.001), ("d", 0.01)):
        values = steps(tmp_path / "train", f"epoch_learning_rate_{name}_optimizer")
        assert list(values) == [0, 1]
        assert float(tf.make_ndarray(values[0])) == pytest.approx(rate)
    accumulator = EventAccumulator(str(tmp_path / "train"), {"tensors": 0})
    accumulator.Reload()
    histograms = [tag for tag in accumulator.Tags()["tensors"] if "histogram" in tag]
    assert any("generator" in tag for tag in histograms)
    assert any("discriminator" in tag for tag in histograms)
    assert list((tmp_path / "train/plugins/profile").rglob("*.xplane.pb"))


def test_tensorboard_batch_steps_continue_in_a_second_fit(make_gan, tiny_images, tmp_path):
    gan = make_gan()
    for part in ("first", "second"):
        fit(gan, tiny_images, TensorBoard(tmp_path / part, update_freq=1), epochs=1)
    firsts, seconds = (
        list(steps(tmp_path / part / "train", "batch_d_loss")) for part in ("first", "second")
    )
    assert len(firsts) == len(seconds) == 4
    assert min(seconds) > max(firsts)


def test_csv_logger_writes_what_fit_returns(trained):
    rows = list(csv.DictReader((trained.folder / "log.csv").read_text().splitlines()))
    assert len(rows) == 4
    for name, values in trained.logs.items():
        assert [float(row[name]) for row in rows] == pytest.approx(values, rel=1e-6)


def test_lambda_callback_is_called_with_the_logs(trained):
    assert [logs["d_loss"] for logs in trained.seen] == trained.logs["d_loss"]


def test_history_has_the_logs_of_each_epoch(trained):
    assert trained.gan.history.history == trained.logs
    assert {len(values) for values in trained.logs.values()} == {4}


def test_terminate_on_nan_ignores_the_losses_of_a_gan(make_gan, tiny_images):
    gan = make_gan()
    gan.generator.weights[0].assign(np.full(gan.generator.weights[0].shape, np.nan))
    logs = fit(gan, tiny_images, keras.callbacks.TerminateOnNaN(), epochs=2)
    assert np.isnan(logs["d_loss"]).all()
    assert len(logs["d_loss"]) == 2


def test_swap_ema_weights_evaluates_the_average_and_resumes_with_the_weights(make_gan, tiny_images):
    class Record(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.validated, self.trained = [], []

        def on_test_batch_end(self, batch, logs=None):
            self.validated.append(networks(self.model))

        def on_train_batch_end(self, batch, logs=None):
            self.trained.append(networks(self.model))

    def optimizer():
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)

    def train(*callbacks):
        keras.utils.set_random_seed(0)
        gan, record = make_gan(optimizer(), optimizer()), Record()
        validation = (tiny_images[:8],)
        fit(gan, tiny_images, *callbacks, record, validation_data=validation, epochs=2)
        return gan, record

    gan, record = train(keras.callbacks.SwapEMAWeights())
    plain, plain_record = train()
    averages = [
        v.numpy()
        for o in (gan.g_optimizer, gan.d_optimizer)
        for v in o._model_variables_moving_average
    ]
    # Keras swaps by adding and subtracting, which rounds.
    for found, wanted in (
        (record.validated[-1], averages),
        (record.trained[-1], plain_record.trained[-1]),
        (networks(gan), networks(plain)),
    ):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert np.abs(record.validated[-1][0] - record.trained[-1][0]).max() > 1e-4


def test_swap_ema_weights_raises_for_optimizers_without_an_average(make_gan, tiny_images):
    with pytest.raises(ValueError, match="use_ema=True"):
        fit(
            make_gan(),
            tiny_images,
            keras.callbacks.SwapEMAWeights(),
            validation_data=(tiny_images,),
        )


def test_progbar_logger_shows_all_batches_and_final_values_after_each_epoch(
    make_gan, tiny_images, capsys
):
    logs = fit(make_gan(steps_per_execution=3), tiny_images, epochs=1, verbose=1)
    last = capsys.readouterr().out.split("\r")[-1].splitlines()[-1]
    assert "4/4" in last
    assert f"d_loss: {logs['d_loss'][0]:.4f}" in last


def test_fit_accepts_a_callback_list(make_gan, tiny_images):
    gan, distance = make_gan(), Distance()
    callbacks = keras.callbacks.CallbackList([distance], add_history=True, model=gan, epochs=2)
    dataset = data.make_dataset(tiny_images, batch_size=8)
    gan.fit(dataset, epochs=2, callbacks=callbacks, verbose=0)
    assert len(distance.weights) == 2
    assert int(dataset.epoch) == 2


class FromOutside(keras.callbacks.Callback):
    """Reads the attributes of an optimizer that callbacks of other tools read."""

    def on_train_begin(self, logs=None):
        self.config = self.model.optimizer.get_config()
        self.rate = float(self.model.optimizer.learning_rate)
        lines = []
        self.model.summary(print_fn=lines.append)
        self.summary = "\n".join(lines)


def test_gan_optimizer_returns_config_rate_and_summary_of_both(make_gan, tiny_images):
    gan = make_gan(keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-2))
    seen, other = FromOutside(), FromOutside()
    fit(gan, tiny_images, seen, ForOptimizer("d_optimizer", other), epochs=1)
    assert (seen.rate, other.rate) == (pytest.approx(1e-3), pytest.approx(1e-2))
    assert seen.config["g_optimizer_beta_1"] == 0.9
    assert seen.config["d_optimizer_learning_rate"] == pytest.approx(1e-2)
    assert "g_optimizer_learning_rate" not in other.config
    count = sum(v.shape.num_elements() if v.shape.rank else 1 for v in gan.optimizer.variables)
    shown = re.search(r"Optimizer params: .*?([\d,]+)", seen.summary)[1]
    assert int(shown.replace(",", "")) == count > gan.generator.count_params()


def test_gan_optimizer_sets_the_learning_rate_of_both(make_gan):
    gan = make_gan(keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-2))

    def rates():
        return [float(o.learning_rate) for o in (gan.g_optimizer, gan.d_optimizer)]

    gan.optimizer.learning_rate = 0.5
    assert rates() == [0.5, 0.5]
    gan.optimizer.learning_rate.assign(0.25)
    assert rates() == [0.25, 0.25]
    gan.optimizer.learning_rate = gan.optimizer.learning_rate * 0.5
    assert rates() == [0.125, 0.125] and float(gan.optimizer.learning_rate) == 0.125
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    gan.compile("adam", keras.optimizers.SGD(schedule))
    with pytest.raises(TypeError, match="d_optimizer.*with a schedule"):
        gan.optimizer.learning_rate = 0.5
    assert float(gan.g_optimizer.learning_rate) == pytest.approx(1e-3)
