"""Tests the measured bytes of two workers, and what docs/many-devices.md calculates from them."""

import importlib
import json

import numpy as np
import pytest
from helpers import ROOT

from fashion_gan import models


@pytest.fixture
def tables(monkeypatch):
    """Returns the module `tools/distributed_tables.py`."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("distributed_tables")


@pytest.mark.parametrize("name", ["dense", "dcgan"])
def test_workers_send_at_most_two_percent_more_than_the_gradients(name):
    report = json.loads((ROOT / "docs/results/distributed.json").read_text())
    pairs = {pair["pair"]: pair for pair in report["pairs"]}
    networks = models.build_networks(name)
    weights = [w for network in networks for w in network.trainable_weights]
    counted = sum(pairs[name]["gradients"].values())
    assert counted == 4 * sum(int(np.prod(w.shape)) for w in weights)
    assert 1.0 <= pairs[name]["sent_per_worker"] / counted <= 1.02


def test_ring_seconds_approach_twice_the_bytes_as_hosts_grow(tables):
    second = 1e9 / 8  # bytes at 1 Gbit/s
    for hosts, expected in ((2, 1.0), (8, 1.75), (64, 1.96875)):
        seconds = tables.ring_seconds(second, hosts, 1, latency=0.0)
        np.testing.assert_allclose(seconds, expected, rtol=1e-12)
    seconds = tables.ring_seconds(second, 8, 100, latency=0.0)
    np.testing.assert_allclose(seconds, 0.0175, rtol=1e-12)


def test_ring_seconds_add_the_latency_of_each_turn(tables):
    seconds = [tables.ring_seconds(0.0, hosts, 1) for hosts in (2, 64)]
    np.testing.assert_allclose(seconds, [3 * 2 * 50e-6, 3 * 126 * 50e-6], rtol=1e-12)
