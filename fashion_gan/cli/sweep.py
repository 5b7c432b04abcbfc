"""Implements the command `fashion-gan sweep`."""

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from fashion_gan import sweep
from fashion_gan.cli.console import show
from fashion_gan.cli.options import PRESET, add_command, add_data_dir, start_tensorflow
from fashion_gan.cli.parser import positive_int
from fashion_gan.files import atomic_write
from fashion_gan.registry import check_suffix, lookup
from fashion_gan.runs.config import Config
from fashion_gan.runs.presets import PRESETS

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Adds `sweep`."""
    parser = add_command(
        commands,
        "sweep",
        _sweep,
        "try settings and seeds, and say which matter (extra: sweep)",
        examples=("fashion-gan sweep g_learning_rate=1e-4..1e-2:log r1=0.1,1 --trials 20",),
    )
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="NAME=VALUES",
        help="a setting and what to try: r1=0.1,1 or g_learning_rate=1e-4..1e-2:log",
    )
    parser.add_argument(
        "--preset",
        default=PRESET,
        help=f"preset with all other settings (default {PRESET}): {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="epochs of each training (default: the preset's)",
    )
    parser.add_argument(
        "--seeds",
        type=positive_int,
        default=3,
        metavar="N",
        help="trainings in a trial, each with a seed of its own (default 3)",
    )
    parser.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="trials after which the sweep ends (default: every point of a grid; 20 with a range)",
    )
    parser.add_argument(
        "--sweep-dir",
        metavar="FOLDER",
        default="logs/sweep",
        help="where the sweep is kept; one that was begun goes on (default logs/sweep)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL|FILE.log",
        help="database, or journal on a shared disk, for workers on many hosts "
        "(default: SQLite in FOLDER)",
    )
    parser.add_argument("--chart", metavar="FILE.svg", help="draw the distances as bars")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    add_data_dir(parser)


def _sweep(options: argparse.Namespace) -> None:
    if options.chart:
        check_suffix(options.chart, (".svg",))
    space = dict(sweep.parse(text) for text in options.settings)
    if "seed" in space or "epochs" in space:
        raise ValueError("Give --seeds and --epochs; they are no settings to vary.")
    if "eval_freq" in space:
        raise ValueError("A sweep evaluates after each epoch; eval_freq cannot be varied.")
    if len(space) < len(options.settings):
        raise ValueError(f"A setting is there twice. Received: {' '.join(options.settings)}.")
    config = lookup(PRESETS, options.preset, "preset")
    config = dataclasses.replace(config, epochs=options.epochs or config.epochs, eval_freq=1)
    seeds = range(1, options.seeds + 1)
    start_tensorflow(options)
    from fashion_gan.runs.train import check_configs, train_run

    check_configs(_configs(config, space), options.data_dir)
    options.on_interrupt = "The sweep is kept; the same command goes on with it."
    study = sweep.open_study(options.sweep_dir, space, config, seeds, options.storage)

    def train_quietly(config: Config, folder: Path, watch: sweep.Watch) -> None:
        print(f"{folder}, up to {config.epochs} epochs", file=sys.stderr, flush=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the report counts monitor warnings
            train_run(
                config,
                folder,
                data_dir=options.data_dir,
                resume=True,
                verbose=0,
                watch=watch,
                final=False,
            )

    sweep.run_worker(
        study,
        options.sweep_dir,
        config,
        space,
        seeds,
        options.trials,
        train=train_quietly,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    found, metric = sweep.sensitivity(study), sweep.metric_name(config, space)
    if options.json:
        best = None if not any(found.values()) else study.best_trial
        scored = best and {**best.params, "score": best.value}
        content = {"metric": metric, "sensitivity": found, "best": scored}
        print(json.dumps(content, indent=1))
    else:
        show(sweep.table(found, metric))
    if options.chart:
        with atomic_write(options.chart) as partial:
            partial.write_text(sweep.chart(found, metric))
        print(f"The distances as bars: {options.chart}", file=sys.stderr)


def _configs(config: Config, space: sweep.Space) -> list[Config]:
    """Checks every point of a grid, and returns configs that together contain each value.

    Raises:
        ValueError: If a point is not a valid config; if a varied setting has no effect in any
            config.
    """
    for point in sweep.grid(space):
        dataclasses.replace(config, **point)
    configs = [dataclasses.replace(config, **point) for point in sweep.covering_points(space)]
    for name in space:
        needs = [made.idle([name]).get(name) for made in configs]
        if all(needs):
            raise ValueError(
                f"{name} does nothing without {needs[0]}. Vary that as well, or leave {name} out."
            )
    return configs
