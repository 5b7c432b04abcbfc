"""The tables of docs/speed.md, from docs/results."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BATCH = {"dense": 32, "dcgan": 64}


def read(name: str) -> dict[str, Any]:
    """A committed result."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def where(machine: dict[str, Any]) -> str:
    """The machine and what runs on it, in words."""
    packages = ("tensorflow", "keras", "torch", "jax")
    versions = ", ".join(f"{name} {machine[name]}" for name in packages if name in machine)
    return f"{machine['processor']}, {machine['cores']} cores; {versions}"


def spread(values: list[float], digits: int = 2, unit: str = "") -> str:
    """Median, and in brackets the least and largest."""
    numbers = statistics.median(values), min(values), max(values)
    middle, least, most = (f"{number:.{digits}f}{unit}" for number in numbers)
    return f"{middle} ({least}–{most})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def peers() -> str:
    """Every peer: its time, and its ratio to ours in the same round."""
    text = ""
    for pair, report in read("peers").items():
        results = report["peers"]
        times = {name: [r["ms_per_step"] for r in p["rounds"]] for name, p in results.items()}
        rows = []
        for name, peer in results.items():
            ratios = [t / ours for t, ours in zip(times[name], times["ours"], strict=True)]
            first, memory = (
                statistics.median(r[key] for r in peer["rounds"])
                for key in ("first_seconds", "host_mib")
            )
            rows.append(
                [
                    f"**{name}**" if name == "ours" else name,
                    spread(times[name]),
                    spread(ratios),
                    f"{first:.1f} s",
                    f"{memory:.0f}",
                    f"{peer['loss_apart']:.0e}",
                ]
            )
        head = ["", "ms a step", "÷ ours", "first step after", "peak MiB", "losses apart"]
        text += f"### The {pair} pair, batch {BATCH[pair]}\n\n{where(report['machine'])}; "
        text += f"{report['rounds']} rounds of {report['seconds']:g} s.\n\n{table(head, rows)}\n"
    return text


def benchmark() -> str:
    """The variants of `fashion-gan benchmark`."""
    text = ""
    for pair in ("dense", "dcgan"):
        report = read(f"benchmark-{pair}")
        rows = []
        for result in report["results"]:
            times = [m["ms_per_step"] for m in result["measurements"]]
            rows.append(
                [
                    f"`{result['variant']}`",
                    spread(times),
                    f"{result['images_per_second']:,.0f}",
                    f"{result['share_of_floor']:.0%}",
                    f"{result['compile_seconds']:.1f} s",
                    f"{result['host_mib']:.0f}",
                ]
            )
        rate = report["machine"]["flops_per_second"] / 1e9
        head = [f"`{pair}`", "ms a step", "images/s", "of the floor", "to compile", "peak MiB"]
        size = report["results"][0]["batch_size"]
        text += (
            f"{where(report['machine'])}; {report['settings']['rounds']} rounds; batch {size}; "
            f"best matrix product {rate:.0f} GFLOP/s.\n"
        )
        text += f"\n{table(head, rows)}\n"
    return text


def products() -> str:
    """The step beside its matrix products alone, and with what XLA lets one choose."""
    report = read("products")
    times = report["ms"]
    rows = []
    for name, spans in times.items():
        ratios = [span / step for span, step in zip(spans, times["step"], strict=True)]
        named = {"products": "the matrix products alone", "step": "**the step**"}.get(name, name)
        flags = f"`{report['flags'][name]}`" if name in report["flags"] else ""
        rows.append([named, spread(spans), spread(ratios), flags])
    return (
        f"{where(report['machine'])}; {len(times['step'])} rounds; "
        f"{report['flops'] / 1e6:.0f} million FLOPs a step.\n\n"
        f"{table(['', 'ms', '÷ the step', 'XLA_FLAGS'], rows)}"
    )


def convolutions() -> str:
    """Ways to convolve, beside the one that is used."""
    report = read("convolutions")
    base = [r["ms_per_step"] for r in report["rounds"]["as it is"]]
    rows = []
    for name, rounds in report["rounds"].items():
        times = [r["ms_per_step"] for r in rounds]
        ratios = [t / b for t, b in zip(times, base, strict=True)]
        rows.append([name, spread(times, 1), spread(ratios)])
    text = f"{where(report['machine'])}; {len(base)} rounds of {report['steps']} steps, batch 64.\n"
    return text + "\n" + table(["", "ms a step", "÷ as it is"], rows)


def overheads() -> str:
    """What callbacks add to an epoch, and how long one takes after a resumption."""
    report = read("overheads")
    rows = []
    for name, shares in report["overheads"].items():
        low, middle, high = statistics.quantiles(shares, n=4)
        rows.append([name, f"{middle:+.1%}", f"{low:+.1%} to {high:+.1%}"])
    turns = len(report["bare_epoch_seconds"])
    epoch = statistics.median(report["bare_epoch_seconds"])
    return (
        f"{where(report['machine'])}; {turns} turns; the bare epoch takes {epoch:.2f} s.\n\n"
        + table(["", "more than the bare epoch", "middle half of the turns"], rows)
        + "\nEpoch time after a resumption ÷ the same epochs of an uninterrupted run: "
        + f"{spread(report['resumed_ratios'], 3)}.\n"
    )


def start() -> str:
    """Seconds of each command."""
    report = read("start")
    rows = [[f"`{name}`", spread(seconds, 2, " s")] for name, seconds in report["seconds"].items()]
    rounds = len(next(iter(report["seconds"].values())))
    return f"{where(report['machine'])}; {rounds} rounds.\n\n{table(['', 'seconds'], rows)}"


def scaling() -> str:
    """The curves, and what holds of them in numbers."""
    report = read("scaling")

    def middle(point: dict[str, Any], name: str) -> float:
        return statistics.median(r[name] for r in point["rounds"])

    images = report["results"]["dataset"]
    grown = middle(images[-1], "mib") - middle(images[0], "mib")
    bytes_ = images[-1]["rounds"][0]["images_mib"] - images[0]["rounds"][0]["images_mib"]
    held = [r["mib"] for r in report["results"]["epochs"][0]["rounds"]]
    epochs = report["results"]["epochs"][0]["epochs"]
    late = [h[-1] / h[epochs.index(10)] for h in held]
    return (
        "![Curves of time and memory](images/scaling.svg)\n\n"
        f"{where(report['machine'])}; rounds: {len(held)}. The process grows by "
        f"{grown / bytes_:.2f} bytes for each "
        f"byte of images; after {epochs[-1]} epochs it holds {spread(late, 3)} times what it held "
        "after 10.\n"
    )


TABLES: dict[str, Callable[[], str]] = {
    "peers.json": peers,
    "benchmark-dense.json": benchmark,
    "products.json": products,
    "convolutions.json": convolutions,
    "overheads.json": overheads,
    "start.json": start,
    "scaling.json": scaling,
}
