"""Benchmarks presets in several variants, each in separate processes and interleaved rounds."""

import dataclasses
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fashion_gan.benchmark.variants import BOOK_MODELS, VARIANTS, Variant, find_variant
from fashion_gan.pages.charts import Bar, bars, curves
from fashion_gan.registry import lookup
from fashion_gan.runs.presets import PRESETS

__all__ = ["VARIANTS", "Variant", "chart", "compare", "find_variant", "processor", "table"]


def compare(
    presets: Sequence[str] = ("dense",),
    variants: Sequence[str] | None = None,
    *,
    rounds: int = 5,
    steps: int = 500,
    steps_per_execution: int = 100,
    batch_sizes: Sequence[int] = (),
    device: str | None = None,
    data_dir: str | None = None,
    profile: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Times the train step of presets, each in several variants.

    Each measurement runs in a separate process. Each round makes one measurement of each variant,
    so that a drift of the machine's speed affects all variants equally. This process does not
    import TensorFlow and must stay small, since on Linux the peak memory of a child process starts
    at that of its parent.

    Args:
        presets: Names of `PRESETS`.
        variants: Names of `VARIANTS`, or `devices-N`. Defaults to all of `VARIANTS`, and all GPUs
            if there are several. The book's loop is only a default for the book's networks.
        rounds: Number of measurements of each variant. Defaults to 5.
        steps: Number of train steps to warm up, and of train steps to time, in each measurement. At
            most one epoch. Defaults to 500.
        steps_per_execution: Steps per execution in the variants with many. Defaults to 100.
        batch_sizes: Batch sizes to time, each in every variant. Defaults to those of the presets.
        device: `"CPU"` or `"GPU"`. Defaults to the device that TensorFlow prefers.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        profile: Folder for a TensorBoard profile of each variant in the first round. Defaults to
            None.
        progress: Function that is called with a line after each measurement.

    Returns:
        Dict with `machine`, `settings` and `results`, one for each preset, variant and batch size.
        A result has the median, minimum and maximum `ms_per_step` of the rounds, all
        `measurements`, `images_per_second`, `floor_ms`, `flops_utilization`, `bytes_floor_ms` and
        `bandwidth_utilization`, or the `error` that ended it. `floor_ms` is the time of the step's
        FLOPs at the rate of the machine's best matrix product, in bfloat16 for mixed precision on a
        GPU and else in float32. `bytes_floor_ms` is the time to move the step's bytes. A step that
        takes the time of a floor has a utilization of 1.

    Raises:
        ValueError: If a name is unknown; if the device is missing; if rounds or steps are below 1.
    """
    if rounds < 1 or steps < 1:
        raise ValueError(f"Expected at least 1. Received: rounds={rounds}, steps={steps}.")
    configs = {name: lookup(PRESETS, name, "preset") for name in presets}
    for name in variants or ():
        find_variant(name)
    machine = _child({"task": "machine", "device": device})
    if "error" in machine:
        raise ValueError(machine["error"].removeprefix("ValueError: "))
    machine = {"processor": processor(), "cores": os.cpu_count(), **machine}
    several = [f"devices-{machine['devices']}"] if machine["devices"] > 1 else []
    made: dict[tuple[str, str, int], list[dict[str, Any]]] = {
        (preset, variant, batch_size): []
        for preset, config in configs.items()
        for variant in variants or [*VARIANTS, *several]
        for batch_size in batch_sizes or [config.batch_size]
        if variants or not find_variant(variant).book or config.model in BOOK_MODELS
    }
    total, done = rounds * len(made), 0
    for turn in range(rounds):
        for (preset, variant, batch_size), measurements in made.items():
            done += 1
            if measurements and "error" in measurements[-1]:
                continue
            name = f"{preset}-{variant}" + (f"-{batch_size}" if len(batch_sizes) > 1 else "")
            folder = str(Path(profile) / name) if profile and not turn else None
            arguments = {
                "variant": variant,
                "steps": steps,
                "steps_per_execution": steps_per_execution,
                "device": device,
                "data_dir": data_dir,
                "profile": folder,
                "started": time.time(),
            }
            config = dataclasses.replace(configs[preset], batch_size=batch_size)
            request = {"preset": dataclasses.asdict(config), "arguments": arguments}
            measurements.append(_child({"task": "measure", **request}))
            said = (
                measurements[-1].get("error") or f"{measurements[-1]['ms_per_step']:.3f} ms a step"
            )
            progress(f"[{done}/{total}] {preset}, {variant}, batch {batch_size}: {said}")
    return {
        "machine": machine,
        "settings": {"rounds": rounds, "steps": steps, "steps_per_execution": steps_per_execution},
        "results": [
            {
                "preset": preset,
                "variant": variant,
                "batch_size": batch_size,
                **_summary(measurements, machine),
            }
            for (preset, variant, batch_size), measurements in made.items()
        ],
    }


def table(report: dict[str, Any]) -> Any:
    """Returns the result of `compare` as a `rich` table."""
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True)
    heads = ("batch", "ms a step", "min", "most", "images/s", "FLOPs", "bytes", "compile", "start")
    for head in (*heads, "MiB"):
        made.add_column(head, justify="right")
    for result in report["results"]:
        name = f"{result['preset']}, {result['variant']}"
        if "error" in result:
            made.add_row(name, "failed")
            continue
        times = result["ms_per_step"]
        memory = [result["host_mib"], result["device_mib"]]
        made.add_row(
            name,
            f"{result['batch_size']}",
            *(f"{times[part]:.3f}" for part in ("median", "min", "max")),
            f"{result['images_per_second']:,.0f}",
            f"{result['flops_utilization']:.0%}",
            f"{result['bandwidth_utilization']:.0%}",
            f"{result['compile_seconds']:.1f} s",
            f"{result['first_seconds']:.1f} s",
            " + ".join(f"{part:.0f}" for part in memory if part is not None),
        )
    return made


def chart(report: dict[str, Any]) -> str:
    """Returns the result of `compare` as an SVG chart.

    Bars show the times of the variants. If there are several batch sizes, curves show the images
    per second against the batch size, both as powers of 2.

    Raises:
        ValueError: If every variant failed.
    """
    machine, results = report["machine"], [r for r in report["results"] if "error" not in r]
    device = machine.get("device_name", machine["processor"])
    if len({r["batch_size"] for r in results}) > len({r["preset"] for r in results}):
        series: dict[str, list[tuple[float, float]]] = {}
        for r in results:
            point = math.log2(r["batch_size"]), math.log2(r["images_per_second"])
            series.setdefault(f"{r['preset']}, {r['variant']}", []).append(point)
        title = f"log2 of images per second on {device}"
        return curves(title, "log2 of the batch size", series)
    drawn = [
        Bar(f"{r['preset']}, {r['variant']}", ms["median"], ms["min"], ms["max"])
        for r, ms in ((r, r["ms_per_step"]) for r in results)
    ]
    return bars(f"A train step on {device}", "ms", drawn)


def _summary(measurements: list[dict[str, Any]], machine: dict[str, Any]) -> dict[str, Any]:
    if "error" in measurements[-1]:
        return {"error": measurements[-1]["error"]}
    times = [m["ms_per_step"] for m in measurements]
    middle = {
        name: statistics.median(m[name] for m in measurements)
        for name in ("first_seconds", "compile_seconds", "host_mib")
    }
    last = measurements[-1]
    rate = machine["flops_per_second"]
    if last["dtype_policy"].startswith("mixed"):
        rate = machine.get("half_flops_per_second", rate)
    floor = 1e3 * last["flops"] / rate
    bytes_floor = 1e3 * last["bytes"] / machine["bytes_per_second"]
    median = statistics.median(times)
    return {
        "ms_per_step": {"median": median, "min": min(times), "max": max(times)},
        "images_per_second": 1e3 * last["batch_size"] / median,
        "floor_ms": floor,
        "flops_utilization": floor / median,
        "bytes_floor_ms": bytes_floor,
        "bandwidth_utilization": bytes_floor / median,
        "device_mib": last["device_mib"],
        **middle,
        "flops": last["flops"],
        "bytes": last["bytes"],
        "dtype_policy": last["dtype_policy"],
        "xla": last["xla"],
        "measurements": measurements,
    }


def _child(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the result of a new process, or a dict with its `error` if the process failed."""
    command = [sys.executable, "-W", "ignore", "-m", "fashion_gan.benchmark", json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"error": f"the process ended with status {done.returncode}: {last}"}


def processor() -> str:
    """Returns the name of the machine's processor, as far as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
