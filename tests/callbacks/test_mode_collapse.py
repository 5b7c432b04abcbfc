"""Tests ModeCollapseMonitor: its reports, actions and resumption."""

import json
import sys
import warnings

import keras
import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from fashion_gan import GAN, data, evaluation, models, monitor
from fashion_gan.callbacks import (
    BackupAndRestore,
    JSONLogger,
    ModeCollapseMonitor,
    mode_collapse,
)

NAMES = ("trouser", "sneaker", "bag", "Ankle boot")
EVEN = (0.25, 0.25, 0.25, 0.25)
LOST = (0.34, 0.0, 0.33, 0.33)
LOST_TWO = (0.5, 0.0, 0.0, 0.5)
BALANCED = {"d_accuracy_real": 0.8, "d_accuracy_fake": 0.8, "d_logit_real": 1, "d_logit_fake": -1}


def draw(shares, count, seed=0):
    """Returns noisy 4 x 4 images in [0, 1]; brightness and bright quarter depend on the class."""
    labels = np.repeat(np.arange(4), np.round(np.array(shares) * count).astype(int))
    noise = np.random.default_rng(seed).uniform(0, 0.05, (len(labels), 4, 4, 1))
    quarters = np.eye(4).reshape(4, 2, 2, 1).repeat(2, axis=1).repeat(2, axis=2)
    classes = 0.25 * np.arange(4).reshape(4, 1, 1, 1) + 0.15 * quarters
    return (classes[labels] + noise).astype("float32")


def classifier(images):
    pixels = images.reshape(len(images), -1)
    return pixels, (pixels.mean(axis=1) // 64).astype(int)


def labeled(**arguments):
    arguments = {"warmup_steps": 0, "num_samples": 200} | arguments
    return ModeCollapseMonitor(draw(EVEN, 400, seed=9), classifier, NAMES, **arguments)


@pytest.fixture
def make_gan():
    """Returns a function that builds a GAN without a graph, since tracing takes long."""

    def make():
        pair = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1))
        gan = GAN(*pair, seed=0)
        gan.compile(run_eagerly=True)
        return gan

    return make


def script(gan, epochs):
    """Sets the class fractions of the GAN's samples after each epoch."""

    def sample(count, seed):
        shares = epochs[min(int(gan.steps) - 1, len(epochs) - 1)]
        return draw(shares, count, seed)

    gan.sample = sample
    return gan


def train(gan, monitor, epochs, callbacks=(), **arguments):
    """Trains one step per epoch, and returns the epochs and texts of the monitor's warnings."""
    images = np.random.default_rng(1).random((4, 4, 4, 1), dtype="float32")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = gan.fit(
            images,
            batch_size=4,
            epochs=epochs,
            callbacks=[monitor, *callbacks],
            verbose=0,
            **arguments,
        )
    texts = [str(w.message) for w in caught if w.category is UserWarning]
    return history.history, texts


def epochs_of(texts):
    return [int(text.split()[1]) for text in texts if text.startswith("After")]


def drive(monitor, gan, logs):
    """Runs the monitor on given logs, and returns the kinds and epochs of its warnings."""
    monitor.set_model(gan)
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch, numbers in enumerate(logs):
            monitor.on_epoch_end(epoch, dict(numbers))
    return [(epoch, issue.kind) for epoch, issue in monitor.warned]


def test_monitor_repeats_the_warning_when_another_class_is_missing(make_gan):
    plan = [EVEN, LOST, LOST, LOST, LOST_TWO, LOST_TWO, LOST_TWO, EVEN, EVEN, LOST, LOST]
    gan, monitor = script(make_gan(), plan), labeled()
    history, texts = train(gan, monitor, len(plan))
    missing = [text for text in texts if "missing" in text]
    assert epochs_of(missing) == [3, 6, 11]
    assert "After 3 epochs: Mode collapse, missing or nearly so: sneaker (0.0 % of" in missing[0]
    assert "25.0 % of the real images). What helps: a relativistic loss" in missing[0]
    assert "bag" in missing[1]
    assert [f.classes for f in monitor.issues if f.kind == "missing"] == [("sneaker",)]
    assert history["missing_classes"] == [0, 1, 1, 1, 2, 2, 2, 0, 0, 1, 1]
    assert (3, ("sneaker",)) in [(e, f.classes) for e, f in monitor.warned]


def test_monitor_does_not_warn_for_a_healthy_run(make_gan, tmp_path):
    gan, monitor = script(make_gan(), [EVEN]), labeled()
    history, texts = train(gan, monitor, 3, [JSONLogger(tmp_path / "metrics.jsonl")])
    assert texts == []
    assert monitor.issues == ()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        np.testing.assert_allclose(line["diversity"], 1, atol=0.1)
        np.testing.assert_allclose(line["share_ankle_boot"], 0.25, rtol=1e-12)
        np.testing.assert_allclose(line["largest_class_share"], 0.25, rtol=1e-12)
        for name in (
            "num_issues",
            "missing_classes",
            "class_imbalance",
            "mode_rotation",
            "loss_growth",
        ):
            assert line[name] == 0
        assert line["loss_oscillation"] == 0


def test_monitor_keeps_existing_log_values(make_gan):
    monitor, logs = labeled(), {"missing_classes": 7.0, "share_bag": 0.5}
    monitor.set_model(script(make_gan(), [EVEN]))
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    monitor.on_epoch_end(0, logs)
    assert (logs["missing_classes"], logs["share_bag"]) == (7, 0.5)
    assert logs["share_trouser"] == 0.25


def test_monitor_evaluates_the_last_epoch_as_well(make_gan):
    history, texts = train(script(make_gan(), [LOST]), labeled(check_freq=3, patience=2), 5)
    assert len(history["diversity"]) == 2
    assert epochs_of(texts) == [5]


def test_monitor_does_not_warn_during_warmup(make_gan):
    history, texts = train(script(make_gan(), [LOST]), labeled(warmup_steps=4), 6)
    assert epochs_of(texts)[0] == 5  # patience begins with the fourth step
    assert history["num_issues"] == [0, 1, 1]  # of the epochs 4 to 6
    assert history["missing_classes"] == [1, 1, 1]
    assert len(history["largest_class_share"]) == 6


def test_monitor_reports_missing_clusters_in_the_second_half_of_the_epochs(make_gan, monkeypatch):
    monkeypatch.setattr(mode_collapse, "_WARMUP_STEPS", 2)
    monitor = ModeCollapseMonitor(draw(EVEN, 800, seed=9), num_samples=400)
    history, texts = train(script(make_gan(), [LOST]), monitor, 8)
    missing = [text for text in texts if "missing or nearly so: cluster " in text]
    assert epochs_of(missing)[0] == 6
    assert len(history["num_issues"]) == 7  # from the second step on
    assert len(history["missing_classes"]) == 4
    monitor = labeled(warmup_steps=None)
    _, texts = train(script(make_gan(), [LOST]), monitor, 8)
    assert epochs_of(texts)[0] == 3


def test_monitor_reports_clusters_without_labels(make_gan):
    monitor = ModeCollapseMonitor(draw(EVEN, 800, seed=9), num_samples=400, warmup_steps=0)
    history, texts = train(script(make_gan(), [EVEN, LOST]), monitor, 3)
    assert epochs_of(texts)[0] == 3
    assert "missing or nearly so: cluster " in texts[0]
    assert "% of the real images)" in texts[0]
    assert history["missing_classes"][0] == 0
    assert history["missing_classes"][1] > 0
    assert not any(name.startswith("share_") for name in history)


def test_monitor_clusters_features_without_labels(make_gan):
    monitor = ModeCollapseMonitor(
        draw(EVEN, 800, seed=9),
        lambda images: classifier(images)[0][:, :8],
        num_samples=400,
        warmup_steps=0,
    )
    _, texts = train(script(make_gan(), [EVEN, LOST]), monitor, 3)
    assert "cluster" in texts[0]


def test_monitor_assigns_color_samples_by_their_features():
    networks = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 3))
    gan = GAN(*networks, seed=0)
    gan.compile(run_eagerly=True)
    calls, rng = [], np.random.default_rng(2)

    def features(images):  # the classes differ in brightness
        calls.append(len(images))
        classes = (images.mean(axis=(1, 2, 3)) // 64).astype(int)
        return np.eye(4)[classes] + rng.normal(0, 0.1, (len(images), 4))

    real = np.repeat(draw(EVEN, 800, seed=9), 3, axis=3)
    monitor = ModeCollapseMonitor(real, features, num_samples=400, warmup_steps=0)
    script(gan, [EVEN, EVEN, LOST, LOST])
    gray, gan.sample = gan.sample, lambda count, seed: np.repeat(gray(count, seed), 3, axis=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan.fit(np.zeros((4, 4, 4, 3), "float32"), batch_size=4, epochs=4, callbacks=[monitor])
    assert [(epoch, issue.kind) for epoch, issue in monitor.warned] == [(4, "missing")]
    assert len(calls) == 5  # of the real images once, and of the samples of each epoch


@pytest.mark.parametrize(
    "ill, healthy, kind",
    [
        (
            {**BALANCED, "d_accuracy_real": 1.0, "d_accuracy_fake": 1.0, "d_logit_real": 20},
            {**BALANCED, "d_accuracy_real": 0.9, "d_accuracy_fake": 1.0, "d_logit_real": 20},
            "discriminator saturated",
        ),
        (
            {**BALANCED, "d_accuracy_real": 1.0, "d_accuracy_fake": 0.0, "d_logit_fake": 1},
            BALANCED,
            "discriminator at chance level",
        ),
    ],
)
def test_monitor_reads_the_accuracies_of_the_logs(make_gan, ill, healthy, kind):
    gan = script(make_gan(), [EVEN])
    assert drive(labeled(), gan, [healthy] * 4) == []
    assert drive(labeled(), gan, [healthy, ill, ill, ill]) == [(3, kind)]


def test_monitor_uses_the_gradient_norm_when_logged(make_gan):
    gan, won = script(make_gan(), [EVEN]), {"d_accuracy_real": 1.0, "d_accuracy_fake": 1.0}
    logs = [{**BALANCED, **won, "g_gradient_norm": norm} for norm in (5.0, 4.0, 0.01, 0.01)]
    assert drive(labeled(), gan, logs) == [(4, "discriminator saturated")]
    assert drive(labeled(), gan, logs[:2] * 3) == []


@pytest.mark.parametrize(
    "ill, healthy, kind",
    [
        ([1.0, 3.0] * 8, [1.9, 2.1] * 8, "oscillating"),
        (np.exp(np.arange(16) / 3), 1 + np.arange(16) / 20, "diverging"),
        ([1.0] * 4 + [float("nan")] * 4, [1.0] * 8, "diverging"),
    ],
)
def test_monitor_averages_losses_over_a_window(make_gan, ill, healthy, kind):
    gan = script(make_gan(), [EVEN])
    for losses, expected in ((healthy, False), (ill, True)):
        found = drive(labeled(), gan, [{"d_loss": 1.0, "g_loss": value} for value in losses])
        assert (kind in [k for _, k in found]) == expected
        assert all(epoch > 5 for epoch, _ in found)


def test_monitor_reports_divergence_for_non_finite_samples(make_gan):
    gan = make_gan()
    gan.sample = lambda count, seed: np.full((count, 4, 4, 1), np.nan, "float32")
    assert drive(labeled(), gan, [{}] * 3) == [(2, "diverging")]


def test_monitor_warns_for_rotating_classes(make_gan):
    turns = [(0.45, 0.25, 0.15, 0.15), (0.15, 0.15, 0.25, 0.45)]
    limits = monitor.Thresholds(dominant=1.0)
    _, texts = train(script(make_gan(), turns * 3), labeled(thresholds=limits), 6)
    assert epochs_of(texts) == [3]
    assert "The classes rotate: " in texts[0]


def test_monitor_stops_at_the_epoch_of_the_issue(make_gan):
    gan = script(make_gan(), [EVEN, EVEN, LOST])
    history, texts = train(gan, labeled(action="stop"), 10)
    assert len(history["d_loss"]) == 4
    assert epochs_of(texts) == [4]


def test_monitor_restores_the_last_healthy_state_with_other_latents(make_gan):
    gan, seeds, kernels = script(make_gan(), [EVEN, EVEN, LOST]), [], []

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seeds.append(int(gan._random_state[0]))
            kernels.append(gan.generator.weights[0].numpy())

    monitor = labeled(action="restore", max_restores=2)
    history, texts = train(gan, monitor, 20, [Record()])
    # Healthy after 2 epochs, ill after 3 and 4: back. Ill again after 5 and 6, and so on.
    assert epochs_of(texts) == [4, 6, 8]
    assert "Restored the state after step 2; continuing with other latents (try 1 of 2)" in texts[1]
    assert "(try 2 of 2)" in texts[3]
    assert texts[5] == "Training stops: after 2 restores."
    assert len(history["d_loss"]) == 8
    np.testing.assert_array_equal(kernels[3], kernels[1])
    np.testing.assert_array_equal(kernels[5], kernels[1])
    assert (kernels[2] != kernels[1]).any()
    assert len({seeds[1], seeds[3], seeds[5]}) == 3


def test_monitor_stops_when_no_restores_are_left(make_gan):
    gan = script(make_gan(), [EVEN, LOST])
    _, texts = train(gan, labeled(action="restore", max_restores=0), 9)
    assert texts[1] == "Training stops: after 0 restores."


def test_monitor_stops_when_no_state_was_healthy(make_gan):
    history, texts = train(script(make_gan(), [LOST]), labeled(action="restore"), 9)
    assert texts[1] == "Training stops: no state was without issue."
    assert len(history["d_loss"]) == 2


class Crash(keras.callbacks.Callback):
    """Raises at the end of an epoch, before anything later in the list has seen it."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise RuntimeError("crash")


def crash(gan, monitor, after, backup):
    """Trains until the monitor, but not the backup, has finished an epoch."""
    with pytest.raises(RuntimeError, match="crash"):
        train(gan, monitor, 12, [Crash(after), backup])


@pytest.mark.parametrize("crashed", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_monitor_warns_in_the_same_epochs_when_a_run_resumes(make_gan, tmp_path, crashed):
    plan = [EVEN, EVEN, LOST, LOST, LOST, LOST_TWO, LOST_TWO, EVEN]
    state = tmp_path / "monitor.json"
    expected, _ = train(script(make_gan(), plan), whole := labeled(), 8)
    before = labeled(state_path=state)
    crash(script(make_gan(), plan), before, crashed, BackupAndRestore(tmp_path / "backup"))
    after = labeled(state_path=state)
    got, _ = train(script(make_gan(), plan), after, 8, [BackupAndRestore(tmp_path / "backup")])
    news = [(e, f) for e, f in before.warned if e <= crashed] + after.warned
    assert news == whole.warned
    assert [e for e, f in news if f.kind == "missing"] == [4, 7]
    for name in ("mode_rotation", "num_issues"):
        np.testing.assert_array_equal(got[name], expected[name][crashed:])


def test_monitor_draws_the_clusters_that_its_warnings_name(make_gan, tmp_path):
    counts = []

    def features(images):
        counts.append(len(images))
        return images.reshape(len(images), -1)

    watcher = ModeCollapseMonitor(
        draw(EVEN, 800, seed=9),
        features,
        warmup_steps=0,
        num_samples=400,
        state_path=tmp_path / "monitor.json",
    )
    _, texts = train(script(make_gan(), [LOST]), watcher, 3)
    (missing,) = [text for text in texts if "missing" in text]
    assert missing.endswith(f"{tmp_path / 'clusters.png'} shows the clusters.")
    assert counts == [800], "samples need no features"
    picture = 255 - np.asarray(Image.open(tmp_path / "clusters.png"))  # gray is dark on white
    (_, issue) = next((e, i) for e, i in watcher.warned if i.kind == "missing")
    rows = [int(name.removeprefix("cluster ")) for name in issue.classes]
    lost = [picture[29 * row : 29 * row + 28, :28].mean() for row in rows]
    assert rows and all(0.25 * 255 <= brightness <= 0.35 * 255 for brightness in lost)


def test_monitor_keeps_the_healthy_state_only_when_a_run_resumes(make_gan, tmp_path):
    plan, state = [EVEN, EVEN, LOST], tmp_path / "monitor.json"

    def monitor():
        return labeled(action="restore", max_restores=1, state_path=state)

    crash(script(make_gan(), plan), monitor(), 2, BackupAndRestore(tmp_path / "backup"))
    assert (tmp_path / "monitor.npz").exists()
    _, texts = train(
        script(make_gan(), plan), monitor(), 5, [BackupAndRestore(tmp_path / "backup")]
    )
    assert "Restored the state after step 2" in texts[1]
    _, texts = train(script(make_gan(), [LOST]), monitor(), 5)
    assert texts[1] == "Training stops: no state was without issue."
    assert not (tmp_path / "monitor.npz").exists()


def test_monitor_does_not_change_training(make_gan):
    states = []
    for callbacks in ([], [ModeCollapseMonitor(draw(EVEN, 400), num_samples=50)]):
        keras.utils.set_random_seed(3)
        gan = make_gan()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gan.fit(draw(EVEN, 32), batch_size=8, epochs=2, callbacks=callbacks, verbose=0)
        states.append([v.numpy() for v in gan.variables])
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"action": "stopp"}, "Did you mean 'stop'"),
        ({"check_freq": 0}, "Received: check_freq=0"),
        ({"window": 3}, "at least 4. Received: window=3"),
        ({"max_restores": -1}, "Received: max_restores=-1"),
    ],
)
def test_monitor_raises_for_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        labeled(**arguments)


@pytest.mark.parametrize(
    "images, arguments, message",
    [
        (
            draw(EVEN, 400),
            (classifier,),
            "class_names=None, and features that give labels",
        ),
        (draw(EVEN, 400), (None, NAMES), "features that give no labels"),
        (
            5 * draw(EVEN, 400),
            (),
            "floats from 0 to 1, as the generator makes. Received: float32",
        ),
        (draw(EVEN, 40), (), "at least 100 real images"),
    ],
)
def test_monitor_raises_for_an_incompatible_model_on_train_begin(
    make_gan, images, arguments, message
):
    monitor = ModeCollapseMonitor(images, *arguments)
    monitor.set_model(make_gan())
    with pytest.raises(ValueError, match=message):
        monitor.on_train_begin()


def test_monitor_raises_for_a_model_without_sample():
    monitor = ModeCollapseMonitor(draw(EVEN, 400))
    monitor.set_model(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(TypeError, match="Received: model=Sequential"):
        monitor.on_train_begin()


@pytest.mark.slow
def test_monitor_finds_missing_classes_of_fashion_mnist(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks/mode_collapse")])
    from cases import Maker

    fashion, judge = data.load_fashion_mnist(), evaluation.load_classifier()
    real = fashion.train_images[:5000]
    reference = monitor.ReferenceSet(real, *judge(real), data.CLASS_NAMES)
    unlabeled = monitor.ReferenceSet(real, evaluation.load_imagenet_features()(real))
    maker = Maker(fashion.test_images, fashion.test_labels, seed=6)
    cases = {
        "real": maker.draw(),
        "trousers halved": maker.draw({1: 0.05}),
        "blurred": maker.spoil(maker.draw(), blur=1),
        "no sneakers": maker.draw({7: 0.0}),
        "no bags, blurred": maker.spoil(maker.draw({8: 0.0}), blur=1),
        "half dresses": maker.draw({3: 0.5}),
        "20 images": maker.duplicates(20, noise=0.02, shift=1),
    }
    found = {
        name: monitor.diagnose(reference.signals(images, *judge(images)))
        for name, images in cases.items()
    }
    assert [name for name, issues in found.items() if not issues] == list(cases)[:3]
    assert found["no sneakers"][0].classes == (data.CLASS_NAMES[7],)
    assert found["no bags, blurred"][0].classes == (data.CLASS_NAMES[8],)
    kinds = {issue.kind: issue.classes for issue in found["half dresses"]}
    assert kinds["dominant"] == (data.CLASS_NAMES[3],)
    assert "repetitive" in [issue.kind for issue in found["20 images"]]
    blind = {
        name: bool(monitor.diagnose(unlabeled.signals(images), monitor.UNLABELED))
        for name, images in cases.items()
    }
    assert list(blind.values()) == [False] * 3 + [True] * 4
