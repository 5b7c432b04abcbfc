"""Tests runs in two workers: their files, and that they resume bit-for-bit."""

import json
import subprocess
import sys

import pytest
from helpers import SCRIPTS

SCRIPT = SCRIPTS / "kill_a_worker.py"


@pytest.fixture(scope="module")
def outcome():
    """Returns the output of the script, which fails unless the run resumes bit-for-bit."""
    result = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_train_prints_an_error_when_another_worker_is_lost(outcome):
    for victim, stop in zip((1, 0), outcome["stops"], strict=True):
        error, resume, sample = stop["errors"]
        assert f"Another worker (worker {victim}, TensorFlow says) has stopped" in error
        assert resume.startswith("  resume on all workers: fashion-gan train --resume --run-dir")
        assert sample.startswith("  sample: fashion-gan sample ")
        assert stop["status"] == 1
        assert not stop["finished"]


def test_train_resumes_bit_for_bit_after_losing_any_worker(outcome):
    assert outcome["same bits"]


def test_train_on_two_workers_equals_one_process(outcome):
    assert 0 <= outcome["difference"] <= 1e-8
    assert 0 <= outcome["difference of metrics"] <= 1e-6  # they are logged in float32


def test_train_writes_only_on_the_chief(outcome):
    assert outcome["files of the other"] == []
    assert outcome["files of the chief"] == outcome["files of one process"]
    assert "model.keras" in outcome["files of the chief"]
    assert outcome["files of the chief"].count("images/events.out") == 1


def test_train_shows_progress_only_on_the_chief(outcome):
    chief, other = outcome["outputs"]
    assert "11/11" in chief
    assert other.startswith("Trained for 11 steps.")
