"""Runs and commands, on the real images, with few and large batches."""

import dataclasses
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import data, evaluation
from fashion_gan.cli.main import build_parser, main
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.train import train_run

SMALL = {"batch_size": 5000, "steps_per_execution": 4, "jit_compile": False, "on_collapse": "off"}
FLAGS = ["--batch-size", "5000", "--steps-per-execution", "4", "--jit-compile", "false"]
FLAGS += ["--on-collapse", "off"]


@pytest.fixture(scope="module", autouse=True)
def _small_protocols():
    """Evaluations on a few images, so that tests of runs do not wait for them."""
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "QUICK", small)
        patch.setattr(evaluation, "FULL", dataclasses.replace(small, count=400, bins=5))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run of two epochs, made by the command."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", "--run-dir", str(folder), "--epochs", "2", *FLAGS]) == 0
    return folder


def test_a_run_folder_holds_all_that_one_needs_to_know(folder):
    names = {path.name for path in folder.iterdir()}
    assert names >= {"train", "validation", "images", "samples", "backup", "model.keras"}
    assert RunDirectory(folder).read_config() == Config(epochs=2, **SMALL)
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
def test_an_average_is_scored_beside_the_raw_generator(tmp_path):
    config = Config(epochs=1, ema_decay=0.9, loss="relativistic", r1=0.1, **SMALL)
    gan = train_run(config, tmp_path / "run", verbose=0)
    scores = json.loads((tmp_path / "run/scores.json").read_text())["scores"]
    assert set(scores) == {"samples", "no_ema"}
    assert scores["samples"] != scores["no_ema"]
    assert checkpoints.load(tmp_path / "run").ema_decay == gan.ema_decay == 0.9
    assert [type(penalty).__name__ for penalty in gan.penalties] == ["R1"]


def test_learning_rates_fall_along_a_cosine_over_the_decay_epochs():
    config = Config(
        lr_decay_epochs=2, lr_final_scale=0.5, d_steps=2, g_optimizer="adam", beta_1=0.1
    )
    nothing = np.zeros((1000, 28, 28, 1), np.uint8)
    split = data.Split(nothing, None, nothing, None, nothing, None)
    gan = build_gan(dataclasses.replace(config, batch_size=50), split)
    later = build_gan(dataclasses.replace(config, batch_size=50, lr_decay_start=3), split)
    for optimizer, after, steps in (
        (gan.g_optimizer, 0, 20),
        (gan.d_optimizer, 0, 40),
        (later.g_optimizer, 30, 20),
        (later.d_optimizer, 60, 40),
    ):
        schedule = optimizer._learning_rate
        moments = (0, after, after + steps // 2, after + steps, 10 * steps)
        rates = [float(schedule(step)) for step in moments]
        np.testing.assert_allclose(rates, [1e-3, 1e-3, 7.5e-4, 5e-4, 5e-4], rtol=1e-5)
    assert (gan.g_optimizer.beta_1, gan.d_optimizer.name) == (0.1, "d_optimizer")


def test_build_takes_augmentations_replay_and_label_flips_from_the_config():
    config = Config(
        replay_size=512,
        label_flip_rate=0.1,
        instance_noise=0.2,
        noise_epochs=3,
        cutout=0.3,
        batch_size=50,
    )
    nothing = np.zeros((1000, 28, 28, 1), np.uint8)
    gan = build_gan(config, data.Split(nothing, None, nothing, None, nothing, None))
    noise, cutout = gan.augmentations
    assert (gan.replay.capacity, gan.loss_function.label_flip_rate, cutout.strength) == (
        512,
        0.1,
        0.3,
    )
    assert (noise.stddev, noise.steps) == (0.2, 3 * 20)


def test_weight_decay_shrinks_weights_without_a_gradient():
    config = Config(g_optimizer="adam", d_optimizer="adam", weight_decay=0.5)
    gan = build_gan(config)
    weight = gan.generator.trainable_variables[0]
    before = weight.numpy()
    gan.g_optimizer.apply([np.zeros_like(v) for v in gan.generator.trainable_variables])
    np.testing.assert_allclose(weight, (1 - 1e-3 * 0.5) * before, rtol=1e-5)


def test_a_film_of_a_run(folder, tmp_path, capsys):
    out = tmp_path / "film.gif"
    assert main(["animate", str(folder), "--out", str(out), "--fps", "2"]) == 0
    assert "epochs" in capsys.readouterr().out and out.exists()
    assert main(["animate", str(tmp_path), "--out", str(out)]) == 2
    assert "at least two of epoch_0000.png" in capsys.readouterr().err


def test_a_loaded_run_is_the_trained_gan_ready_to_go_on(folder):
    gan = checkpoints.load(folder)
    assert (gan.steps, gan.latent_dim, gan.value_range) == (22, 30, (0, 1))
    assert gan.g_optimizer.iterations == 22
    again = train_run(Config(epochs=2, **SMALL), folder, resume=True, verbose=0)
    for a, b in zip(gan.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_epochs_may_grow_and_end_where_a_longer_run_ends(folder, tmp_path):
    config = Config(epochs=3, **SMALL)
    longer = train_run(config, tmp_path / "at once", verbose=0)
    train_run(Config(epochs=1, **SMALL), tmp_path / "in parts", verbose=0)
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
        (["--preset", "dense"], "batch_size was 5000, now 32; jit_compile was False, now"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_a_changed_config_is_refused_field_by_field(folder, capsys, flags, message, dry):
    before = (folder / "config.json").read_text()
    assert main(["train", "--resume", "--run-dir", str(folder), *flags, *dry]) == 2
    assert message in capsys.readouterr().err
    assert (folder / "config.json").read_text() == before


def test_a_preset_named_again_with_the_same_settings_goes_on(folder, capsys):
    again = [
        "train",
        "--resume",
        "--run-dir",
        str(folder),
        "--preset",
        "dense",
        *FLAGS,
        "--dry-run",
    ]
    assert main([*again, "--epochs", "3"]) == 0
    assert "3 epochs of 11 steps" in capsys.readouterr().out


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_a_folder_in_use_is_not_written_to(folder, capsys, dry):
    before = {path: path.stat().st_mtime for path in folder.rglob("*")}
    assert main(["train", "--run-dir", str(folder), *dry]) == 2
    assert "is not empty. Resume the run in it with --resume" in capsys.readouterr().err
    with RunDirectory(folder).lock():
        assert main(["train", "--resume", "--run-dir", str(folder), *dry]) == 2
        assert "A training is under way in" in capsys.readouterr().err
    after = {path: path.stat().st_mtime for path in folder.rglob("*") if path.name != ".lock"}
    assert {path: time for path, time in before.items() if path.name != ".lock"} == after


@pytest.mark.parametrize("flags", [[], ["--resume"], ["--dry-run"], ["--resume", "--dry-run"]])
def test_where_there_is_no_run_none_is_to_be_resumed(tmp_path, capsys, flags):
    (tmp_path / "photo.png").touch()
    assert main(["train", "--run-dir", str(tmp_path), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not empty, and holds no run to resume" in line and "--resume" not in line
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_samples_are_written_as_grid_array_and_folder(folder, tmp_path):
    for out in ("a.png", "a.npy", "a"):
        assert main(["sample", str(folder), "--num-images", "6", "--out", str(tmp_path / out)]) == 0
    array = np.load(tmp_path / "a.npy")
    assert (array.shape, array.dtype) == ((6, 28, 28, 1), np.uint8)
    wanted = np.rint(255 * checkpoints.load(folder).sample(6, seed=0))
    np.testing.assert_array_equal(array, wanted)
    for index, image in enumerate(array):
        png = tf.io.decode_png((tmp_path / "a" / f"{index:05d}.png").read_bytes())
        np.testing.assert_array_equal(png, image)
    grid = tf.io.decode_png((tmp_path / "a.png").read_bytes()).numpy()
    np.testing.assert_array_equal(grid[:28, :28], 255 - array[0])


def sample_to_folder(out, count, seed):
    return main(["sample", "dense", "--num-images", count, "--seed", seed, "--out", str(out)])


def test_sample_replaces_the_images_of_an_earlier_sample_in_a_folder(tmp_path, capsys):
    for name, count, seed in (("a", "12", "1"), ("a", "3", "2"), ("b", "3", "2")):
        assert sample_to_folder(tmp_path / name, count, seed) == 0
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"
    )
    assert sorted(first) == ["00000.png", "00001.png", "00002.png", "samples.json"]
    assert first == second


def test_sample_leaves_numbered_images_alone_that_it_did_not_write(tmp_path, capsys):
    (tmp_path / "00000.png").write_text("mine")
    assert sample_to_folder(tmp_path, "1", "1") == 2
    assert "which holds 00000.png. Name another folder." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["00000.png"]


@pytest.mark.parametrize(
    "name", ["photo.png", "0000.png", "000012.png", "00003.jpg", "00003.png/x", ".hidden"]
)
def test_sample_writes_nothing_when_the_folder_holds_anything_else(tmp_path, capsys, name):
    out = tmp_path / "out"
    assert sample_to_folder(out, "2", "1") == 0
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = {path: path.is_file() and path.read_bytes() for path in out.rglob("*")}
    assert sample_to_folder(out, "1", "2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    other = name.split("/")[0]
    assert f"Received: {out}, which holds {other}. Name another folder." in line
    assert {path: path.is_file() and path.read_bytes() for path in out.rglob("*")} == before


def test_sample_ignores_what_an_interrupted_write_left_in_the_folder(tmp_path):
    assert sample_to_folder(tmp_path, "2", "1") == 0
    (tmp_path / ".partial-x").mkdir()
    (tmp_path / ".partial-x/partial.png").touch()
    (tmp_path / "100000.png").touch()
    assert sample_to_folder(tmp_path, "1", "1") == 0
    names = [".partial-x", "00000.png", "samples.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_sample_writes_no_folder_over_a_file(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert sample_to_folder(tmp_path / "out", "1", "1") == 2
    assert "Received: " in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_a_model_file_is_sampled_like_its_run(folder, tmp_path):
    for source, out in ((folder, "a.npy"), (folder / "model.keras", "b.npy")):
        assert main(["sample", str(source), "--seed", "3", "--out", str(tmp_path / out)]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "--preset", "dens"], "Did you mean 'dense'?"),
        (["train", "--epochs", "0"], "at least 1. Received: epochs=0"),
        (["train", "--epochs", "many"], "invalid int value: 'many'"),
        (["train", "--dtype-policy", "float8"], "invalid choice: 'float8'"),
        (["train", "--resume"], "Expected --run-dir with --resume"),
        (["train", "--loss", "hing", "--dry-run"], "one of ['binary_crossentropy'"),
        (["train", "--model", "dence", "--dry-run"], "model='dence'. Did you mean 'dense'?"),
        (["train", "--g-optimizer", "adm", "--dry-run"], "g_optimizer='adm'. Did you mean 'adam'?"),
        (["train", "--noise-epochs", "3"], "noise_epochs does nothing without instance_noise."),
        (
            ["train", "--preset", "dense", "--lr-final-scale", "0.1"],
            "lr_final_scale does nothing without",
        ),
        (["train", "--backup-interval", "nan"], "--backup-interval: expected 0 or more seconds"),
        (["train", "--backup-interval", "-1"], "--backup-interval: expected 0 or more seconds"),
        (["train", "--data", ""], "argument --data: expected a value, not an empty one"),
        (["train", "--run-dir", ""], "argument --run-dir: expected a value, not an empty one"),
        (["train", "--dry-run", "--data-dir", ""], "argument --data-dir: folder=''"),
        (["runs", ""], "argument FOLDER: expected a value, not an empty one"),
        (["compare", "a", ""], "argument RUN: expected a value, not an empty one"),
        (["train", "--data-dir", "/nowhere", "--dry-run"], "--data-dir: folder='/nowhere' is"),
        (
            ["train", "--batch-size", "60000", "--dry-run"],
            "step of batch_size=60000. Received: 55,000",
        ),
        (["explore", "dense", "--port", "99999"], "--port: expected a port, 1 to 65535, not 99999"),
        (["sample", "dense", "--seed", "-1"], "argument --seed: expected at least 0, not -1"),
        (["sample", "/nowhere"], "There is no /nowhere, and no pretrained generator"),
        (["sample", "/nowhere", "--num-images", "0"], "expected at least 1, not 0"),
        (["sample", "/nowhere", "--num-images", "-3"], "expected at least 1, not -3"),
        (["animate", "run", "--fps", "0"], "--fps: expected 0.1 to 100 frames a second, not 0"),
        (["sample", "dense", "--num-images", "9" * 14], "Unable to allocate"),
        (["sample", "dense", "--out", "o.jpg"], "in .png or .npy, or a folder without an ending"),
        (
            ["sample", "dense", "--out", "/proc/x/o.png"],
            "/proc/x cannot be opened or created (No suc",
        ),
        (
            ["sample", "dense", "--out", "/proc/o.npy"],
            "/proc/o.npy cannot be opened or created (No s",
        ),
        (
            ["export", "dense", "--out", __file__ + "/x"],
            "test_run.py cannot be opened or created (Fi",
        ),
        (["export", "dense", "--out", "m.h5"], "in .onnx or .tflite, or a folder without an"),
        (["export", "dense", "--out", "m.onnx", "--format", "litert"], "m.onnx ends like onnx"),
        (["evaluate", "/nowhere", "--out", "r"], "There is no /nowhere, and no pretrained"),
        (["evaluate", "m.keras", "--out", "a/r"], "There is no m.keras, and no pretrained"),
        (
            ["evaluate", "dense", "--num-images", "5", "--out", "r"],
            "at least 129 images on each side",
        ),
        (["evaluate", "dense", "--out", "r.json"], "Expected a folder without an ending. Received"),
        (["evaluate", "dense", "--out", "/proc/x"], "/proc/x cannot be opened or created (No such"),
        (["compare", "logs/a", "--out", "c.txt"], "ends in .html or .htm. Received: 'c.txt'"),
        (["sweep", "r1=0,1", "--chart", "c.png"], "ends in .svg. Received: 'c.png'"),
        (["benchmark", "--steps", "1", "--chart", "c.png"], "ends in .svg. Received: 'c.png'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_answered_in_one_line_and_status_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("fashion-gan")
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_and_writes_nothing(tmp_path, capsys):
    assert main(["train", "--dry-run", "--run-dir", str(tmp_path / "x"), "--epochs", "7"]) == 0
    out = capsys.readouterr().out
    assert "136,634 parameters" in out
    assert "7 epochs of 1,718 steps" in out
    assert "XLA is on: on the CPU" in out
    assert not (tmp_path / "x").exists()


def test_a_training_that_cannot_begin_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--loss", "hing"]) == 2
    assert "Did you mean 'hinge'?" in capsys.readouterr().err
    assert list(tmp_path.rglob("dense*")) == []


def test_an_unfinished_run_says_how_to_finish_it(tmp_path):
    (tmp_path / "backup").mkdir()
    with pytest.raises(FileNotFoundError, match="not finished: `fashion-gan train --resume`"):
        checkpoints.load(tmp_path)


def test_every_line_of_help_stands_alone():
    (commands,) = (action for action in build_parser()._actions if action.choices)
    for name, command in commands.choices.items():
        for action in command._actions:
            where = f"{name} {action.dest}: {action.help}"
            assert not re.match(r"(of|in|to|with|by|from|its|one|for|between) ", action.help), where
            assert not re.search(r"\b(likewise|it sees|from it|that noise|left then)\b", where)
            assert ": )" not in where


def test_help_and_version_do_not_wait_for_tensorflow():
    code = (
        "import sys, fashion_gan.cli.main\n"
        "try: fashion_gan.cli.main.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--learning-rate" in result.stdout.replace("--g-learning-rate", "--learning-rate")


@pytest.mark.slow
def test_tensorflow_is_silent_unless_asked():
    command = [sys.executable, "-m", "fashion_gan", "train", "--dry-run"]
    quiet, loud = (
        subprocess.run([*command, *flag], capture_output=True, text=True)
        for flag in ([], ["--tensorflow-log"])
    )
    assert quiet.stderr == ""
    assert re.search("oneDNN|TensorFlow binary|absl", loud.stderr)
    assert quiet.stdout == loud.stdout


@pytest.mark.filterwarnings("default:Not finite")
def test_a_run_whose_only_epoch_diverges_fails_and_logs_nothing_of_it(tmp_path, capsys):
    folder = tmp_path / "run"
    flags = [*FLAGS, "--epochs", "1", "--g-learning-rate", "1e30", "--eval-freq", "0"]
    assert main(["train", "--run-dir", str(folder), *flags]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("fashion-gan: error: Not finite: ")
    assert "no step is left of epoch 1" in said
    assert not (folder / "metrics.jsonl").read_text()
    assert not (folder / "model.keras").exists()
    assert [path.name for path in (folder / "samples").iterdir() if "0001" in path.name] == []


@pytest.mark.parametrize(("steps", "words"), [(1, "1 step."), (2000, "2,000 steps.")])
def test_one_step_is_no_steps(steps, words, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "fashion_gan.runs.train.train_run", lambda *_, **__: SimpleNamespace(steps=steps)
    )
    assert main(["train", "--run-dir", str(tmp_path)]) == 0
    assert f"Trained for {words} The run is in" in capsys.readouterr().out


def test_an_older_file_of_samples_is_replaced_and_a_dot_before_a_digit_is_no_ending(tmp_path):
    (tmp_path / "a.NPY").write_text("older")
    for out in ("a.NPY", "v0.5"):
        assert main(["sample", "dense", "--num-images", "2", "--out", str(tmp_path / out)]) == 0
    assert np.load(tmp_path / "a.NPY").shape == (2, 28, 28, 1)
    assert len(list((tmp_path / "v0.5").glob("*.png"))) == 2
