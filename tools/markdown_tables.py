"""Reads committed results and formats them as Markdown tables."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "docs/results"
VERSIONS = ("tensorflow", "keras", "torch", "jax")


def read(name: str) -> dict[str, Any]:
    """Returns the content of `docs/results/NAME.json`."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def read_lines(name: str) -> list[dict[str, Any]]:
    """Returns the lines of `docs/results/NAME.jsonl`."""
    return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """Formats a Markdown table."""
    lines = ["|" + "---|" * len(head), *(f"| {' | '.join(map(str, row))} |" for row in rows)]
    return "\n".join([f"| {' | '.join(map(str, head))} |", *lines]) + "\n"


def describe(machine: dict[str, Any]) -> str:
    """Returns the GPU if any, the processor, the cores and the versions of a machine as text."""
    gpu = f"{machine['device_name']}, " if "device_name" in machine else ""
    versions = ", ".join(f"{name} {machine[name]}" for name in VERSIONS if name in machine)
    return f"{gpu}{machine['processor']}, {machine['cores']} cores; {versions}"


def with_range(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Formats the median of several values, with their minimum and maximum in brackets."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}{unit}"
    numbers = statistics.median(values), min(values), max(values)
    middle, low, high = (f"{number:.{digits}f}{unit}" for number in numbers)
    return f"{middle} ({low}–{high})"
