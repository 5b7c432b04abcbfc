"""The benchmark: presets × variants, each measured in processes of its own, which take turns."""

import dataclasses
import json
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
from fashion_gan.charts import Bar, bars
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
    settings: dict[str, Any] | None = None,
    device: str | None = None,
    data_dir: str | None = None,
    profile: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time the train step of presets, each in several variants.

    Each measurement has a process of its own, and every round makes one of each, so that a drift of
    the machine's speed hits all alike. This process must stay small, and so does not import
    TensorFlow: on Linux a child's peak memory counts from its parent's.

    Args:
        presets: names of `PRESETS`.
        variants: names of `VARIANTS`, or `devices-N`; by default all of `VARIANTS`, but the book's
            loop for the book's networks alone, and all GPUs if there are several.
        rounds: measurements of each.
        steps: train steps to warm up, and as many to be timed, in each measurement; at most an
            epoch of them.
        steps_per_execution: of the variants with many.
        settings: fields of `Config` in place of the presets' own.
        device: "CPU" or "GPU"; by default what TensorFlow prefers.
        data_dir: see `data.find_fashion_mnist`.
        profile: folder that gets a TensorBoard profile of each in the first round.
        progress: told a line after each measurement.

    Returns:
        `machine`, `settings`, and `results`, one for each preset and variant: the median, least and
        largest `ms_per_step` of the rounds with all `measurements`, `images_per_second`,
        `floor_ms`, which is the step's FLOPs at the machine's best float32 rate, and
        `flops_utilization`, 1 if a step took no longer; or the `error` that ended it.

    Raises:
        ValueError: for an unknown name, a device that is not there, or rounds or steps below 1.
    """
    if rounds < 1 or steps < 1:
        raise ValueError(f"Expected at least 1. Received: rounds={rounds}, steps={steps}.")
    configs = {
        name: dataclasses.replace(lookup(PRESETS, name, "preset"), **settings or {})
        for name in presets
    }
    for name in variants or ():
        find_variant(name)
    machine = _child({"task": "machine", "device": device})
    if "error" in machine:
        raise ValueError(machine["error"].removeprefix("ValueError: "))
    machine = {"processor": processor(), "cores": os.cpu_count(), **machine}
    several = [f"devices-{machine['devices']}"] if machine["devices"] > 1 else []
    made: dict[tuple[str, str], list[dict[str, Any]]] = {
        (preset, variant): []
        for preset, config in configs.items()
        for variant in variants or [*VARIANTS, *several]
        if variants or not find_variant(variant).book or config.model in BOOK_MODELS
    }
    total, done = rounds * len(made), 0
    for turn in range(rounds):
        for (preset, variant), measurements in made.items():
            done += 1
            if measurements and "error" in measurements[-1]:
                continue
            folder = str(Path(profile) / f"{preset}-{variant}") if profile and not turn else None
            arguments = {
                "variant": variant,
                "steps": steps,
                "steps_per_execution": steps_per_execution,
                "device": device,
                "data_dir": data_dir,
                "profile": folder,
                "started": time.time(),
            }
            request = {"preset": dataclasses.asdict(configs[preset]), "arguments": arguments}
            measurements.append(_child({"task": "measure", **request}))
            said = (
                measurements[-1].get("error") or f"{measurements[-1]['ms_per_step']:.3f} ms a step"
            )
            progress(f"[{done}/{total}] {preset}, {variant}: {said}")
    return {
        "machine": machine,
        "settings": {"rounds": rounds, "steps": steps, "steps_per_execution": steps_per_execution},
        "results": [
            {"preset": preset, "variant": variant, **_summary(measurements, machine)}
            for (preset, variant), measurements in made.items()
        ],
    }


def table(report: dict[str, Any]) -> Any:
    """What `compare` returned as a table for `rich.console.Console.print`."""
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True)
    for head in ("ms a step", "min", "most", "images/s", "floor", "compile", "start", "MiB"):
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
            *(f"{times[part]:.3f}" for part in ("median", "min", "max")),
            f"{result['images_per_second']:,.0f}",
            f"{result['flops_utilization']:.0%}",
            f"{result['compile_seconds']:.1f} s",
            f"{result['first_seconds']:.1f} s",
            " + ".join(f"{part:.0f}" for part in memory if part is not None),
        )
    return made


def chart(report: dict[str, Any]) -> str:
    """What `compare` returned as bars in an SVG document.

    Raises:
        ValueError: if every variant failed.
    """
    spreads = [(r, r["ms_per_step"]) for r in report["results"] if "error" not in r]
    drawn = [
        Bar(f"{r['preset']}, {r['variant']}", ms["median"], ms["min"], ms["max"])
        for r, ms in spreads
    ]
    return bars(f"A train step on {report['machine']['processor']}", "ms", drawn)


def _summary(measurements: list[dict[str, Any]], machine: dict[str, Any]) -> dict[str, Any]:
    if "error" in measurements[-1]:
        return {"error": measurements[-1]["error"]}
    times = [m["ms_per_step"] for m in measurements]
    middle = {
        name: statistics.median(m[name] for m in measurements)
        for name in ("first_seconds", "compile_seconds", "host_mib")
    }
    last = measurements[-1]
    floor = 1e3 * last["flops"] / machine["flops_per_second"]
    median = statistics.median(times)
    return {
        "ms_per_step": {"median": median, "min": min(times), "max": max(times)},
        "images_per_second": 1e3 * last["batch_size"] / median,
        "floor_ms": floor,
        "flops_utilization": floor / median,
        "device_mib": last["device_mib"],
        **middle,
        "flops": last["flops"],
        "batch_size": last["batch_size"],
        "xla": last["xla"],
        "measurements": measurements,
    }


def _child(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of a new process; its `error` if it could not do what was asked."""
    command = [sys.executable, "-W", "ignore", "-m", "fashion_gan.benchmark", json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"error": f"the process ended with status {done.returncode}: {last}"}


def processor() -> str:
    """The name of the machine's processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
