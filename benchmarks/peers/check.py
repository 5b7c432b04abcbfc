"""Do the peers compute the same? Equal weights, images and latents have to give equal losses.

    python benchmarks/peers/check.py [--only NAME ...] [--steps 20]

Each peer makes the same steps in a process of its own, in float64, where rounding does not hide
what differs, and without dropout, whose masks no two frameworks draw alike. Fails if a loss differs
from ours by more than a millionth of it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from one import PEERS

HERE = Path(__file__).parent
NEEDS = {"torch_gan": ("torch",), "jax_gan": ("jax", "optax")}
TOLERANCE = 1e-6


def lacking(name):
    """Packages that a peer needs and that are not installed."""
    return [package for package in NEEDS.get(PEERS[name][0], ()) if find_spec(package) is None]


def child(*arguments):
    """What a process of `one.py` prints, from JSON."""
    command = [sys.executable, "-W", "ignore", HERE / "one.py", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def differences(pair, names, steps):
    """The largest relative difference of a loss from ours, for each peer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.npz"
        child("give", "ours", pair, path, steps)
        ours = np.array(child("check", "ours, one step, no XLA", pair, path))
        found = {}
        for name in names:
            theirs = np.array(child("check", name, pair, path))
            found[name] = float(np.max(np.abs(theirs - ours) / np.abs(ours)))
        return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(PEERS), help="one or several peers")
    parser.add_argument("--pair", action="append", choices=("dense", "dcgan"))
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    names = [name for name in options.only or PEERS if not lacking(name)]
    worst = 0.0
    for pair in options.pair or ("dense", "dcgan"):
        for name, difference in differences(pair, names, options.steps).items():
            print(f"{pair}, {name}: losses within {difference:.1e}", flush=True)
            worst = max(worst, difference)
    if worst > TOLERANCE:
        sys.exit(f"A loss differs by {worst:.1e} of it, more than {TOLERANCE:.0e}.")
