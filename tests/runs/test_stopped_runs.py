"""Runs that were stopped: sampled from, finished early, and resumed with images elsewhere."""

import json
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from fashion_gan.cli.main import main
from fashion_gan.images import write_png
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan, load_split
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.train import train_run

pytestmark = pytest.mark.filterwarnings("ignore:.*passes over:UserWarning")

IMAGES = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 1), dtype=np.uint8)
SETTINGS = {
    "batch_size": 20,
    "latent_dim": 4,
    "steps_per_execution": 1,
    "eval_freq": 4,
    "on_collapse": "off",
    "jit_compile": False,
}
STEPS = 7  # of an epoch: 140 of 240 images train


def stop_after(epochs):
    """Raises at the end of an epoch, whose last batch has then no backup."""

    def watch(epoch, logs):
        if epoch == epochs:
            raise KeyboardInterrupt
        return False

    return watch


def train(run_dir, images, epochs, stop=None, **arguments):
    config = Config(data=str(images), epochs=epochs, **SETTINGS)
    watch = None if stop is None else stop_after(stop)
    arguments = {"backup_interval": -1.0, "verbose": 0, "final": False, **arguments}
    return train_run(config, run_dir, watch=watch, resume=True, **arguments)


def samples(gan):
    return gan.sample(3, seed=1)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Returns a folder with images and a run that was stopped after 20 of 35 steps."""
    folder = tmp_path_factory.mktemp("stopped")
    np.save(folder / "images.npy", IMAGES)
    with pytest.raises(KeyboardInterrupt):
        train(folder / "run", folder / "images.npy", 5, stop=3)
    return folder


@pytest.fixture
def run_dir(stopped, tmp_path):
    """Returns a copy of the stopped run, to be changed."""
    return shutil.copytree(stopped / "run", tmp_path / "run")


def test_load_uses_the_newest_backup_when_the_run_is_not_finished(stopped):
    lines = []
    gan = checkpoints.load(stopped / "run", announce=lines.append)
    run = stopped / "run"
    assert lines == [f"{run} is not finished: using its backup after 20 of 35 steps."]
    config = RunDirectory(run).read_config()
    expected = build_gan(config, load_split(config))
    expected.load_weights(max((run / "backup").iterdir()) / "state.weights.h5")
    assert gan.steps == expected.steps == 20
    np.testing.assert_array_equal(samples(gan), samples(expected))
    assert not np.array_equal(samples(gan), samples(build_gan(config, load_split(config))))


def test_load_raises_when_the_run_is_locked(stopped):
    lines = []
    with RunDirectory(stopped / "run").lock():
        checkpoints.load(stopped / "run", announce=lines.append)
    assert "is being trained: using its backup after 20 of 35 steps." in lines[0]


def test_load_uses_the_older_backup_when_the_newest_is_damaged(run_dir):
    state = max((run_dir / "backup").iterdir()) / "state.weights.h5"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="is broken"):
        assert checkpoints.load(run_dir).steps == 19


def test_load_reads_no_images_of_an_unfinished_run(run_dir, monkeypatch):
    settings = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps({**settings, "data": "/nowhere"}))
    assert checkpoints.load(run_dir).image_shape == (8, 8, 1)


def test_load_reads_the_images_when_an_older_run_recorded_no_shape(run_dir):
    content = json.loads((run_dir / "data.json").read_text())
    assert content["image_shape"] == [8, 8, 1] and content["train_images"] == 140
    older = {name: content[name] for name in ("images", "sha256")}
    (run_dir / "data.json").write_text(json.dumps(older))
    assert checkpoints.load(run_dir).steps == 20
    np.save(run_dir / "other.npy", IMAGES[::-1])
    settings = json.loads((run_dir / "config.json").read_text())
    settings["data"] = str(run_dir / "other.npy")
    (run_dir / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="or others"):
        checkpoints.load(run_dir)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_shape": [8, 8]},
        {"image_shape": [8, 8, 10**9]},
        {"image_shape": "8"},
        {"train_images": -1},
        {"class_names": [1]},
        {"image_shape": [4, 4, 1]},
    ],
    ids=str,
)
def test_load_raises_when_data_json_has_other_content(run_dir, changes):
    path = run_dir / "data.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    settings = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps({**settings, "data": "/nowhere"}))
    with pytest.raises(ValueError, match="cannot be (read|loaded)"):
        checkpoints.load(run_dir)


def test_load_raises_when_there_is_no_backup(run_dir, capsys):
    shutil.rmtree(run_dir / "backup")
    with pytest.raises(FileNotFoundError, match="no backup yet.*train --resume"):
        checkpoints.load(run_dir)
    assert main(["sample", str(run_dir)]) == 2
    assert "no backup yet" in capsys.readouterr().err


@pytest.mark.slow
def test_train_run_keeps_a_finished_run_whose_backups_are_gone(stopped, tmp_path):
    run_dir, images = tmp_path / "run", stopped / "images.npy"
    train(run_dir, images, 1)
    before = (run_dir / "model.keras").read_bytes()
    shutil.rmtree(run_dir / "backup")
    with pytest.raises(ValueError, match="Expected the backups of the finished run .* --init-from"):
        train(run_dir, images, 3)
    assert (run_dir / "model.keras").read_bytes() == before


def test_load_raises_for_a_link_out_of_the_run(run_dir, tmp_path):
    newest = max((run_dir / "backup").iterdir())
    newest.rename(tmp_path / "elsewhere")
    newest.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="Expected links that stay within"):
        checkpoints.load(run_dir)


@pytest.mark.slow
def test_load_uses_the_backup_when_a_longer_training_is_unfinished(stopped, tmp_path):
    run_dir, images, lines = tmp_path / "run", stopped / "images.npy", []
    train(run_dir, images, 1)
    assert checkpoints.load(run_dir, announce=lines.append).steps == STEPS
    assert lines == []
    with pytest.raises(KeyboardInterrupt):
        train(run_dir, images, 3, stop=2)
    assert checkpoints.load(run_dir, announce=lines.append).steps == 2 * STEPS - 1
    assert len(lines) == 1
    train(run_dir, images, 3)
    assert checkpoints.load(run_dir, announce=lines.append).steps == 3 * STEPS
    assert len(lines) == 1


def test_sample_and_evaluate_print_a_line_when_they_use_a_backup(stopped, tmp_path, capsys):
    line = f"{stopped / 'run'} is not finished: using its backup after 20 of 35 steps."
    out = tmp_path / "samples.png"
    assert main(["sample", str(stopped / "run"), "--out", str(out)]) == 0
    assert out.stat().st_size > 100
    assert capsys.readouterr().err.splitlines() == [line]
    assert main(["evaluate", str(stopped / "run"), "--num-images", "70", "--json"]) == 0
    captured = capsys.readouterr()
    assert line in captured.err
    assert json.loads(captured.out)["protocol"]["count"] == 70


def resume(run_dir, *flags):
    return main(["train", "--resume", "--run-dir", str(run_dir), *flags])


def test_train_finishes_without_a_step_when_epochs_equal_those_trained(run_dir, capsys):
    assert resume(run_dir, "--epochs", "2") == 0
    out = capsys.readouterr().out
    assert f"Resuming {run_dir} after 20 steps." in out
    assert "Scores: " in out.splitlines()[-5], out
    assert "\b" not in out and "\x1b" not in out, "a bar is for terminals"
    lines = []
    assert checkpoints.load(run_dir, announce=lines.append).steps == 20
    assert lines == []
    assert json.loads((run_dir / "scores.json").read_text())["protocol"]["count"] == 100
    assert RunDirectory(run_dir).read_config().epochs == 2
    assert resume(run_dir, "--epochs", "3") == 0
    assert checkpoints.load(run_dir).steps == 3 * STEPS


def test_train_raises_when_epochs_are_fewer_than_those_trained(run_dir, capsys):
    assert resume(run_dir, "--epochs", "1") == 2
    assert "epochs was 5, now 1, but 2 are done" in capsys.readouterr().err
    assert not (run_dir / "model.keras").exists()


def test_train_resumes_when_the_images_were_moved(run_dir, stopped, tmp_path, capsys):
    settings = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps({**settings, "data": "/gone/images.npy"}))
    assert resume(run_dir, "--epochs", "2") == 2
    assert "in /gone/images.npy. Received: a path that does not exist" in capsys.readouterr().err
    moved = shutil.copy(stopped / "images.npy", tmp_path / "moved.npy")
    assert resume(run_dir, "--epochs", "2", "--data", str(moved), "--dry-run") == 0
    assert resume(run_dir, "--epochs", "2", "--data", str(moved)) == 0
    assert RunDirectory(run_dir).read_config().data == str(moved)
    assert "earlier" not in json.loads((run_dir / "data.json").read_text())


def test_train_resumes_with_changed_images_only_when_allowed(run_dir, tmp_path, capsys):
    before = json.loads((run_dir / "data.json").read_text())
    grown = tmp_path / "grown.npy"
    np.save(grown, np.concatenate([IMAGES, 255 - IMAGES[:60]]))
    flags = ["--epochs", "3", "--data", str(grown)]
    assert resume(run_dir, *flags) == 2
    error = capsys.readouterr().err
    assert "240 images before, 300 now" in error and "--allow-changed-data" in error
    assert json.loads((run_dir / "data.json").read_text()) == before
    assert resume(run_dir, *flags, "--allow-changed-data") == 0
    assert "The images have changed: 240 images before, 300 now." in capsys.readouterr().out
    content = json.loads((run_dir / "data.json").read_text())
    assert content["images"] == 300 and content["train_images"] == 200
    assert content["earlier"] == [{**before, "until": {"epoch": 2, "batch": 6}}]
    assert checkpoints.load(run_dir).steps == 20 + 10 - 6
    assert resume(run_dir, "--epochs", "4") == 0


def test_train_keeps_a_run_when_changed_images_shorten_its_epoch(run_dir, tmp_path, capsys):
    np.save(tmp_path / "fewer.npy", IMAGES[:210])
    flags = ["--data", str(tmp_path / "fewer.npy"), "--allow-changed-data"]
    before = (run_dir / "data.json").read_text()
    assert resume(run_dir, *flags) == 2
    error = capsys.readouterr().err
    assert "more than 6 batches in an epoch, since 6 of epoch 3 are done. Received: " in error
    assert "images for 5 (240 images before, 210 now)" in error
    assert (run_dir / "data.json").read_text() == before


def test_allow_changed_data_raises_without_resume(capsys):
    assert main(["train", "--allow-changed-data"]) == 2
    assert "Expected --resume with --allow-changed-data" in capsys.readouterr().err


def test_train_raises_with_both_shapes_when_image_shapes_differ(run_dir, tmp_path, capsys):
    np.save(tmp_path / "other.npy", IMAGES[:, :4])
    flags = ["--data", str(tmp_path / "other.npy"), "--allow-changed-data"]
    assert resume(run_dir, *flags) == 2
    assert "image_shape=[8, 8, 1]. Received: image_shape=[4, 8, 1]" in capsys.readouterr().err


def write_classes(folder, classes):
    for i, image in enumerate(IMAGES):
        place = folder / classes[i % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        write_png(place / f"{i:03d}.png", image)


def test_check_images_raises_for_other_classes_of_a_conditional_run(tmp_path):
    write_classes(tmp_path / "images", "abc")
    run = RunDirectory(tmp_path / "run")
    config = Config(data=str(tmp_path / "images"), conditional=True, **SETTINGS)
    run.begin(config, {}, load_split(config))
    assert run.read_dataset_info().class_names == ("a", "b", "c")
    (tmp_path / "images/c").rename(tmp_path / "images/d")
    with pytest.raises(ValueError, match=r"class_names=\['a', 'b', 'c'\]. Received: .*'d'\]"):
        run.check_images(load_split(config), config, allow_changed=True)
    (tmp_path / "images/d").rename(tmp_path / "images/c")
    (tmp_path / "images/c/002.png").unlink()
    changes = run.check_images(load_split(config), config, allow_changed=True)
    assert changes == "240 images before, 239 now"


def start(run_dir, images):
    flags = ["--epochs", "4000", "--batch-size", "20", "--image-freq", "4000"]
    flags += ["--latent-dim", "4", "--steps-per-execution", "1", "--backup-interval", "0.01"]
    flags += ["--eval-freq", "0", "--on-collapse", "off", "--jit-compile", "false"]
    command = [sys.executable, "-m", "fashion_gan", "train", "--preset", "dense", *flags]
    process = subprocess.Popen(
        [*command, "--data", str(images), "--run-dir", str(run_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 120
    while not list((run_dir / "backup").glob("epoch_*")) and time.monotonic() < until:
        time.sleep(0.1)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_sample_uses_the_backup_of_a_running_and_a_stopped_training(
    number, stopped, tmp_path, capsys
):
    run_dir = tmp_path / "run"
    process = start(run_dir, stopped / "images.npy")
    out = tmp_path / "samples.png"
    assert main(["sample", str(run_dir), "--out", str(out)]) == 0
    assert "is being trained: using its backup after" in capsys.readouterr().err
    process.send_signal(number)
    error = process.communicate(timeout=120)[1].decode()
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    if number == signal.SIGINT:
        assert f"\n  sample: fashion-gan sample {run_dir}\n" in error
    out.unlink()
    assert main(["sample", str(run_dir), "--out", str(out)]) == 0
    assert "is not finished: using its backup after" in capsys.readouterr().err
    assert out.stat().st_size > 100


@pytest.mark.parametrize("backup_interval", [pytest.param(-1.0, marks=pytest.mark.slow), 60.0])
def test_train_raises_and_creates_no_folder_when_its_folder_is_removed(
    tmp_path, backup_interval, monkeypatch
):
    np.save(tmp_path / "images.npy", IMAGES)

    def move(self, epoch, logs=None):
        if epoch == 1 and not (tmp_path / "elsewhere").exists():
            shutil.move(tmp_path / "run", tmp_path / "elsewhere")

    monkeypatch.setattr(keras.callbacks.History, "on_epoch_begin", move, raising=False)
    config = Config(data=str(tmp_path / "images.npy"), epochs=3, **SETTINGS)
    arguments = {"backup_interval": backup_interval, "verbose": 0, "final": False}
    with pytest.raises(FileNotFoundError, match="after 8 steps: the folder was removed or moved"):
        train_run(config, tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    shutil.move(tmp_path / "elsewhere", tmp_path / "run")
    resumed = train_run(config, tmp_path / "run", resume=True, **arguments)
    assert resumed.steps == 3 * STEPS
