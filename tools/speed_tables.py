"""Makes the tables of docs/speed.md and docs/precision.md from docs/results."""

import statistics
from collections.abc import Callable
from typing import Any

from markdown_tables import describe, read, table, with_range

BATCH = {"dense": 32, "dcgan": 64}


def peers(name: str = "peers") -> str:
    """Makes a table for each pair: the time of each peer, and its ratio to ours within a round.

    Args:
        name: Name of the result. Defaults to `"peers"`.
    """
    text = ""
    for pair, report in read(name).items():
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
                    with_range(times[name]),
                    with_range(ratios),
                    f"{first:.1f} s",
                    f"{memory:.0f}",
                    "" if peer["loss_apart"] is None else f"{peer['loss_apart']:.0e}",
                ]
            )
        head = ["", "ms a step", "÷ ours", "first step after", "peak MiB", "losses apart"]
        if all(peer["loss_apart"] is None for peer in results.values()):
            head, rows = head[:-1], [row[:-1] for row in rows]
        rounds = "1 round" if report["rounds"] == 1 else f"{report['rounds']} rounds"
        text += f"### The {pair} pair, batch {BATCH[pair]}\n\n{describe(report['machine'])}; "
        text += f"{rounds} of {report['seconds']:g} s.\n\n{table(head, rows)}\n"
    return text


def benchmark() -> str:
    """Makes the tables of the variants of `fashion-gan benchmark`."""
    text = ""
    for pair in ("dense", "dcgan"):
        report = read(f"benchmark-{pair}")
        rows = [
            [
                f"`{result['variant']}`",
                with_range([m["ms_per_step"] for m in result["measurements"]]),
                f"{result['images_per_second']:,.0f}",
                f"{result['flops_utilization']:.0%}",
                f"{result['compile_seconds']:.1f} s",
                f"{result['host_mib']:.0f}",
            ]
            for result in report["results"]
        ]
        rate = report["machine"]["flops_per_second"] / 1e9
        head = [f"`{pair}`", "ms a step", "images/s", "FLOPs utilization", "to compile", "peak MiB"]
        size = report["results"][0]["batch_size"]
        text += (
            f"{describe(report['machine'])}; {report['settings']['rounds']} rounds; batch {size}; "
            f"best matrix product {rate:.0f} GFLOP/s.\n"
        )
        text += f"\n{table(head, rows)}\n"
    return text


def matmul() -> str:
    """Makes the table of the dense step, its matrix products alone, and other kernels of XLA."""
    report = read("kernels-matmul")
    times = report["ms"]
    titles = {"products": "the matrix products alone", "step": "**the step**"}
    rows = []
    for name, values in times.items():
        ratios = [value / step for value, step in zip(values, times["step"], strict=True)]
        flags = f"`{report['flags'][name]}`" if name in report["flags"] else ""
        rows.append([titles.get(name, name), with_range(values), with_range(ratios), flags])
    return (
        f"{describe(report['machine'])}; {len(times['step'])} rounds; "
        f"{report['flops'] / 1e6:.0f} million FLOPs a step.\n\n"
        f"{table(['', 'ms', '÷ the step', 'XLA_FLAGS'], rows)}"
    )


def convolutions() -> str:
    """Makes the table of alternative convolutions."""
    report = read("kernels-convolutions")
    base = [r["ms_per_step"] for r in report["rounds"]["as it is"]]
    rows = []
    for name, rounds in report["rounds"].items():
        times = [r["ms_per_step"] for r in rounds]
        ratios = [t / b for t, b in zip(times, base, strict=True)]
        rows.append([name, with_range(times, 1), with_range(ratios)])
    text = f"{describe(report['machine'])}; {len(base)} rounds of {report['steps']} steps, batch 64"
    return f"{text}.\n\n" + table(["", "ms a step", "÷ as it is"], rows)


def callback_overhead() -> str:
    """Makes the table of the cost of callbacks per epoch, and the ratio after resuming."""
    report = read("callback-overhead")
    rows = []
    for name, overheads in report["overheads"].items():
        low, middle, high = statistics.quantiles(overheads, n=4)
        rows.append([name, f"{middle:+.1%}", f"{low:+.1%} to {high:+.1%}"])
    turns = len(report["bare_epoch_seconds"])
    epoch = statistics.median(report["bare_epoch_seconds"])
    return (
        f"{describe(report['machine'])}; {turns} turns; the bare epoch takes {epoch:.2f} s.\n\n"
        + table(["", "more than the bare epoch", "middle half of the turns"], rows)
        + "\nEpoch time after a resumption ÷ the same epochs of an uninterrupted run: "
        + f"{with_range(report['resumed_ratios'], 3)}.\n"
    )


def startup_time() -> str:
    """Makes the table of the seconds of each command."""
    report = read("startup-time")
    seconds = report["seconds"]
    rows = [[f"`{name}`", with_range(values, 2, " s")] for name, values in seconds.items()]
    rounds = len(next(iter(seconds.values())))
    return f"{describe(report['machine'])}; {rounds} rounds.\n\n{table(['', 'seconds'], rows)}"


def scaling() -> str:
    """Shows the curves, and states how memory grows."""
    report = read("scaling")

    def median(point: dict[str, Any], name: str) -> float:
        return statistics.median(r[name] for r in point["rounds"])

    images = report["results"]["dataset"]
    growth = median(images[-1], "mib") - median(images[0], "mib")
    size = images[-1]["rounds"][0]["images_mib"] - images[0]["rounds"][0]["images_mib"]
    memory = [r["mib"] for r in report["results"]["epochs"][0]["rounds"]]
    epochs = report["results"]["epochs"][0]["epochs"]
    ratios = [mib[-1] / mib[epochs.index(10)] for mib in memory]
    return (
        "![Curves of time and memory](images/scaling.svg)\n\n"
        f"{describe(report['machine'])}; rounds: {len(memory)}. The process grows by "
        f"{growth / size:.2f} bytes for each byte of images. After {epochs[-1]} epochs it holds "
        f"{with_range(ratios, 3)} times the memory that it held after 10.\n"
    )


def precision() -> str:
    """Makes the table of dtype policies with and without XLA, for each preset."""
    report = read("precision")
    runs = report["runs"]
    bases = {
        r["preset"]: r for r in runs if (r["dtype_policy"], r["jit_compile"]) == ("float32", False)
    }
    rows = [
        [
            r["preset"],
            r["dtype_policy"],
            "on" if r["jit_compile"] else "off",
            f"{r['ms_per_step']:.2f}",
            f"{r['ms_per_step'] / bases[r['preset']]['ms_per_step']:.2f}",
            f"{r['d_loss']:.3f}",
            f"{r['g_loss']:.3f}",
        ]
        for r in runs
        if r["seed"] == runs[0]["seed"]
    ]
    head = ["preset", "dtype policy", "XLA", "ms a step", "relative", "`d_loss`", "`g_loss`"]
    return f"{describe(report['machine'])}.\n\n{table(head, rows)}"


def precision_seeds() -> str:
    """Makes the table of the final losses of the dense GAN over its seeds."""
    variant = ("dense", "float32", True)
    runs = [
        r
        for r in read("precision")["runs"]
        if (r["preset"], r["dtype_policy"], r["jit_compile"]) == variant
    ]
    rows = []
    for name in ("d_loss", "g_loss"):
        values = [r[name] for r in runs]
        numbers = min(values), max(values), statistics.mean(values), statistics.stdev(values)
        rows.append([f"`{name}`", *(f"{number:.3f}" for number in numbers)])
    seeds = ", ".join(str(r["seed"]) for r in runs)
    head = ["loss", "minimum", "maximum", "mean", "standard deviation"]
    return f"Seeds {seeds}.\n\n{table(head, rows)}"


TABLES: dict[str, Callable[[], str]] = {
    "docs/results/peers.json": peers,
    "docs/results/peers-gpu.json": lambda: peers("peers-gpu"),
    "docs/results/benchmark-dense.json": benchmark,
    "docs/results/kernels-matmul.json": matmul,
    "docs/results/kernels-convolutions.json": convolutions,
    "docs/results/callback-overhead.json": callback_overhead,
    "docs/results/startup-time.json": startup_time,
    "docs/results/scaling.json": scaling,
    "docs/results/precision.json": precision,
    "docs/results/precision.json, seeds": precision_seeds,
}
