"""What two workers send in a step, measured, and what that would make of many hosts, calculated.

    python benchmarks/replica_bytes.py            # a few minutes on two cores
    python benchmarks/replica_bytes.py --table    # only writes the tables anew

Bytes are counted from the sizes of the gradients, and measured by the counters of the loopback
interface while two workers train on this host: let nothing else use it meanwhile. Milliseconds are
those of a step on this host in one process. Writes docs/results/replica-bytes.json, and from it the
tables in docs/many-devices.md.
"""

import argparse
import dataclasses
import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

from fashion_gan.files import write_json

DOCS = Path(__file__).parent.parent / "docs"
RESULTS, PAGE = DOCS / "results/replica-bytes.json", DOCS / "many-devices.md"
START, END = "<!-- from docs/results/replica-bytes.json -->\n", "<!-- end -->"
PAIRS = ("dense", "dcgan")
BATCH = 32  # images a worker and step
WARM_UP, STEPS = 10, 50
GIGABITS = (1, 10, 25, 100)
HOSTS = (2, 8, 64)
COLLECTIVES = 3  # in a step: two gradients and the logged numbers
LATENCY = 50e-6  # seconds from one host to the next; assumed, not measured


def train(pair: str, workers: int) -> dict:
    """Bytes over the loopback and milliseconds, both a step; sizes of the gradients."""
    import keras
    import numpy as np

    from fashion_gan import assembly, data, runtime
    from fashion_gan.presets import PRESETS

    class Counter(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.marks: list[tuple[int, float]] = []

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if batch + 1 >= WARM_UP:
                self.marks.append((loopback(), time.perf_counter()))

    strategy = runtime.strategy()
    batch_size = BATCH * workers
    config = dataclasses.replace(
        PRESETS[pair], batch_size=batch_size, steps_per_execution=1, jit_compile="off"
    )
    with strategy.scope():
        gan = assembly.build(config)
    images = np.random.default_rng(0).random((batch_size * (WARM_UP + STEPS), 28, 28, 1))
    counter = Counter()
    dataset = data.make_dataset(images, batch_size, value_range=gan.value_range)
    gan.fit(dataset, callbacks=[counter], verbose=0)
    (first, _), (last, _) = counter.marks[0], counter.marks[-1]
    times = [t for _, t in counter.marks]
    fastest = min(b - a for a, b in zip(times, times[10:], strict=False)) / 10
    sizes = {
        network.name: sum(4 * int(np.prod(w.shape)) for w in network.trainable_weights)
        for network in (gan.generator, gan.discriminator)
    }
    return {"sent": (last - first) / STEPS, "ms": 1e3 * fastest, "gradients": sizes}


def loopback() -> int:
    """Bytes sent over the loopback interface since it is up."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (counts,) = (line.split(":")[1].split() for line in lines if line.strip().startswith("lo:"))
    return int(counts[8])


def start(pair: str, cluster: list[str]) -> list[subprocess.Popen]:
    """This script as one process, or as the workers at these addresses."""
    processes = []
    for index in range(max(len(cluster), 1)):
        task = {"cluster": {"worker": cluster}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment |= {"TF_CONFIG": json.dumps(task)} if cluster else {}
        command = [sys.executable, "-W", "ignore", __file__, "--child", pair]
        command.append(str(max(len(cluster), 1)))
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    return processes


def measure(pair: str) -> dict:
    """Bytes of a step from two workers, milliseconds from one process."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    found = []
    for addresses in (cluster, []):
        outputs = [process.communicate()[0] for process in start(pair, addresses)]
        found.append(json.loads(outputs[0].splitlines()[-1]))
    together, alone = found
    return {
        "pair": pair,
        "gradients": alone["gradients"],
        "sent_per_worker": together["sent"] / 2,
        "ms_per_step": alone["ms"],
    }


def run_all() -> dict:
    """Both pairs, and where they were measured."""
    from fashion_gan.runtime import versions

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    machine = {"processor": processor, "cores": os.cpu_count(), **versions()}
    return {"machine": machine, "pairs": [measure(pair) for pair in PAIRS]}


def ring_seconds(reduced: float, hosts: int, gigabits: float) -> float:
    """Time of a step's ring all-reduces: each host sends 2 (n - 1) / n of the bytes, in as many
    turns."""
    turns = 2 * (hosts - 1)
    return turns / hosts * reduced / (gigabits * 1e9 / 8) + COLLECTIVES * turns * LATENCY


def tables(results: dict) -> str:
    """What was measured, and what is calculated from it."""
    machine = results["machine"]
    lines = [
        "",
        f"Measured by two workers on one host, {machine['cores']} cores of {machine['processor']}, "
        f"TensorFlow {machine['tensorflow']}, {BATCH} images a worker and step, mean of {STEPS} "
        "steps; the milliseconds are those of the fastest ten in a row. A ring of two "
        "sends each byte of the gradients once.",
        "",
        "| pair | generator's gradients | discriminator's | their sum | sent a step and worker | "
        "measured / counted | step in one process |",
        "|---|---|---|---|---|---|---|",
    ]
    for pair in results["pairs"]:
        generator, discriminator = pair["gradients"].values()
        counted, sent = generator + discriminator, pair["sent_per_worker"]
        lines.append(
            f"| {pair['pair']} | {generator:,} B | {discriminator:,} B | {counted:,} B | "
            f"{sent:,.0f} B | {sent / counted:.3f} | {pair['ms_per_step']:.1f} ms |"
        )
    lines += [
        "",
        f"**Calculated, not measured**, for {BATCH} images a host and step on hosts as fast as "
        f"this one: milliseconds a step in ring all-reduces, with {LATENCY * 1e6:.0f} µs assumed "
        "from host to host, and in brackets the share of the time that is left for computing, if "
        "nothing overlaps.",
        "",
        "| pair | hosts | " + " | ".join(f"{g} Gbit/s" for g in GIGABITS) + " |",
        "|---|---|" + "---|" * len(GIGABITS),
    ]
    for pair in results["pairs"]:
        counted, compute = sum(pair["gradients"].values()), pair["ms_per_step"] / 1e3
        for hosts in HOSTS:
            cells = [ring_seconds(counted, hosts, gigabits) for gigabits in GIGABITS]
            lines.append(
                f"| {pair['pair']} | {hosts} | "
                + " | ".join(f"{1e3 * t:.1f} ({compute / (compute + t):.0%})" for t in cells)
                + " |"
            )
    lines += [
        "",
        "The fewest hosts for which that would take longer than computing:",
        "",
        "| pair | " + " | ".join(f"{g} Gbit/s" for g in GIGABITS) + " |",
        "|---|" + "---|" * len(GIGABITS),
    ]
    for pair in results["pairs"]:
        counted, compute = sum(pair["gradients"].values()), pair["ms_per_step"] / 1e3
        fewest = [
            next(n for n in range(2, 10_000) if ring_seconds(counted, n, gigabits) > compute)
            for gigabits in GIGABITS
        ]
        lines.append(f"| {pair['pair']} | " + " | ".join(map(str, fewest)) + " |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/many-devices.md with the tables of the results."""
    head, rest = PAGE.read_text().split(START)
    return head + START + tables(json.loads(RESULTS.read_text())) + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="only write the tables anew")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(train(options.child[0], int(options.child[1]))))
    else:
        if not options.table:
            write_json(RESULTS, run_all())
        PAGE.write_text(page())
