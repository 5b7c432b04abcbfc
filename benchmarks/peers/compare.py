"""Our train step against the peers': who is how fast, with the same networks and the same losses.

    python benchmarks/peers/compare.py              # all, about half an hour on two cores
    python benchmarks/peers/compare.py --table      # only writes docs/speed.md anew
    python benchmarks/peers/compare.py --rounds 1 --seconds 1 --only ours --only jax --out FOLDER

Each measurement has a process of its own, and every round makes one of each peer, so that a drift
of the machine's speed hits all alike. A peer's ratio to ours is taken within each round. Peers
whose packages are missing are left out; `pip install "fashion-gan[bench]"` brings them. Writes
results/peers.json and speed.md below docs/.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
from check import child, differences, lacking
from one import PEERS

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
PAIRS = {"dense": "batch 32", "dcgan": "batch 64"}
PACKAGES = ("tensorflow", "keras", "torch", "jax", "optax", "numpy")


def run_all(pairs, names, rounds, seconds, steps_to_check):
    """Measurements by pair and peer, in rounds; and how far the losses of each are from ours."""
    from fashion_gan import data
    from fashion_gan.benchmark import processor

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels.npy"
        np.save(pixels, data.load().train_images)
        for pair in pairs:
            apart = differences(pair, names, steps_to_check)
            results[pair] = {name: {"loss_apart": apart[name], "rounds": []} for name in names}
        total, done = rounds * len(pairs) * len(names), 0
        for _ in range(rounds):
            for pair in pairs:
                for name in names:
                    measured = child("time", name, pair, seconds, pixels)
                    results[pair][name]["rounds"].append(measured)
                    done += 1
                    said = f"{measured['ms_per_step']:.3f} ms a step"
                    print(f"[{done}/{total}] {pair}, {name}: {said}", file=sys.stderr, flush=True)
    versions = {name: metadata.version(name) for name in PACKAGES if not _missing(name)}
    machine = {"processor": processor(), "cores": os.cpu_count(), **versions}
    return {"machine": machine, "seconds": seconds, "rounds": rounds, "results": results}


def _missing(package):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return True
    return False


def spread(values):
    """Median, least and largest."""
    return statistics.median(values), min(values), max(values)


def page(report):
    """docs/speed.md."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES if name in machine)
    lines = [
        "# Speed, beside others",
        "",
        f"Made by `python benchmarks/peers/compare.py` on {machine['processor']}, "
        f"{machine['cores']} cores, with {versions}. Medians of {report['rounds']} rounds, in "
        "brackets the least and largest; each measurement has a process of its own and trains for "
        f"{report['seconds']:g} s after a warm-up as long. The ratio is to ours in the same round: "
        "2 takes twice as long.",
        "",
        "All train the same two networks from the same data with the same RMSprop, each written as "
        "its users would write it (`benchmarks/peers/`). That none does less is checked first: "
        "from the same weights, images and latents, in float64 and without dropout, the losses of "
        "the first steps are ours but for the relative difference in the last column. keras-io and "
        "the book's loop are there twice, since Keras compiles with XLA by default.",
    ]
    for pair, peers in report["results"].items():
        ours = [r["ms_per_step"] for r in peers["ours"]["rounds"]]
        longest = max(statistics.median(_times(peer)) for peer in peers.values())
        lines += [
            "",
            f"## The {pair} pair, {PAIRS[pair]}",
            "",
            "| | ms a step | ratio to ours | | first step after | peak memory | losses apart |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, peer in peers.items():
            times = _times(peer)
            ratios = [theirs / our for theirs, our in zip(times, ours, strict=True)]
            first = statistics.median(r["first_seconds"] for r in peer["rounds"])
            memory = statistics.median(r["host_mib"] for r in peer["rounds"])
            bar = "█" * max(1, round(20 * statistics.median(times) / longest))
            lines.append(
                f"| {name} | {_shown(times)} | {_shown(ratios)} | {bar} | {first:.1f} s | "
                f"{memory:.0f} MiB | {peer['loss_apart']:.0e} |"
            )
    return "\n".join(lines) + "\n"


def _times(peer):
    return [measured["ms_per_step"] for measured in peer["rounds"]]


def _shown(values):
    return "{:.2f} ({:.2f}–{:.2f})".format(*spread(values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default 5)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each (default 8)")
    parser.add_argument("--check-steps", type=int, default=20, help="to compare losses over")
    parser.add_argument("--pair", action="append", choices=list(PAIRS), help="one or both")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="besides ours")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder (default docs)")
    parser.add_argument("--table", action="store_true", help="only write the page anew")
    options = parser.parse_args()
    results = options.out / "results/peers.json"
    if not options.table:
        wanted = ["ours", *(name for name in options.only or PEERS if name != "ours")]
        for name in wanted:
            if lacking(name):
                print(f"{name} is left out: {', '.join(lacking(name))} missing", file=sys.stderr)
        names = [name for name in wanted if not lacking(name)]
        settings = (options.rounds, options.seconds, options.check_steps)
        report = run_all(options.pair or list(PAIRS), names, *settings)
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "speed.md").write_text(page(json.loads(results.read_text())))
