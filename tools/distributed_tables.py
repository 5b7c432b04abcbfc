"""Makes the tables of docs/many-devices.md: measured bytes, and their cost on many hosts."""

import statistics
from collections.abc import Callable
from typing import Any

from markdown_tables import read, table

GIGABITS = (1, 10, 25, 100)
HOSTS = (2, 8, 64)
COLLECTIVES = 3  # all-reduces in a step: two gradients and the logged numbers
LATENCY = 50e-6  # seconds from one host to the next; assumed, not measured
GPU_GIGABITS = (400, 3600)  # a network card; NVLink 4 in one direction, by its data sheet
GPU_LATENCY = 5e-6  # seconds from one GPU to the next; assumed, not measured
RATES = [f"{gigabits} Gbit/s" for gigabits in GIGABITS]


def ring_seconds(num_bytes: float, hosts: int, gigabits: float, latency: float = LATENCY) -> float:
    """Computes the seconds of a step's ring all-reduces.

    Each host sends 2 (n - 1) / n of the bytes, in 2 (n - 1) steps of the ring.

    Args:
        num_bytes: Bytes to reduce in a step.
        hosts: Number of hosts n.
        gigabits: Bandwidth in Gbit/s.
        latency: Seconds from one host to the next. Defaults to `LATENCY`.
    """
    turns = 2 * (hosts - 1)
    return turns / hosts * num_bytes / (gigabits * 1e9 / 8) + COLLECTIVES * turns * latency


def measured() -> str:
    """Makes the table of the bytes and the milliseconds of a step."""
    report = read("distributed")
    machine, rows = report["machine"], []
    for pair in report["pairs"]:
        generator, discriminator = pair["gradients"].values()
        counted, sent = generator + discriminator, pair["sent_per_worker"]
        rows.append(
            [
                pair["pair"],
                *(f"{num_bytes:,} B" for num_bytes in (generator, discriminator, counted)),
                f"{sent:,.0f} B",
                f"{sent / counted:.3f}",
                f"{pair['ms_per_step']:.1f} ms",
            ]
        )
    head = ["pair", "generator's gradients", "discriminator's", "their sum"]
    head += ["sent a step and worker", "measured / counted", "step in one process"]
    return (
        f"{machine['cores']} cores of {machine['processor']}, TensorFlow {machine['tensorflow']}."
        f"\n\n{table(head, rows)}"
    )


def all_reduce() -> str:
    """Makes the table of the calculated milliseconds of a step's all-reduces."""
    rows = []
    for name, num_bytes, compute in _pairs():
        for hosts in HOSTS:
            seconds = [ring_seconds(num_bytes, hosts, gigabits) for gigabits in GIGABITS]
            cells = [f"{1e3 * s:.1f} ({compute / (compute + s):.0%})" for s in seconds]
            rows.append([name, hosts, *cells])
    return table(["pair", "hosts", *RATES], rows)


def gpus() -> str:
    """Makes the table of the calculated milliseconds of a step's all-reduces between GPUs."""
    peers = read("peers-gpu")
    rows = []
    for name, num_bytes, _ in _pairs():
        steps = [r["ms_per_step"] for r in peers[name]["peers"]["ours"]["rounds"]]
        compute = statistics.median(steps) / 1e3
        for count in (8, 64):
            cells = []
            for gigabits in GPU_GIGABITS:
                seconds = ring_seconds(num_bytes, count, gigabits, GPU_LATENCY)
                cells.append(f"{1e3 * seconds:.2f} ({compute / (compute + seconds):.0%})")
            rows.append([name, count, f"{1e3 * compute:.2f}", *cells])
    rates = [f"{gigabits:,} Gbit/s" for gigabits in GPU_GIGABITS]
    return table(["pair", "GPUs", "ms of a step", *rates], rows)


def fewest_hosts() -> str:
    """Makes the table of the fewest hosts whose all-reduces take longer than computing."""
    rows = [
        [
            name,
            *(
                next(n for n in range(2, 10_000) if ring_seconds(num_bytes, n, rate) > compute)
                for rate in GIGABITS
            ),
        ]
        for name, num_bytes, compute in _pairs()
    ]
    return table(["pair", *RATES], rows)


def _pairs() -> list[tuple[Any, int, float]]:
    """Returns name, bytes of the gradients, and seconds of a step for each pair."""
    return [
        (pair["pair"], sum(pair["gradients"].values()), pair["ms_per_step"] / 1e3)
        for pair in read("distributed")["pairs"]
    ]


TABLES: dict[str, Callable[[], str]] = {
    "docs/results/distributed.json": measured,
    "docs/results/distributed.json, all-reduce": all_reduce,
    "docs/results/distributed.json, fewest hosts": fewest_hosts,
    "docs/results/peers-gpu.json, all-reduce": gpus,
}
