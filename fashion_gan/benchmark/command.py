"""The command `fashion-gan benchmark`: its flags, and what it prints."""

import argparse
import json
import sys

from fashion_gan import flags
from fashion_gan.benchmark import VARIANTS, chart, compare, table
from fashion_gan.files import atomic_write
from fashion_gan.parser import positive
from fashion_gan.presets import PRESETS
from fashion_gan.registry import ending
from fashion_gan.terminal import show

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `run` reads."""
    parser.add_argument(
        "--preset",
        action="append",
        help=f"preset to time, may be given again: {', '.join(PRESETS)} (default {flags.PRESET})",
    )
    parser.add_argument(
        "--variant",
        action="append",
        help="variant to time, may be given again (default: all): "
        + "; ".join(f"{name} ({variant.help})" for name, variant in VARIANTS.items())
        + "; devices-N (auto, on N devices)",
    )
    for flag, default, help in (
        ("--rounds", 5, "measurements of each variant, of which the median counts"),
        (
            "--steps",
            500,
            "train steps to warm up, and as many again to be timed, in each measurement",
        ),
        ("--steps-per-execution", 100, "train steps in an execution, in the variants with many"),
        ("--batch-size", None, "images in a batch, in place of the presets' own number"),
    ):
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(
            flag, type=positive, default=default, metavar="N", help=f"{help}{shown}"
        )
    parser.add_argument(
        "--device",
        choices=("CPU", "GPU"),
        help="device that computes (default: what TensorFlow prefers)",
    )
    parser.add_argument("--chart", metavar="FILE.svg", help="draw the times as bars")
    parser.add_argument(
        "--profile", metavar="FOLDER", help="write a profile of each variant for TensorBoard"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    flags.add_data_dir(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, and print a table or JSON.

    Raises:
        ValueError: as `compare` does; for another chart than an SVG; and after the report, if a
            variant failed.
    """
    if options.chart:
        ending(options.chart, (".svg",))
    settings = {"batch_size": options.batch_size} if options.batch_size else {}
    report = compare(
        options.preset or [flags.PRESET],
        options.variant,
        rounds=options.rounds,
        steps=options.steps,
        steps_per_execution=options.steps_per_execution,
        settings=settings,
        device=options.device,
        data_dir=options.data_dir,
        profile=options.profile,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        show(table(report))
        best = report["machine"]["flops_per_second"] / 1e9
        print(f"floor: share of {best:.0f} GFLOP/s, the rate of the machine's best matrix product")
        print("start: from the command to the first result; MiB: peak memory, host + device")
    if options.chart:
        with atomic_write(options.chart) as partial:
            partial.write_text(chart(report))
    if failed := [f"{r['preset']}, {r['variant']}" for r in report["results"] if "error" in r]:
        raise ValueError(f"{'; '.join(failed)} failed. The lines above, or --json, say why.")
