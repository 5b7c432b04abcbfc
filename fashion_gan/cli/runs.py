"""Implements the commands `fashion-gan runs` and `compare`, which summarize runs on disk."""

import argparse
import json
import sys
from typing import Any

from fashion_gan.cli.console import show
from fashion_gan.cli.options import add_command
from fashion_gan.files import atomic_write
from fashion_gan.registry import check_suffix
from fashion_gan.runs import summary

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Adds `runs` and `compare`."""
    parser = add_command(
        commands,
        "runs",
        _runs,
        "list runs with their settings, progress and scores",
        examples=(
            "fashion-gan runs",
            "fashion-gan runs experiments --json",
        ),
        details="The columns: finished epochs out of all, the main score (lower is better), "
        "coverage, the number of missing classes or clusters, the images that the samples were "
        "compared with, the state and the last change of the run, and its preset with the settings "
        "that differ.",
    )
    parser.add_argument(
        "folder", nargs="?", default="logs", metavar="FOLDER", help="folder of runs (default logs)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser = add_command(
        commands,
        "compare",
        _compare,
        "compare the settings, scores and curves of runs",
        examples=("fashion-gan compare logs/first logs/second --out comparison.html",),
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out",
        metavar="FILE.html",
        help="also write a page with curves and the last grids of samples; an existing file is "
        "overwritten",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")


def _runs(options: argparse.Namespace) -> None:
    runs = summary.list_runs(options.folder)
    if options.json:
        print(json.dumps([summary.as_dict(run) for run in runs], indent=1, default=str))
    elif not runs:
        print(f"There is no run in {options.folder}; `fashion-gan train` starts one.")
    else:
        show(*summary.summary_tables(runs))


def _compare(options: argparse.Namespace) -> None:
    if options.out:
        check_suffix(options.out, (".html", ".htm"))
    runs = [summary.summarize_run(folder) for folder in options.run]
    for run in runs:
        if run.error:
            raise ValueError(f"{run.folder} cannot be read: {run.error}")
    if options.json:
        settings = summary.differing_settings(runs)
        content = {"settings": settings, "runs": [summary.as_dict(run) for run in runs]}
        print(json.dumps(content, indent=1, default=str))
    else:
        show(*summary.summary_tables(runs, compared=True))
    if options.out:
        with atomic_write(options.out) as partial:
            partial.write_text(summary.comparison_page(runs), encoding="utf-8")
        print(f"Settings, scores, curves and grids side by side: {options.out}", file=sys.stderr)
