"""Tests sweeps: their points, resumption without loss, and their report."""

import dataclasses
import itertools
import json
import re
import signal
import socket
import subprocess
import sys
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import SCRIPTS, SMALL_RUN
from scripts.sweep_worker import EPOCHS, SEEDS, SPACE, distance, train

from fashion_gan import files, sweep
from fashion_gan.cli.main import main
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.train import train_run
from fashion_gan.sweep import Range

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")

optuna = pytest.importorskip("optuna")
WORKER = SCRIPTS / "sweep_worker.py"
COMPLETE, PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1=0.1,1,2", ("r1", [0.1, 1.0, 2.0])),
        ("batch-size=32,64", ("batch_size", [32, 64])),
        ("loss=hinge, minimax", ("loss", ["hinge", "minimax"])),
        ("data=../a,../b", ("data", ["../a", "../b"])),
        ("conditional=true,false", ("conditional", [True, False])),
        ("r1=0.5..2", ("r1", Range(0.5, 2.0))),
        ("g_learning_rate=1e-4..1e-2:log", ("g_learning_rate", Range(1e-4, 1e-2, True))),
        ("batch_size=16..64", ("batch_size", Range(16, 64))),
    ],
)
def test_parse_reads_lists_and_ranges(text, expected):
    assert sweep.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr=1,2", "Received: setting='lr'"),
        ("g_learning_rat=1,2", "Did you mean 'g_learning_rate'"),
        ("r1", "Received: 'r1'"),
        ("r1=", "Received: 'r1='"),
        ("r1=1,1", "different values of type float"),
        ("r1=2..1", "LOW..HIGH"),
        ("r1=0..1:log", "LOW..HIGH:log"),
        ("r1=1..2:lin", "LOW..HIGH:log"),
        ("batch_size=1.5,2", "of type int"),
        ("conditional=yes,no", "of type bool"),
        ("batch_size=0,1", "Expected at least 1. Received: batch_size=0"),
        ("r1=-1..1", "Expected at least 0. Received: r1=-1.0"),
        ("cutout=0..2", "Expected 0 to 1. Received: cutout=2.0"),
        ("loss=hinge..minimax", "Expected a setting with numbers for a range. Received: 'loss="),
        ("conditional=false..true", "with numbers for a range. Received: 'conditional="),
        ("on_collapse=stp", "Did you mean 'stop'?"),
    ],
)
def test_parse_raises_for_wrong_settings(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        sweep.parse(text)


CONFIG = Config(epochs=EPOCHS)


def study(folder, space=SPACE, storage=None):
    return sweep.open_study(folder, space, CONFIG, SEEDS, storage)


def work(folder, space=SPACE, **arguments):
    made = study(folder, space)
    sweep.run_worker(made, folder, CONFIG, space, SEEDS, **{"train": train, **arguments})
    return made


def assert_each_point_was_tried_once(made):
    """Asserts that each point has one trial that is complete or pruned."""
    points = [tuple(t.params[n] for n in SPACE) for t in made.get_trials(states=(COMPLETE, PRUNED))]
    assert sorted(points) == sorted(itertools.product(*SPACE.values()))


def test_run_worker_tries_the_whole_grid_and_scores_by_the_mean_over_seeds(tmp_path):
    made = work(tmp_path / "sweep")
    assert_each_point_was_tried_once(made)
    for trial in made.get_trials(states=[COMPLETE]):
        ends = [distance(Config(**trial.params, epochs=EPOCHS, seed=s), EPOCHS) for s in SEEDS]
        assert trial.value == pytest.approx(sum(ends) / len(ends), rel=1e-12)
    assert made.best_params == {"r1": 1.0, "loss": "minimax"}
    before = len(made.trials)
    work(tmp_path / "sweep")
    assert len(made.trials) == before, "the same command again finds nothing to do"


def test_run_worker_prunes_trials_above_the_median(tmp_path):
    made = work(tmp_path / "sweep", {"r1": [float(r) for r in range(1, 10)]})
    pruned = made.get_trials(states=[PRUNED])
    assert pruned and all(trial.params["r1"] > 2 for trial in pruned)
    for trial in pruned:
        assert "reached" not in trial.user_attrs
        lines = tmp_path / "sweep" / trial.user_attrs["folder"] / "seed-1/metrics.jsonl"
        assert len(lines.read_text().splitlines()) < EPOCHS


def test_run_worker_runs_the_given_number_of_trials_for_a_range(tmp_path):
    space = {"r1": Range(0.1, 10.0, True), "batch_size": Range(16, 32)}
    made = work(tmp_path / "sweep", space, trials=7)
    trials = made.get_trials(states=(COMPLETE, PRUNED))
    assert len(trials) == 7
    assert all(0.1 <= t.params["r1"] <= 10 and 16 <= t.params["batch_size"] <= 32 for t in trials)
    found = sweep.sensitivity(made)
    assert sum(row["runs"] for row in found["r1"]) == 2 * len(made.get_trials(states=[COMPLETE]))
    assert len(found["r1"]) == min(3, len(made.get_trials(states=[COMPLETE])))


@pytest.mark.parametrize(
    ("space", "changes", "seeds", "said"),
    [
        ({"r1": [3.0]}, {}, SEEDS, "r1=0.0,1.0,2.0 loss=hinge,minimax. Received: r1=3.0 loss=bin"),
        ({"r1": Range(0, 2), "loss": SPACE["loss"]}, {}, SEEDS, "Received: r1=0..2. Pass"),
        (SPACE, {"epochs": 9, "width": 3}, SEEDS, "width=0 epochs=4. Received: width=3 epochs=9. "),
        (SPACE, {}, (1,), "seeds=1,2. Received: seeds=1. Pass the same settings, or another"),
    ],
)
def test_open_study_raises_for_other_settings_in_the_same_folder(
    tmp_path, space, changes, seeds, said
):
    study(tmp_path)
    study(tmp_path)
    with pytest.raises(ValueError, match="started with .*" + re.escape(said)):
        sweep.open_study(tmp_path, space, dataclasses.replace(CONFIG, **changes), seeds)


def test_open_study_ignores_the_seed_and_varied_settings_of_the_config(tmp_path):
    study(tmp_path)
    sweep.open_study(tmp_path, SPACE, dataclasses.replace(CONFIG, r1=7.0, seed=7), SEEDS)


def test_covering_points_include_each_value_and_both_ends_of_a_range():
    space = {"r1": Range(0.5, 2.0), "loss": ["hinge", "minimax", "wasserstein"]}
    assert sweep.covering_points(space) == [
        {"r1": 0.5, "loss": "hinge"},
        {"r1": 2.0, "loss": "minimax"},
        {"r1": 0.5, "loss": "wasserstein"},
    ]


def test_sensitivity_returns_mean_range_and_collapse_rate_of_each_value(tmp_path):
    found = sweep.sensitivity(work(tmp_path / "sweep"))
    rows = {(name, row["value"]): row for name, rows in found.items() for row in rows}
    middle = rows["r1", "1"]
    ends = [
        distance(Config(r1=1.0, loss=loss, epochs=EPOCHS, seed=seed), EPOCHS)
        for loss in SPACE["loss"]
        for seed in SEEDS
    ]
    if middle["runs"] == 4:  # else one was pruned
        assert middle["mean"] == pytest.approx(sum(ends) / 4, rel=1e-12)
        assert (middle["min"], middle["max"]) == (min(ends), max(ends))
    assert rows["loss", "minimax"]["mean"] < rows["loss", "hinge"]["mean"]
    assert rows["loss", "minimax"]["collapsed"] == 0
    assert rows["r1", "0"]["collapsed"] in (0.5, 0.0)
    root = ElementTree.fromstring(sweep.chart(found))
    assert any("minimax" in (node.text or "") for node in root.iter())
    assert sweep.table(found).row_count == len(rows)


@pytest.mark.parametrize("journal", [False, True], ids=["SQLite", "journal"])
def test_run_worker_shares_trials_among_processes(tmp_path, journal):
    folder = tmp_path / "sweep"
    storage = str(tmp_path / "sweep.log") if journal else f"sqlite:///{tmp_path / 'sweep.db'}"
    study(folder, SPACE, storage)
    command = [sys.executable, str(WORKER), str(folder), storage, "0.05"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    made = study(folder, SPACE, storage)
    points = {tuple(t.params[n] for n in SPACE) for t in made.get_trials(states=(COMPLETE, PRUNED))}
    assert points == set(itertools.product(*SPACE.values()))
    assert sum("[" in text for text in said) >= 2, "more than one of them worked"
    assert not [t for t in made.trials if not t.state.is_finished()]


def test_run_worker_resumes_the_trial_of_a_killed_worker(tmp_path):
    folder, storage = tmp_path / "sweep", f"sqlite:///{tmp_path / 'sweep.db'}"
    study(folder, SPACE, storage)
    command = [sys.executable, str(WORKER), str(folder), storage, "0.4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        lines = folder / "trial-0000/seed-1/metrics.jsonl"
        until = time.monotonic() + 60
        while not lines.exists() or len(lines.read_text().splitlines()) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        worker.send_signal(signal.SIGKILL)
    before = lines.read_text()
    made = study(folder, SPACE, storage)
    reported = []
    sweep.run_worker(made, folder, CONFIG, SPACE, SEEDS, train=train, say=reported.append)
    assert "trial-0000 was not finished; it is resumed." in reported
    assert_each_point_was_tried_once(made)
    assert lines.read_text().startswith(before), "no epoch of it was made again"
    assert [t.user_attrs["folder"] for t in made.trials].count("trial-0000") == 2


def test_run_worker_does_not_resume_a_trial_that_just_finished(tmp_path, monkeypatch):
    made = study(tmp_path)
    trial = made.ask()
    trial.set_user_attr("folder", "trial-0000")
    trial.set_user_attr("worker", f"{socket.gethostname()}-1")

    def finish_and_say_no(folder):
        made.tell(trial, 1.0)
        return False

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "is_locked", finish_and_say_no)
        work(tmp_path, trials=1)
    assert [t.user_attrs.get("folder") for t in made.trials].count("trial-0000") == 1


def test_run_worker_resumes_a_trial_and_skips_finished_seeds_after_ctrl_c(tmp_path):
    trained = []

    def interrupted(config, folder, watch):
        trained.append(folder.parent.name + folder.name)
        if len(trained) == 4:
            raise KeyboardInterrupt
        train(config, folder, watch)

    with pytest.raises(KeyboardInterrupt):
        work(tmp_path / "sweep", train=interrupted)
    reported = []
    made = work(tmp_path / "sweep", train=interrupted, say=reported.append)
    assert "trial-0001 was not finished; it is resumed." in reported
    assert_each_point_was_tried_once(made)
    assert trained.count("trial-0001seed-2") == 2
    assert trained.count("trial-0001seed-1") == 1


def test_run_worker_keeps_partial_files_of_another_worker(tmp_path):
    study(tmp_path)
    with files.atomic_write(tmp_path / "trial-0007" / "seed-1" / "monitor.json") as partial:
        work(tmp_path, trials=1)
        partial.write_text("{}")
    assert (tmp_path / "trial-0007" / "seed-1" / "monitor.json").read_text() == "{}"


def test_run_worker_does_not_resume_a_trial_in_use(tmp_path):
    made = study(tmp_path)
    trial = made.ask()
    worker = f"{socket.gethostname()}-1"
    trial.set_user_attr("folder", "trial-0000")
    trial.set_user_attr("worker", worker)
    home = tmp_path / "workers" / worker
    home.mkdir(parents=True)
    with RunDirectory(home).lock():
        work(tmp_path, trials=2)
    assert made.trials[0].state == optuna.trial.TrialState.RUNNING
    work(tmp_path)
    assert made.trials[0].state == optuna.trial.TrialState.FAIL
    assert_each_point_was_tried_once(made)


def test_sweep_command_trains_runs_and_prints_a_report(tmp_path, capsys, monkeypatch):
    real = train_run

    def quick(config, folder, **arguments):
        return real(dataclasses.replace(config, **SMALL_RUN), folder, **arguments)

    monkeypatch.setattr("fashion_gan.runs.train.train_run", quick)
    folder = tmp_path / "sweep"
    command = ["sweep", "g_learning_rate=1e-3,1e-2", "--epochs", "1", "--seeds", "1"]
    command += ["--sweep-dir", str(folder)]
    chart = tmp_path / "bars.svg"
    assert main([*command, "--chart", str(chart)]) == 0
    printed = capsys.readouterr()
    assert "[2/2]" in printed.err and "g_learning_rate" in printed.out
    assert chart.read_text().startswith("<svg")
    assert main([*command[:-1], str(tmp_path / "bars.svg")]) == 2
    assert "is a file. Name a folder for the sweep." in capsys.readouterr().err
    assert main([*command, "--preset", "dense_modern"]) == 2
    assert "Received: r1=0.5 r2=0.5" in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["value"] for row in report["sensitivity"]["g_learning_rate"]} == {"0.001", "0.01"}
    trained = sorted(path.parent.name for path in folder.glob("*/*/model.keras"))
    assert trained == ["seed-1", "seed-1"]
    assert not list(folder.glob("*/*/scores.json")), "the test images are for reports"


@pytest.mark.parametrize(
    ("settings", "space", "name"),
    [
        ({}, {"r1": [0.0]}, "frechet_distance"),
        ({"data": "my.npz"}, {"r1": [0.0]}, "kernel_distance"),
        ({}, {"data": ["", "my.npz"]}, "kernel_distance"),
    ],
)
def test_metric_name_depends_on_the_data(settings, space, name):
    assert sweep.metric_name(Config(**settings), space) == name


def test_sweep_command_scores_own_images_by_the_kernel_distance(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "my.npz", images=images)
    folder, chart = tmp_path / "sweep", tmp_path / "bars.svg"
    command = ["sweep", f"data={tmp_path / 'my.npz'}", "d_learning_rate=1e-3,1e-2", "batch_size=20"]
    command += [
        "steps_per_execution=5",
        "--epochs",
        "2",
        "--seeds",
        "1",
        "--sweep-dir",
        str(folder),
    ]
    assert main([*command, "--chart", str(chart)]) == 0
    printed = capsys.readouterr()
    assert printed.err.count(": kernel ") == 2 and "kernel" in printed.out
    assert "kernel distance by setting" in chart.read_text()
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    made = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder / 'study.db'}")
    assert made.user_attrs["settings"]["metric"] == report["metric"] == "kernel_distance"
    for trial in made.trials:
        lines = (folder / trial.user_attrs["folder"] / "seed-1/metrics.jsonl").read_text()
        distances = [json.loads(line)["kernel_distance"] for line in lines.splitlines()]
        assert trial.intermediate_values == dict(enumerate(distances, start=1))
        assert trial.value == distances[-1]
    assert report["best"]["score"] == made.best_value
    rows = report["sensitivity"]["d_learning_rate"]
    assert min(row["min"] for row in rows) == made.best_value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed=1,2"], "Pass --seeds"),
        (["r1=1,2", "r1=3,4"], "Expected each setting once"),
        (["eval_freq=1,2"], "other than eval_freq"),
        (["r1=1,2", "--preset", "dens"], "Did you mean 'dense'?"),
        (["loss=minimax,hing"], "loss='hing'. Did you mean 'hinge'?"),
        (["loss=hinge,minimax", "model=dense,dens"], "Did you mean 'dense'?"),
        (["g_optimizer=adam,adm"], "g_optimizer='adm'. Did you mean 'adam'?"),
        (["batch_size=32..60000"], "step of batch_size=60000. Received: 1,100 images."),
        (["replay_size=64,128", "batch_size=64,128"], "batch_size=128. Received: replay_size=64"),
        (["noise_epochs=0,5"], "noise_epochs does nothing without instance_noise."),
        (["r1=1,2", "--storage", "nonsense://x"], "The storage nonsense://x cannot be opened"),
        (["r1=1,2", "--storage", "foo"], "The storage foo cannot be opened"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_sweep_command_prints_one_line_for_wrong_arguments(arguments, said, capsys, tmp_path):
    assert main(["sweep", *arguments, "--sweep-dir", str(tmp_path / "s")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert not (tmp_path / "s").exists()
