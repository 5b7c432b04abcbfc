"""Tests the best state of a run, also after interruptions."""

import json
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest

from fashion_gan import callbacks, evaluation
from fashion_gan.callbacks import BestCheckpoint
from fashion_gan.cli.main import main
from fashion_gan.runs import checkpoints
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.train import train_run
from fashion_gan.training.model_file import read_model_info, write_model_file

NAMES = ("epoch", "score")


class Scores(keras.callbacks.Callback):
    """Puts given scores into the logs; None leaves an epoch without."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        if self.scores[epoch] is not None:
            logs["score"] = self.scores[epoch]


class Stop(keras.callbacks.Callback):
    """Raises at the end of an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise RuntimeError("stopped here")


@pytest.fixture
def fit(make_gan, tiny_images, tmp_path):
    """Returns a function that trains a new GAN with scores, and returns the best file's score."""

    def fit(*scores, epochs=None, stop=None, **arguments):
        best = BestCheckpoint(tmp_path / "best.keras", "score", **arguments)
        chosen = [Scores(*scores), best, *([] if stop is None else [Stop(stop)])]
        gan = make_gan()
        gan.fit(
            tiny_images,
            batch_size=16,
            epochs=epochs or len(scores),
            verbose=0,
            callbacks=[*chosen, callbacks.BackupAndRestore(tmp_path / "backup")],
        )
        info = read_model_info(tmp_path / "best.keras")
        return gan, [info.get(name) for name in NAMES]

    return fit


def test_best_checkpoint_keeps_the_epoch_with_the_lowest_score(fit, tmp_path):
    gan, noted = fit(3.0, 1.0, None, 2.0, float("nan"))
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert noted == [2, 1.0]
    assert (best.steps, gan.steps) == (4, 10)


def test_best_checkpoint_keeps_the_highest_score_with_mode_max(fit):
    assert fit(1.0, 3.0, 2.0, mode="max")[1] == [2, 3.0]


@pytest.mark.parametrize("mode", ["auto", None, 1])
def test_best_checkpoint_raises_for_an_unknown_mode(mode):
    with pytest.raises(ValueError, match="'min' or 'max'. Received: mode="):
        BestCheckpoint("best.keras", mode=mode)


def test_best_checkpoint_compares_with_the_file_when_resumed(fit):
    assert fit(3.0, 1.0)[1] == [2, 1.0]
    assert fit(3.0, 1.0, 2.0)[1] == [2, 1.0]
    assert fit(3.0, 1.0, 2.0, 0.5)[1] == [4, 0.5]


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_best_checkpoint_keeps_the_better_state_when_epochs_are_repeated(
    fit, stop, tmp_path, monkeypatch
):
    written = []

    def note(path, gan, info):
        written.append(info["score"])
        write_model_file(path, gan, info)

    monkeypatch.setattr("fashion_gan.callbacks.best_checkpoint.write_model_file", note)
    scores = (3.0, 1.0, 0.5, 2.0)
    with pytest.raises(RuntimeError, match="stopped here"):
        fit(*scores, stop=stop)
    assert fit(*scores)[1] == [3, 0.5]
    assert written == [3.0, 1.0, 0.5]
    assert keras.saving.load_model(tmp_path / "best.keras").steps == 6


@pytest.mark.parametrize("damage", ["torn", "note", "gone"])
def test_best_checkpoint_replaces_a_file_without_a_score(fit, damage, tmp_path):
    fit(3.0, 1.0)
    path = tmp_path / "best.keras"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "note":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b'{"monitor": "score", "mode": "min", "reference": "", "score": "x"}'
    else:
        path.unlink()
    assert fit(3.0, 1.0, 2.0)[1] == [3, 2.0]


def test_best_checkpoint_does_not_compare_scores_of_other_images(fit):
    fit(3.0, 1.0, reference="before")
    assert fit(3.0, 1.0, 2.0, reference="now")[1] == [3, 2.0]


def test_best_checkpoint_is_complete_when_the_disk_is_full(fit, tmp_path, monkeypatch):
    fit(3.0)
    before = (tmp_path / "best.keras").read_bytes()
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100))
        with pytest.raises(OSError, match="No space left"):
            fit(3.0, 1.0)
    assert (tmp_path / "best.keras").read_bytes() == before
    assert fit(3.0, 1.0)[1] == [2, 1.0]


def test_best_checkpoint_is_written_only_by_the_chief(fit, tmp_path, monkeypatch):
    monkeypatch.setattr("fashion_gan.callbacks.best_checkpoint.is_chief", lambda strategy: False)
    fit(3.0)
    assert not (tmp_path / "best.keras").exists()


def test_default_orders_best_checkpoint_before_the_monitor(tmp_path):
    best = BestCheckpoint(tmp_path / "best.keras")
    images = np.zeros((300, 4, 4, 1), np.uint8)
    chosen = callbacks.default(tmp_path, images, evaluator=object(), best_checkpoint=best)
    names = [type(callback).__name__ for callback in chosen]
    assert names.index("EvaluateGAN") + 1 == names.index("BestCheckpoint")
    assert names.index("BestCheckpoint") + 1 == names.index("ModeCollapseMonitor")
    assert best not in callbacks.default(tmp_path, images, best_checkpoint=best)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """Returns a run on images of your own, of three epochs with quick evaluations."""
    folder = tmp_path_factory.mktemp("best")
    images = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 1), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    config = Config(
        data=str(folder / "images.npy"),
        batch_size=20,
        epochs=3,
        eval_freq=1,
        latent_dim=4,
        on_collapse="off",
        jit_compile=False,
        steps_per_execution=7,
    )
    train_run(config, folder / "run", verbose=0)
    return folder / "run"


def test_load_returns_the_best_state_of_a_run(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    scores = [line["kernel_distance"] for line in lines]
    info = read_model_info(RunDirectory(run_dir).best_path)
    assert (info["epoch"], info["score"]) == (1 + int(np.argmin(scores)), min(scores))
    assert info["reference"] == json.loads((run_dir / "data.json").read_text())["sha256"]
    best = checkpoints.load(run_dir, which="best")
    assert best.steps == lines[info["epoch"] - 1]["steps"]


def test_commands_load_the_best_state(run_dir, tmp_path, capsys):
    best = RunDirectory(run_dir).best_path
    for source, flags, name in (
        (run_dir, ["--which", "best"], "a.npy"),
        (best, [], "b.npy"),
        (run_dir, ["--which", "last"], "c.npy"),
        (RunDirectory(run_dir).model_path, [], "d.npy"),
    ):
        assert main(["sample", str(source), *flags, "--out", str(tmp_path / name)]) == 0
    a, b, c, d = (np.load(tmp_path / f"{name}.npy") for name in "abcd")
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(c, d)
    flags = ["--which", "best", "--num-images", "100", "--json"]
    capsys.readouterr()
    assert main(["evaluate", str(run_dir), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["scores"][str(run_dir)]


@pytest.mark.slow
def test_evaluate_ranks_a_run_on_own_images_among_baselines(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--baselines"]) == 0
    out = capsys.readouterr().out
    for label in ("training images", "blends of two", "blurred", "noise alone", "untrained"):
        assert label in out
    assert "the book's GAN" not in out
    assert re.search(r"kernel_distance of .*: .*, (worse than|better than) ", out)


def test_evaluate_raises_for_a_split_of_own_images(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--split", "validation"]) == 2
    assert "split='validation'. Omit --split" in capsys.readouterr().err


def test_runs_command_shows_the_score_of_own_images(run_dir, capsys):
    assert main(["runs", str(run_dir.parent), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    expected = f"kernel {run['scores']['kernel_distance']:.3g}"
    assert main(["runs", str(run_dir.parent)]) == 0
    assert expected in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_train_run_monitors_pixels_without_imagenet_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation.evaluator, "has_imagenet_weights", lambda: False)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (90, 8, 8, 1), "u1"))
    settings = {"epochs": 1, "eval_freq": 1, "latent_dim": 4, "jit_compile": False}
    config = Config(data=str(tmp_path / "images.npy"), **settings)
    train_run(config, tmp_path / "run", verbose=0)
    info = read_model_info(RunDirectory(tmp_path / "run").best_path)
    assert info["monitor"] == "pixel_frechet_distance"


def test_which_best_raises_for_a_run_without_evaluations(run_dir, tmp_path, capsys):
    model = RunDirectory(run_dir).model_path
    np.save(tmp_path / "images.npy", np.zeros((3, 28, 28, 1), np.uint8))
    for command, message in (
        (["sample", "dense"], "dense, a pretrained generator. Omit which='best'"),
        (["sample", str(model)], "model.keras. Omit which='best'"),
        (["evaluate", str(tmp_path / "images.npy")], "which holds images. Omit which='best'"),
    ):
        assert main([*command, "--which", "best"]) == 2
        assert message in capsys.readouterr().err
    RunDirectory(tmp_path / "run").begin(Config(), {}, None)
    with pytest.raises(FileNotFoundError, match="best.keras. A quick evaluation writes it"):
        checkpoints.load(tmp_path / "run", which="best")
    with pytest.raises(ValueError, match="Received: which='first'"):
        checkpoints.load(tmp_path / "run", which="first")
