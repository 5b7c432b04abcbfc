"""Compares the speed of our train step with that of the peers, for equal networks and losses.

    python benchmarks/peers/compare.py              # about half an hour on two cores
    python benchmarks/peers/compare.py --rounds 1 --seconds 1 --only jax --out /tmp/trial

The ratio of a peer to ours is computed within each round. Peers whose packages are missing are
skipped. `pip install "fashion-gan[bench]"` installs these packages. Writes docs/results/peers.json,
or on a GPU peers-gpu.json, where it replaces the pairs that it measured.
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
from worker import LEFT_OUT, PEERS, device_kind, gpu_name


def compare_pair(pair, names, options):
    """Times a pair with each peer, and writes the result after each round."""
    from fashion_gan import data

    on_gpu = device_kind() == "GPU"
    names = [name for name in names if on_gpu or name not in LEFT_OUT[pair]]
    steps = options.check_steps
    apart = loss_differences(pair, names, steps) if steps else dict.fromkeys(names)
    file_name = "peers-gpu" if on_gpu else "peers"
    report = read_result(options.out, file_name)
    machine = describe_machine("torch", "jax", "optax")
    if on_gpu:
        machine["device_name"] = gpu_name()

    def write(rounds):
        count = len(rounds["ours"])
        peers = {name: {"loss_apart": apart[name], "rounds": rounds[name]} for name in names}
        result = {"machine": machine, "seconds": options.seconds, "rounds": count, "peers": peers}
        write_result(options.out, file_name, {**report, pair: result})

    with tempfile.TemporaryDirectory() as folder:
        pixels = str(Path(folder) / "pixels.npy")
        np.save(pixels, data.load_fashion_mnist().train_images)
        arguments = {"pair": pair, "seconds": options.seconds, "pixels": pixels}
        requests = {name: Request("time_steps", {"name": name, **arguments}) for name in names}
        measure_in_rounds(worker.__file__, requests, options.rounds, after_round=write)


def main():
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="number of measurements of each peer (default 6)"
    )
    parser.add_argument(
        "--check-steps",
        type=int,
        default=20,
        help="number of steps over which losses are compared, 0 for none",
    )
    parser.add_argument(
        "--pair",
        action="append",
        choices=PAIRS,
        help="networks to measure; repeat the flag for both",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(PEERS),
        help="peer to measure; repeat the flag for several (default: all)",
    )
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
