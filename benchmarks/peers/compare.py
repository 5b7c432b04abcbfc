"""Compares the speed of our train step with that of the peers, for equal networks and losses.

    python benchmarks/peers/compare.py              # about half an hour on two cores
    python benchmarks/peers/compare.py --rounds 1 --seconds 1 --only jax --out /tmp/trial

The ratio of a peer to ours is computed within each round. Peers whose packages are missing are
skipped. `pip install "fashion-gan[bench]"` installs these packages. Writes docs/results/peers.json,
where it replaces the pairs that it measured.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import worker
from _harness import (
    Request,
    describe_machine,
    make_parser,
    measure_in_rounds,
    read_result,
    write_result,
)
from check import PAIRS, loss_differences, missing_packages
from worker import LEFT_OUT, PEERS


def compare_pair(pair, names, options):
    """Times a pair with each peer, and writes the result after each round."""
    from fashion_gan import data

    names = [name for name in names if name not in LEFT_OUT[pair]]
    apart = loss_differences(pair, names, options.check_steps)
    report = read_result(options.out, "peers")
    machine = describe_machine("torch", "jax", "optax")

    def write(rounds):
        count = len(rounds["ours"])
        peers = {name: {"loss_apart": apart[name], "rounds": rounds[name]} for name in names}
        result = {"machine": machine, "seconds": options.seconds, "rounds": count, "peers": peers}
        write_result(options.out, "peers", {**report, pair: result})

    with tempfile.TemporaryDirectory() as folder:
        pixels = str(Path(folder) / "pixels.npy")
        np.save(pixels, data.load_fashion_mnist().train_images)
        arguments = {"pair": pair, "seconds": options.seconds, "pixels": pixels}
        requests = {name: Request("time_steps", {"name": name, **arguments}) for name in names}
        measure_in_rounds(worker.__file__, requests, options.rounds, after_round=write)


def main():
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each (default 6)")
    parser.add_argument("--check-steps", type=int, default=20, help="to compare losses over")
    parser.add_argument("--pair", action="append", choices=PAIRS, help="one or both")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="beside ours")
    options = parser.parse_args()
    names = ["ours", *(name for name in options.only or PEERS if name != "ours")]
    for name in names:
        if packages := missing_packages(name):
            print(f"{name} is left out: {', '.join(packages)} missing", file=sys.stderr)
    names = [name for name in names if not missing_packages(name)]
    for pair in options.pair or PAIRS:
        compare_pair(pair, names, options)


if __name__ == "__main__":
    main()
