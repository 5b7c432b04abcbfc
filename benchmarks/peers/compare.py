"""Our train step against the peers': who is how fast, with the same networks and the same losses.

    python benchmarks/peers/compare.py              # all, about half an hour on two cores
    python benchmarks/peers/compare.py --rounds 1 --seconds 1 --only ours --only jax --out FILE.json

Each measurement has a process of its own, and every round makes one of each peer, so that a drift
of the machine's speed hits all alike. A peer's ratio to ours is taken within each round. Peers
whose packages are missing are left out; `pip install "fashion-gan[bench]"` brings them. Writes
docs/results/peers.json, where it replaces the pairs that it measured; `python docs/update.py` puts
it into a page.
"""

import argparse
import json
import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
from check import child, differences, lacking
from one import LEFT_OUT, PEERS

from fashion_gan.files import write_json

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
PAIRS = ("dense", "dcgan")
PACKAGES = ("tensorflow", "keras", "torch", "jax", "optax", "numpy")


def run_pair(pair, names, rounds, seconds, steps_to_check, keep):
    """Measurements of a pair by peer, in rounds, and how far the losses of each are from ours.

    After each round, `keep` is called with all of it.
    """
    from fashion_gan import data
    from fashion_gan.benchmark import processor

    versions = {name: metadata.version(name) for name in PACKAGES if not _missing(name)}
    machine = {"processor": processor(), "cores": os.cpu_count(), **versions}
    timed = [name for name in names if name not in LEFT_OUT[pair]]
    apart = differences(pair, timed, steps_to_check)
    peers = {name: {"loss_apart": apart[name], "rounds": []} for name in timed}
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels.npy"
        np.save(pixels, data.load().train_images)
        for turn in range(rounds):
            for name in timed:
                measured = child("time", name, pair, seconds, pixels)
                peers[name]["rounds"].append(measured)
                said = f"{measured['ms_per_step']:.3f} ms a step"
                print(f"[{turn + 1}/{rounds}] {pair}, {name}: {said}", file=sys.stderr, flush=True)
            keep({"machine": machine, "seconds": seconds, "rounds": turn + 1, "peers": peers})


def _missing(package):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return True
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default 5)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each (default 6)")
    parser.add_argument("--check-steps", type=int, default=20, help="to compare losses over")
    parser.add_argument("--pair", action="append", choices=PAIRS, help="one or both")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="besides ours")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/peers.json")
    options = parser.parse_args()
    wanted = ["ours", *(name for name in options.only or PEERS if name != "ours")]
    for name in wanted:
        if lacking(name):
            print(f"{name} is left out: {', '.join(lacking(name))} missing", file=sys.stderr)
    names = [name for name in wanted if not lacking(name)]
    for pair in options.pair or PAIRS:
        report = json.loads(options.out.read_text()) if options.out.exists() else {}

        def keep(results, pair=pair, report=report):
            write_json(options.out, {**report, pair: results})

        settings = (options.rounds, options.seconds, options.check_steps)
        run_pair(pair, names, *settings, keep)
