"""Tests the command that averages a generator after its training."""

import numpy as np
import pytest
from helpers import SMALL_RUN

from fashion_gan.cli.main import main
from fashion_gan.runs import checkpoints
from fashion_gan.runs.average import CANDIDATES, Snapshots
from fashion_gan.runs.config import Config
from fashion_gan.runs.train import train_run

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_fashion_mnist):
    path = tmp_path_factory.mktemp("runs") / "run"
    settings = {"ema_decay": 0.9, "post_hoc_ema": True, "eval_freq": 0, "epochs": 3}
    train_run(Config(**{**SMALL_RUN, **settings}), path, verbose=0)
    return path


def test_average_writes_a_gan_with_the_average_of_a_width(run, tmp_path, capsys):
    assert main(["average", str(run), "--width", "0.1", "--out", str(tmp_path / "a.keras")]) == 0
    gan = checkpoints.load(tmp_path / "a.keras")
    kept = checkpoints.load(run).power_averages.averages()[1]  # of width 0.1, after the last step
    for ours, theirs in zip(gan.sampling_network().get_weights(), kept, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert f"fashion-gan sample {tmp_path / 'a.keras'}" in capsys.readouterr().out


@pytest.mark.slow
def test_average_best_writes_the_width_with_the_best_score(run, capsys):
    assert main(["average", str(run), "--best"]) == 0
    lines = capsys.readouterr().out.splitlines()

    def score(name):
        return float(next(line for line in lines if f" {name} " in line).split("│")[2])

    scores = {width: score(f"width {width}") for width in CANDIDATES}
    best = min(scores, key=scores.get)
    better_as_trained = "The run as trained is at least as good. Use the run itself." in lines
    assert better_as_trained == (score("as trained") <= scores[best])
    assert f"The lowest frechet_distance of all widths is that of width {best}." in lines
    gan = checkpoints.load(run / "average.keras")
    expected = Snapshots.of_run(run).average(best)
    for ours, theirs in zip(gan.sampling_network().get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_average_raises_without_snapshots_and_for_a_width_out_of_range(run, tmp_path, capsys):
    assert main(["average", str(tmp_path), "--width", "0.1"]) == 2
    assert "Received: none. Train with --post-hoc-ema." in capsys.readouterr().err
    out = tmp_path / "a.keras"
    assert main(["average", str(run), "--width", "0.5", "--out", str(out)]) == 2
    assert "below 0.289. Received: width=0.5." in capsys.readouterr().err
    assert not out.exists()
