"""Tests that the peers of benchmarks/peers do the same work: their losses are ours."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
from helpers import ROOT

PEERS = ROOT / "benchmarks/peers"
STEPS = 3
PACKAGES = {"the book's loop": [], "keras-io": [], "torch": ["torch"], "jax": ["jax", "optax"]}
"""Peers, and what each needs."""


@pytest.fixture
def worker(monkeypatch):
    """Yields the module `benchmarks/peers/worker.py`; afterwards Keras computes in float32."""
    monkeypatch.syspath_prepend(PEERS)
    monkeypatch.setattr(sys, "path", list(sys.path))  # to which the worker adds a folder
    import worker

    yield worker
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    for path in PEERS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("pair", ["dense", "dcgan"])
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_peers_have_equal_losses_when_numbers_are_equal(pair, worker, tmp_path):
    given = tmp_path / "given.npz"
    worker.write_given(given, pair, STEPS)
    ours = worker.compute_losses("ours, one step, no XLA", pair, given)
    assert np.shape(ours) == (STEPS, 2)
    assert len(np.unique(ours)) == 2 * STEPS  # the losses change in each step
    for name, packages in PACKAGES.items():
        if all(map(importlib.util.find_spec, packages)):
            theirs = worker.compute_losses(name, pair, given)
            np.testing.assert_allclose(theirs, ours, rtol=1e-6, err_msg=name)
