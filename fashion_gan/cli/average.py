"""Implements the command `fashion-gan average`, which averages a generator after its training."""

import argparse
from pathlib import Path
from typing import Any

from fashion_gan.cli.console import show
from fashion_gan.cli.options import add_command, add_data_dir, start_tensorflow
from fashion_gan.cli.parser import positive_float
from fashion_gan.registry import check_suffix, printable

__all__ = ["add_commands"]

_FILE = "average.keras"


def add_commands(commands: Any) -> None:
    """Adds `average`."""
    parser = add_command(
        commands,
        "average",
        _average,
        "average the generator of a run over a length that is chosen after training",
        examples=(
            "fashion-gan average logs/photos --best",
            "fashion-gan average logs/photos --width 0.1 --out smooth.keras",
        ),
        details="The run must be trained with --post-hoc-ema. A width is the spread of the "
        "averaged steps, as a fraction of the training: 0.1 weighs mostly the last third of the "
        "steps, and 0.05 the last sixth.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--best",
        action="store_true",
        help="compare several widths with held-out images, and choose the best",
    )
    how.add_argument(
        "--width", type=positive_float, metavar="WIDTH", help="width of the average, below 0.289"
    )
    parser.add_argument(
        "--out",
        metavar="FILE.keras",
        help=f"file to write (default {_FILE} in the folder of the run); an existing file is "
        "replaced",
    )
    add_data_dir(parser)


def _average(options: argparse.Namespace) -> None:
    out = Path(options.out or Path(options.run) / _FILE)
    check_suffix(out, (".keras",))
    start_tensorflow(options)
    from rich.console import Console
    from rich.text import Text

    from fashion_gan.evaluation.report import score_tables
    from fashion_gan.runs import checkpoints
    from fashion_gan.runs.average import Snapshots, choose_average
    from fashion_gan.runs.evaluate import quick_evaluator
    from fashion_gan.training.model_file import write_model_file

    snapshots = Snapshots.of_run(options.run)
    gan = checkpoints.load(options.run)
    if options.best:
        with Console(stderr=True).status("reading the real images") as status:
            evaluator = quick_evaluator(options.run, options.data_dir)
            width, scores = choose_average(
                gan,
                snapshots,
                evaluator,
                announce=lambda what: status.update(Text(printable(what))),
            )
        show(next(score_tables(evaluator.record(scores))))
        print(f"The lowest {evaluator.watched_score} of all widths is that of width {width}.")
        before, after = (
            scores[name][evaluator.watched_score] for name in ("as trained", f"width {width}")
        )
        if before <= after:
            print("The run as trained is at least as good. Use the run itself.")
    else:
        width = options.width
        gan.sampling_network().set_weights(snapshots.average(width))
    write_model_file(out, gan, {"width": width, "step": snapshots.steps[-1]})
    print(f"Wrote {out}; look at it with:")
    print(f"  fashion-gan sample {out}")
