"""The page on many devices: its tables are made from the committed measurement, and it is sound."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from fashion_gan import models

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark():
    path = ROOT / "benchmarks/replica_bytes.py"
    spec = importlib.util.spec_from_file_location("replica_bytes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_made_from_the_committed_results(benchmark):
    assert benchmark.page() == benchmark.PAGE.read_text()
    assert benchmark.page().count("|") > 50


@pytest.mark.parametrize("name", ["dense", "dcgan"])
def test_two_workers_sent_the_gradients_and_little_else(benchmark, name):
    pairs = {pair["pair"]: pair for pair in json.loads(benchmark.RESULTS.read_text())["pairs"]}
    trained = [w for network in models.build(name) for w in network.trainable_weights]
    counted = sum(pairs[name]["gradients"].values())
    assert counted == 4 * sum(int(np.prod(w.shape)) for w in trained)
    assert 1.0 <= pairs[name]["sent_per_worker"] / counted <= 1.02


def test_a_ring_sends_almost_twice_the_bytes_however_many_hosts_there_are(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "LATENCY", 0.0)
    second = 1e9 / 8  # bytes at 1 Gbit/s
    for hosts, wanted in ((2, 1.0), (8, 1.75), (64, 1.96875)):
        np.testing.assert_allclose(benchmark.ring_seconds(second, hosts, 1), wanted, rtol=1e-12)
    np.testing.assert_allclose(benchmark.ring_seconds(second, 8, 100), 0.0175, rtol=1e-12)


def test_the_latency_of_a_ring_grows_with_its_turns(benchmark):
    seconds = [benchmark.ring_seconds(0.0, hosts, 1) for hosts in (2, 64)]
    np.testing.assert_allclose(seconds, [3 * 2 * 50e-6, 3 * 126 * 50e-6], rtol=1e-12)
