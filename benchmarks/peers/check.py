"""Checks that all peers compute equal losses from equal weights, images and latents.

    python benchmarks/peers/check.py [--only NAME ...] [--pair dense] [--steps 20]

Each peer runs the same steps in a separate process. All compute in float64, so that rounding does
not hide a difference, and without dropout, since each framework draws different masks. Fails if the
relative difference of a loss from ours exceeds one millionth.
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import worker
from _harness import Request, measure
from worker import PEERS

NEEDS = {"torch_gan": ("torch",), "jax_gan": ("jax", "optax")}
PAIRS = ("dense", "dcgan")
TOLERANCE = 1e-6


def missing_packages(name):
    """Returns the missing packages of a peer."""
    return [package for package in NEEDS.get(PEERS[name][0], ()) if find_spec(package) is None]


def ask(task, **arguments):
    """Runs a task of `worker.py` in a separate process."""
    return measure(worker.__file__, Request(task, arguments))


def loss_differences(pair, names, steps):
    """Returns the largest relative difference of a loss from ours, for each peer."""
    with tempfile.TemporaryDirectory() as folder:
        given = str(Path(folder) / "given.npz")
        ask("write_given", path=given, pair=pair, steps=steps)
        ours = np.array(
            ask("compute_losses", name="ours, one step, no XLA", pair=pair, given=given)
        )
        differences = {}
        for name in names:
            theirs = np.array(ask("compute_losses", name=name, pair=pair, given=given))
            differences[name] = float(np.max(np.abs(theirs - ours) / np.abs(ours)))
        return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=list(PEERS), help="peers to check (default: all)"
    )
    parser.add_argument(
        "--pair", action="append", choices=PAIRS, help="networks to check; repeat the flag for both"
    )
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    names = [name for name in options.only or PEERS if not missing_packages(name)]
    largest = 0.0
    for pair in options.pair or PAIRS:
        for name, difference in loss_differences(pair, names, options.steps).items():
            print(f"{pair}, {name}: losses within {difference:.1e}", flush=True)
            largest = max(largest, difference)
    if largest > TOLERANCE:
        sys.exit(f"Expected losses within {TOLERANCE:.0e} of ours. Received: {largest:.1e}.")


if __name__ == "__main__":
    main()
