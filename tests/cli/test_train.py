"""Tests the train command: files, resuming and errors, on few images with large batches."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers import SMALL_RUN, SMALL_RUN_FLAGS

from fashion_gan import GAN
from fashion_gan.cli.main import main
from fashion_gan.runs import checkpoints
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.train import train_run

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trains two epochs with the command, and returns the folder of the run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", "--run-dir", str(folder), "--epochs", "2", *SMALL_RUN_FLAGS]) == 0
    return folder


def test_train_writes_config_versions_images_metrics_and_scores(folder):
    names = {path.name for path in folder.iterdir()}
    assert names >= {"train", "validation", "images", "samples", "backup", "model.keras"}
    assert RunDirectory(folder).read_config() == Config(epochs=2, **SMALL_RUN)
    assert json.loads((folder / "versions.json").read_text())["tensorflow"] == tf.__version__
    pictures = sorted(path.name for path in (folder / "samples").iterdir())
    assert pictures == ["epoch_0000.png", "epoch_0001.png", "epoch_0002.png", "real.png"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["steps"]) for line in lines] == [(1, 11), (2, 22)]
    assert {"d_loss", "g_loss", "val_d_accuracy_real"} <= set(lines[0])
    assert {"frechet_distance", "coverage", "missing_classes", "share_bag"} <= set(lines[0])
    record = json.loads((folder / "scores.json").read_text())
    assert record["protocol"]["count"] == 400
    assert record["real"] == "Fashion-MNIST, test"
    assert record["scores"]["samples"]["frechet_distance"] > 0
    assert (folder / "projector/projector_config.pbtxt").exists()


@pytest.mark.slow
def test_train_run_scores_the_averaged_and_the_raw_generator(tmp_path):
    config = Config(epochs=1, ema_decay=0.9, loss="relativistic", r1=0.1, **SMALL_RUN)
    gan = train_run(config, tmp_path / "run", verbose=0)
    scores = json.loads((tmp_path / "run/scores.json").read_text())["scores"]
    assert set(scores) == {"samples", "no_ema"}
    assert scores["samples"] != scores["no_ema"]
    assert checkpoints.load(tmp_path / "run").ema_decay == gan.ema_decay == 0.9
    assert [type(penalty).__name__ for penalty in gan.penalties] == ["R1"]


def test_load_returns_the_trained_gan_ready_to_resume(folder):
    gan = checkpoints.load(folder)
    assert (gan.steps, gan.latent_dim, gan.value_range) == (22, 30, (0, 1))
    assert gan.g_optimizer.iterations == 22
    again = train_run(Config(epochs=2, **SMALL_RUN), folder, resume=True, verbose=0)
    for a, b in zip(gan.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_train_resumed_with_more_epochs_equals_an_uninterrupted_run(folder, tmp_path):
    config = Config(epochs=3, **SMALL_RUN)
    longer = train_run(config, tmp_path / "at once", verbose=0)
    train_run(Config(epochs=1, **SMALL_RUN), tmp_path / "in parts", verbose=0)
    assert (
        main(["train", "--resume", "--run-dir", str(tmp_path / "in parts"), "--epochs", "3"]) == 0
    )
    for a, b in zip(
        checkpoints.load(tmp_path / "in parts").variables, longer.variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    metrics = [(tmp_path / part / "metrics.jsonl").read_text() for part in ("at once", "in parts")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "1", "--loss", "x"], "loss was 'binary_crossentropy', now 'x'; seed was 42"),
        (["--epochs", "1"], "epochs was 2, now 1, but 2 are done"),
        (["--preset", "dense_modern"], "r1 was 0.0, now 0.5; r2 was 0.0, now 0.5; ema_decay"),
        (["--preset", "dense"], "batch_size was 100, now 32; jit_compile was False, now"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_train_lists_the_changed_settings_when_resumed(folder, capsys, flags, message, dry):
    before = (folder / "config.json").read_text()
    assert main(["train", "--resume", "--run-dir", str(folder), *flags, *dry]) == 2
    assert message in capsys.readouterr().err
    assert (folder / "config.json").read_text() == before


def test_train_resumes_when_the_preset_is_passed_again(folder, capsys):
    again = [
        "train",
        "--resume",
        "--run-dir",
        str(folder),
        "--preset",
        "dense",
        *SMALL_RUN_FLAGS,
        "--dry-run",
    ]
    assert main([*again, "--epochs", "3"]) == 0
    assert "3 epochs of 11 steps" in capsys.readouterr().out


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_train_raises_and_writes_nothing_when_the_folder_is_locked(folder, capsys, dry):
    before = {path: path.stat().st_mtime for path in folder.rglob("*")}
    assert main(["train", "--run-dir", str(folder), *dry]) == 2
    assert "is not empty. Resume the run in it with --resume" in capsys.readouterr().err
    with RunDirectory(folder).lock():
        assert main(["train", "--resume", "--run-dir", str(folder), *dry]) == 2
        assert "A training is under way in" in capsys.readouterr().err
    after = {path: path.stat().st_mtime for path in folder.rglob("*") if path.name != ".lock"}
    assert {path: time for path, time in before.items() if path.name != ".lock"} == after


@pytest.mark.parametrize("flags", [[], ["--resume"], ["--dry-run"], ["--resume", "--dry-run"]])
def test_train_raises_for_a_folder_without_a_run(tmp_path, capsys, flags):
    (tmp_path / "photo.png").touch()
    assert main(["train", "--run-dir", str(tmp_path), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not empty, and holds no run to resume" in line and "--resume" not in line
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_train_creates_no_folder_when_an_argument_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--loss", "hing"]) == 2
    assert "Did you mean 'hinge'?" in capsys.readouterr().err
    assert list(tmp_path.rglob("dense*")) == []


def test_load_raises_with_the_resume_command_for_an_unfinished_run(tmp_path):
    (tmp_path / "backup").mkdir()
    with pytest.raises(FileNotFoundError, match="not finished: `fashion-gan train --resume`"):
        checkpoints.load(tmp_path)


@pytest.mark.filterwarnings("default:Not finite")
def test_train_raises_and_logs_nothing_when_the_only_epoch_diverges(tmp_path, capsys):
    folder = tmp_path / "run"
    flags = [*SMALL_RUN_FLAGS, "--epochs", "1", "--g-learning-rate", "1e30", "--eval-freq", "0"]
    assert main(["train", "--run-dir", str(folder), *flags]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("fashion-gan: error: Not finite: ")
    assert "no step is left of epoch 1" in said
    assert not (folder / "metrics.jsonl").read_text()
    assert not (folder / "model.keras").exists()
    assert [path.name for path in (folder / "samples").iterdir() if "0001" in path.name] == []


@pytest.mark.parametrize(("steps", "words"), [(1, "1 step."), (2000, "2,000 steps.")])
def test_train_message_uses_the_singular_for_one_step(steps, words, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "fashion_gan.runs.train.train_run", lambda *_, **__: SimpleNamespace(steps=steps)
    )
    assert main(["train", "--run-dir", str(tmp_path)]) == 0
    assert f"Trained for {words} The run is in" in capsys.readouterr().out


def test_train_raises_with_the_batch_size_when_a_device_runs_out_of_memory(
    tmp_path, monkeypatch, capsys
):
    def fit(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(GAN, "fit", fit)
    assert main(["train", "--batch-size", "96", "--run-dir", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "fashion-gan: error: The device has no memory for a step of batch_size=96 with the model "
        "dense. Start a new run with --batch-size 48, or with --accumulate 2, which trains on the "
        "same batch in parts, or with --dtype-policy mixed_bfloat16.\n"
    )
