"""Tests the command line: wrong use, help and dry runs."""

import dataclasses
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from fashion_gan.cli.main import build_parser, main
from fashion_gan.cli.options import GROUPS
from fashion_gan.runs.config import Config


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
        (["sample", "dense", "--seeds", "3-1"], "expected seeds such as 3,17,42 or 0-31, not 3-1"),
        (
            ["sample", "dense", "--seeds", "1", "--seed", "2"],
            "Expected either --seeds or --seed. Rec",
        ),
        (["sample", "dense", "--keep", "1.5"], "expected a fraction above 0, at most 1, not 1.5"),
        (
            ["sample", "dense", "--keep", "0.5"],
            "discriminator after 0 steps, such as that of a pre",
        ),
        (["sample", "dense", "--truncation", "0"], "expected a number above 0, not 0"),
        (["walk", "dense", "--seeds", "1"], "at least two latents"),
        (["walk", "dense", "--frames", "3"], "at least 4 frames, one for each latent"),
        (["walk", "dense", "--out", "w.mp4"], "ends in .gif or .webp or .png. Received: 'w.mp4'"),
        (["project", "dense", "/nowhere.png"], "/nowhere.png does not exist"),
        (["project", "dense", __file__], "Expected a folder of images, or a .zip"),
        (["project", "dense", "a.png", "--out", "o.jpg"], "ends in .png. Received: 'o.jpg'"),
        (["train", "--config", "/nowhere.toml"], "/nowhere.toml cannot be opened or created (No s"),
        (["train", "--config", "a.yaml"], "ends in .toml or .json. Received: 'a.yaml'"),
        (["train", "--size", "16"], "Did you mean --image-size or --replay-size or --batch-size?"),
        (["train", "--lr", "1"], "Did you mean --g-learning-rate or --d-learning-rate?"),
        (["train", "--epoch", "3"], "Did you mean --epochs or --steps-per-epoch?"),
        (["train", "--seeds", "3"], "train: error: unrecognized arguments: --seeds 3. Did you me"),
        (["train", "."], "Expected a flag. Received: '.'. Did you mean --data .? (--help shows"),
        (["sample", "rsnet"], "Did you mean 'resnet'?"),
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
            "test_parser.py cannot be opened or created (Fi",
        ),
        (["export", "dense", "--out", "m.h5"], "in .onnx or .xml or .tflite, or a folder"),
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
def test_command_exits_with_one_line_and_status_2_for_wrong_arguments(
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


@pytest.mark.auto_xla
def test_train_dry_run_describes_the_training_and_writes_nothing(tmp_path, capsys):
    assert main(["train", "--dry-run", "--run-dir", str(tmp_path / "x"), "--epochs", "7"]) == 0
    out = capsys.readouterr().out
    assert "136,634 parameters" in out
    assert "7 epochs of 1,718 steps" in out
    assert "XLA is on: on the CPU" in out
    assert [line for line in out.splitlines() if line.startswith("* ")] == [f"* {'epochs':<22} 7"]
    assert not (tmp_path / "x").exists()


def test_help_describes_each_argument_with_its_own_noun():
    (commands,) = (action for action in build_parser()._actions if action.choices)
    for name, command in commands.choices.items():
        for action in command._actions:
            where = f"{name} {action.dest}: {action.help}"
            assert not re.match(r"(of|in|to|with|by|from|its|one|for|between) ", action.help), where
            assert ": )" not in where


def test_help_does_not_import_tensorflow():
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
def test_train_shows_messages_of_tensorflow_only_on_request():
    command = [sys.executable, "-m", "fashion_gan", "train", "--dry-run"]
    quiet, loud = (
        subprocess.run([*command, *flag], capture_output=True, text=True)
        for flag in ([], ["--tensorflow-log"])
    )
    assert quiet.stderr == ""
    assert re.search("oneDNN|TensorFlow binary|absl", loud.stderr)
    assert quiet.stdout == loud.stdout


def sub_parsers():
    """Returns the parsers of all commands by name."""
    (commands,) = (a for a in build_parser()._actions if isinstance(a.choices, dict))
    return commands.choices


@pytest.mark.parametrize("command", sub_parsers())
def test_help_examples_parse(command):
    head, *examples = sub_parsers()[command].epilog.splitlines()
    assert head == "examples:" and examples
    for example in examples:
        program, name, *arguments = example.split()
        assert (program, name) == ("fashion-gan", command)
        build_parser().parse_args([name, *arguments])


def test_train_help_groups_every_setting():
    titles = {group.title: group._group_actions for group in sub_parsers()["train"]._action_groups}
    settings = {field.name for field in dataclasses.fields(Config)}
    grouped = [a.dest for title, _ in GROUPS.values() for a in titles[title]]
    assert {*settings, "steps", "images"} == set(grouped)
    assert [a.dest for a in titles["length and batches"]] == [
        "steps",
        "images",
        "epochs",
        "steps_per_epoch",
        "batch_size",
        "accumulate",
    ]
    assert not settings & {a.dest for a in titles["options"]}


def test_command_prints_one_line_when_python_turns_warnings_into_errors(tmp_path, capsys):
    np.save(tmp_path / "few.npy", np.zeros((30, 8, 8), "uint8"))
    arguments = ["train", "--data", str(tmp_path / "few.npy"), "--preset", "dense", "--dry-run"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert main([*arguments, "--batch-size", "4", "--epochs", "1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("fashion-gan: error: A training of 1 pass over 30 images makes 7 steps.")
    assert err.count("\n") == 1
