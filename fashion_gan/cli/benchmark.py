"""Implements the command `fashion-gan benchmark`."""

import argparse
import json
import sys
from typing import Any

from fashion_gan.benchmark import VARIANTS, chart, compare, table
from fashion_gan.cli.console import show
from fashion_gan.cli.options import PRESET, add_command, add_data_dir
from fashion_gan.cli.parser import positive_int
from fashion_gan.files import atomic_write
from fashion_gan.registry import check_suffix
from fashion_gan.runs.presets import PRESETS

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Adds `benchmark`."""
    parser = add_command(
        commands,
        "benchmark",
        _benchmark,
        "measure the time of a train step in several variants",
        examples=(
            "fashion-gan benchmark --preset dense --chart times.svg",
            "fashion-gan benchmark --preset dcgan --variant auto --batch-size 64 --batch-size 256",
        ),
    )
    parser.add_argument(
        "--preset",
        action="append",
        help=f"preset to measure; repeat the flag for several: {', '.join(PRESETS)} (default "
        f"{PRESET})",
    )
    parser.add_argument(
        "--variant",
        action="append",
        help="variant to measure; repeat the flag for several (default: all): "
        + "; ".join(f"{name} ({variant.help})" for name, variant in VARIANTS.items())
        + "; devices-N (auto, on N devices)",
    )
    for flag, default, help in (
        ("--rounds", 5, "number of measurements of each variant, whose median is reported"),
        (
            "--steps",
            500,
            "number of train steps in each measurement, after the same number of warm-up steps",
        ),
        (
            "--steps-per-execution",
            100,
            "train steps per call of the compiled graph, in the variants with many",
        ),
    ):
        parser.add_argument(
            flag,
            type=positive_int,
            default=default,
            metavar="N",
            help=f"{help} (default {default})",
        )
    parser.add_argument(
        "--batch-size",
        action="append",
        type=positive_int,
        metavar="N",
        help="images in a batch; repeat the flag for several (default: batch size of the preset)",
    )
    parser.add_argument(
        "--device",
        choices=("CPU", "GPU"),
        help="device to run on (default: the GPU if there is one)",
    )
    parser.add_argument(
        "--chart",
        metavar="FILE.svg",
        help="also draw the times as bars, or the images per second for several batch sizes",
    )
    parser.add_argument(
        "--profile", metavar="FOLDER", help="also write a profile of each variant for TensorBoard"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    add_data_dir(parser)


def _benchmark(options: argparse.Namespace) -> None:
    if options.chart:
        check_suffix(options.chart, (".svg",))
    report = compare(
        options.preset or [PRESET],
        options.variant,
        rounds=options.rounds,
        steps=options.steps,
        steps_per_execution=options.steps_per_execution,
        batch_sizes=options.batch_size or (),
        device=options.device,
        data_dir=options.data_dir,
        profile=options.profile,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        show(table(report))
        print(_explain_rates(report["machine"]))
        print("start: from the command to the first result; MiB: peak memory, host + device")
    if options.chart:
        with atomic_write(options.chart) as partial:
            partial.write_text(chart(report))
    if failed := [f"{r['preset']}, {r['variant']}" for r in report["results"] if "error" in r]:
        raise ValueError(f"{'; '.join(failed)} failed. See the lines above, or --json.")


def _explain_rates(machine: dict[str, Any]) -> str:
    """Returns what the shares in the columns FLOPs and bytes refer to."""
    rates = f"{machine['flops_per_second'] / 1e9:,.0f} GFLOP/s in float32"
    if "half_flops_per_second" in machine:
        rates += f"{' (TF32)' if machine['tf32'] else ''} and "
        rates += f"{machine['half_flops_per_second'] / 1e9:,.0f} in bfloat16"
    return (
        f"FLOPs: share of the best matrix product, {rates}\n"
        f"bytes: share of the best copy, {machine['bytes_per_second'] / 1e9:,.0f} GB/s"
    )
