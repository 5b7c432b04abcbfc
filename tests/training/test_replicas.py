"""Tests that training on two replicas equals training on one."""

import json
import subprocess
import sys

import pytest
from helpers import SCRIPTS

SCRIPT = SCRIPTS / "replicas.py"
BATCH, BATCHES, EPOCHS = 8, 10, 5


@pytest.fixture(scope="module")
def outcome():
    """Returns the results of the script on two virtual devices and in two processes."""
    result = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(params=["devices", "workers"])
def cases(outcome, request):
    return outcome[request.param]


def test_fit_on_two_replicas_equals_one(cases):
    for name in ("own images", "augmentations"):
        assert cases[name]["steps"] == BATCHES * EPOCHS
        assert cases[name]["tensors"] >= 37, name
        assert 0 <= cases[name]["difference"] <= 1e-8, name


def test_fit_keeps_replicas_equal_with_dropout(cases):
    assert cases["dropout"]["difference of replicas"] == 0
    assert 1e-3 < cases["dropout"]["difference"] < 10


def test_fit_splits_the_rows_of_each_step_among_replicas(cases):
    for name, case in cases.items():
        whole = dict(case["rows alone"])
        assert list(whole) == list(range(BATCHES * EPOCHS)), name
        for epoch in range(EPOCHS):
            seen = [row for step in range(BATCHES) for row in whole[epoch * BATCHES + step]]
            assert len(set(seen)) == BATCH * BATCHES, name
        shares = {step: [] for step in whole}
        for step, rows in (record for worker in case["rows together"] for record in worker):
            assert len(rows) == BATCH // 2, name
            shares[step] += rows
        assert {step: sorted(rows) for step, rows in shares.items()} == {
            step: sorted(rows) for step, rows in whole.items()
        }, name


def test_replica_reduces_each_gradient_in_one_all_reduce(outcome):
    # The third all-reduce is that of the logged numbers.
    assert outcome["step"]["all-reduces"] == 3


def test_xla_compiles_gradients_of_a_replica_but_no_step(outcome):
    # Several replicas can train with XLA as soon as TensorFlow compiles a step.
    assert outcome["step"]["compiled"] == {
        "step of all replicas": False,
        "step of a replica": False,
        "gradients of a replica": True,
    }
