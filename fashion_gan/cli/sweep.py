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
        "train with several settings and seeds, and report which matter (extra: sweep)",
        examples=(
            "fashion-gan sweep r1=0.1,1,10 --preset dense_modern --epochs 20",
            "fashion-gan sweep g_learning_rate=1e-4..1e-2:log r1=0.1,1 --trials 20",
            "fashion-gan sweep data=photos image_size=32 r1=0.1,1 --preset images",
        ),
        details="Lists of values form a grid, of which every point is trained. With a range, "
        "Optuna chooses the points. Run the same command in several terminals for several "
        "workers, or again after an interruption. Install the extra first: pip install "
        '".[sweep]".',
    )
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="NAME=VALUES",
        help="a flag of fashion-gan train, with _ for -, and its values: a list such as r1=0.1,1, "
        "or a range such as g_learning_rate=1e-4..1e-2:log",
    )
    parser.add_argument(
        "--preset",
        default=PRESET,
        help=f"preset of all other settings: {', '.join(PRESETS)} (default {PRESET})",
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
        help="number of trainings per point, each with another seed (default 3)",
    )
    parser.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="number of points to train (default: all points of a grid; 20 with a range)",
    )
    parser.add_argument(
        "--sweep-dir",
        metavar="FOLDER",
        default="logs/sweep",
        help="folder of the sweep; a sweep in it is resumed (default logs/sweep)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL|FILE.log",
        help="database, or journal on a shared disk, for workers on several machines (default: a "
        "SQLite file in --sweep-dir)",
    )
    parser.add_argument("--chart", metavar="FILE.svg", help="also draw the scores as bars")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    add_data_dir(parser)


def _sweep(options: argparse.Namespace) -> None:
    if options.chart:
        check_suffix(options.chart, (".svg",))
    space = dict(sweep.parse(text) for text in options.settings)
    if "seed" in space or "epochs" in space:
        raise ValueError(
            "Expected settings to vary other than seed and epochs. Pass --seeds and --epochs "
            "instead."
        )
    if "eval_freq" in space:
        raise ValueError(
            "Expected settings to vary other than eval_freq. A sweep evaluates after each epoch."
        )
    if len(space) < len(options.settings):
        raise ValueError(f"Expected each setting once. Received: {' '.join(options.settings)}.")
    config = lookup(PRESETS, options.preset, "preset")
    config = dataclasses.replace(config, epochs=options.epochs or config.epochs, eval_freq=1)
    seeds = range(1, options.seeds + 1)
    start_tensorflow(options)
    from fashion_gan.runs.train import check_configs, train_run

    check_configs(_configs(config, space), options.data_dir)
    options.on_interrupt = "The sweep is kept; run the same command to resume it."
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
        print(f"The scores as bars: {options.chart}", file=sys.stderr)


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
                f"{name} does nothing without {needs[0]}. Vary that as well, or omit {name}."
            )
    return configs
