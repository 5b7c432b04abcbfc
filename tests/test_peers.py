"""The peers that we are compared with do the same work: their losses are ours."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

PEERS = Path(__file__).parent.parent / "benchmarks/peers"
STEPS = 3


@pytest.fixture
def one(monkeypatch):
    """`benchmarks/peers/one.py`; afterwards Keras computes in float32 again."""
    monkeypatch.syspath_prepend(PEERS)
    import one

    yield one
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    for path in PEERS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("pair", ["dense", "dcgan"])
@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("the book's loop", []),
        ("keras-io", []),
        ("torch", ["torch"]),
        ("jax", ["jax", "optax"]),
    ],
)
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_equal_numbers_give_equal_losses(name, packages, pair, one, tmp_path):
    for package in packages:
        pytest.importorskip(package)
    given = tmp_path / "given.npz"
    one.write_given(given, pair, STEPS)
    ours = one.losses("ours, one step, no XLA", pair, given)
    theirs = one.losses(name, pair, given)
    assert np.shape(ours) == (STEPS, 2)
    assert len(np.unique(ours)) == 2 * STEPS  # the networks do learn
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)
