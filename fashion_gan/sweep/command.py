"""The command `fashion-gan sweep`: its flags, and what it prints."""

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path

from fashion_gan import flags, sweep
from fashion_gan.config import Config
from fashion_gan.files import atomic_write
from fashion_gan.parser import positive
from fashion_gan.presets import PRESETS
from fashion_gan.registry import ending, lookup
from fashion_gan.runtime import import_tensorflow_quietly
from fashion_gan.terminal import show

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `run` reads."""
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="NAME=VALUES",
        help="a setting and what to try: r1=0.1,1 or g_learning_rate=1e-4..1e-2:log",
    )
    parser.add_argument(
        "--preset",
        default=flags.PRESET,
        help=f"preset with all other settings (default {flags.PRESET}): {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="epochs of each training (default: the preset's)",
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        default=3,
        metavar="N",
        help="trainings in a trial, each with a seed of its own (default 3)",
    )
    parser.add_argument(
        "--trials",
        type=positive,
        metavar="N",
        help="trials after which the sweep ends (default: every point of a grid; 20 with a range)",
    )
    parser.add_argument(
        "--folder",
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
    flags.add_data_dir(parser)


def run(options: argparse.Namespace) -> None:
    """Work on the sweep until it has enough, then say how sensitive training is."""
    if options.chart:
        ending(options.chart, (".svg",))
    space = dict(sweep.parse(text) for text in options.settings)
    if "seed" in space or "epochs" in space:
        raise ValueError("Give --seeds and --epochs; they are no settings to vary.")
    if "evaluate_every" in space:
        raise ValueError("A sweep evaluates after each epoch; evaluate_every cannot be varied.")
    if len(space) < len(options.settings):
        raise ValueError(f"A setting is there twice. Received: {' '.join(options.settings)}.")
    config = lookup(PRESETS, options.preset, "preset")
    config = dataclasses.replace(config, epochs=options.epochs or config.epochs, evaluate_every=1)
    seeds = range(1, options.seeds + 1)
    if not options.tensorflow_log:
        import_tensorflow_quietly()
    from fashion_gan.run import check, train

    check(_configs(config, space), options.data_dir)
    options.on_interrupt = "The sweep is kept; the same command goes on with it."
    study = sweep.study(options.folder, space, config, seeds, options.storage)

    def train_quietly(config: Config, folder: Path, watch: sweep.Watch) -> None:
        print(f"{folder}, up to {config.epochs} epochs", file=sys.stderr, flush=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the alarm's, which the report counts
            train(
                config,
                folder,
                data_dir=options.data_dir,
                resume=True,
                verbose=0,
                watch=watch,
                final=False,
            )

    sweep.work(
        study,
        options.folder,
        config,
        space,
        seeds,
        options.trials,
        train=train_quietly,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    found = sweep.sensitivity(study)
    if options.json:
        best = None if not any(found.values()) else study.best_trial
        content = {"sensitivity": found, "best": best and {**best.params, "score": best.value}}
        print(json.dumps(content, indent=1))
    else:
        show(sweep.table(found))
    if options.chart:
        with atomic_write(options.chart) as partial:
            partial.write_text(sweep.chart(found))
        print(f"The distances as bars: {options.chart}", file=sys.stderr)


def _configs(config: Config, space: sweep.Space) -> list[Config]:
    """Some that together have each value, once every point of a grid is known to be a config.

    Raises:
        ValueError: if a point is none, or a setting is varied that does nothing anywhere.
    """
    for point in sweep.grid(space):
        dataclasses.replace(config, **point)
    configs = [dataclasses.replace(config, **point) for point in sweep.corners(space)]
    for name in space:
        needs = [made.idle([name]).get(name) for made in configs]
        if all(needs):
            raise ValueError(
                f"{name} does nothing without {needs[0]}. Vary that as well, or leave {name} out."
            )
    return configs
