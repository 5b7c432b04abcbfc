"""The commands; TensorFlow is imported once they run."""

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fashion_gan import flags, runs
from fashion_gan._version import __version__
from fashion_gan.benchmark import command
from fashion_gan.files import atomic_write, create_dir_or_undo, unique_dir
from fashion_gan.parser import Parser, frames_per_second, natural, port, positive, seconds
from fashion_gan.presets import PRESETS
from fashion_gan.registry import ending
from fashion_gan.runtime import import_tensorflow_quietly, workers
from fashion_gan.sweep import command as sweep_command
from fashion_gan.terminal import in_words, show, show_warning

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    It is 0 after success, 1 if another worker was lost, 2 for wrong use or input, and 130 after
    Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options.command(options)
    except ConnectionError as error:
        if options.debug:
            raise
        print(f"fashion-gan: error: {error} {options.on_interrupt}".rstrip(), file=sys.stderr)
        return 1
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError, MemoryError) as error:
        if options.debug:
            raise
        print(
            f"fashion-gan: error: {in_words(error, getattr(options, 'out', None))}", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"\nfashion-gan: interrupted. {options.on_interrupt}".rstrip(), file=sys.stderr)
        return 130
    return 0


def _train(options: argparse.Namespace) -> None:
    config = flags.config_of(options)
    run = _run_module(options)
    if workers() and options.run is None:
        raise ValueError("With TF_CONFIG, --run is needed: a folder that all workers share.")
    if options.dry_run:
        where = (options.run, options.data_dir, options.devices, options.resume)
        print("\n".join(run.summary(config, *where)))
        return
    new = unique_dir("logs", options.preset or flags.PRESET)
    with nullcontext(options.run) if options.run else new as folder:
        everywhere = " on all workers" if workers() else ""
        options.on_interrupt = (
            f"The run is kept; go on{everywhere} with: fashion-gan train --resume --run {folder}"
        )
        gan = run.train(
            config,
            folder,
            data_dir=options.data_dir,
            devices=options.devices,
            resume=options.resume,
            backup_seconds=options.backup_seconds,
        )
    steps = "1 step" if gan.steps == 1 else f"{gan.steps:,} steps"
    print(f"Trained for {steps}. The run is in {folder}; look at it with:")
    print(f"  tensorboard --logdir {folder}")
    print(f"  fashion-gan sample {folder}")
    print(f"  fashion-gan evaluate {folder}")


def _sample(options: argparse.Namespace) -> None:
    run = _run_module(options)
    from fashion_gan.source import gan_of

    gan = gan_of(options.run)
    out = options.out or f"{options.run.removesuffix('.keras').rstrip('/')}-samples.png"
    run.sample(gan, options.count, options.seed, out, labels=options.label, use_ema=options.use_ema)
    print(f"{options.count} images: {out}")


def _evaluate(options: argparse.Namespace) -> None:
    if options.out:
        ending(options.out, (), folder=True)
    # Made first, rather than to fail at the end.
    with create_dir_or_undo(options.out) if options.out else nullcontext():
        _judge(options)


def _judge(options: argparse.Namespace) -> None:
    _run_module(options)
    from rich.console import Console

    from fashion_gan import report
    from fashion_gan.evaluate import Protocol

    progress = Console(stderr=True)
    with progress.status("reading the real images") as status:
        result, samples, evaluator = report.judge(
            options.source,
            Protocol(options.count, options.seed, kernel_size=min(1_000, options.count)),
            held_out=options.held_out,
            yardsticks=options.yardsticks,
            use_ema=options.use_ema,
            data_dir=options.data_dir,
            announce=status.update,
        )
        if options.out:
            report.write(options.out, result, samples, evaluator)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    show(*report.tables(result))
    print(f"{evaluator.protocol.count:,} images against as many: {evaluator.name}.")
    if options.out:
        print(f"Scores, classes and the closest training images: {options.out}")


def _animate(options: argparse.Namespace) -> None:
    _run_module(options)
    from fashion_gan.animation import animate

    folder = Path(options.run)
    out = options.out or f"{options.run.rstrip('/')}.gif"
    samples = folder / "samples" if (folder / "samples").is_dir() else folder
    count = animate(samples, out, frames_per_second=options.fps, scale=options.scale)
    print(f"{count} epochs: {out}")


def _export(options: argparse.Namespace) -> None:
    _run_module(options)
    from fashion_gan.export import export
    from fashion_gan.source import gan_of

    card = export(gan_of(options.run), options.out, options.format, use_ema=options.use_ema)
    print(f"The generator: {options.out}. Its inputs and the range of its images: {card}")


def _explore(options: argparse.Namespace) -> None:
    _run_module(options)
    from fashion_gan import explore

    explorer = explore.open_source(options.run, options.data_dir, use_ema=options.use_ema)
    explore.serve(explorer, options.run, options.host, options.port, browser=not options.no_browser)


def _runs(options: argparse.Namespace) -> None:
    found = runs.find(options.folder)
    if options.json:
        print(json.dumps([runs.as_dict(run) for run in found], indent=1, default=str))
    elif not found:
        print(f"There is no run in {options.folder}; `fashion-gan train` makes one.")
    else:
        show(*runs.tables(found))


def _compare(options: argparse.Namespace) -> None:
    if options.out:
        ending(options.out, (".html", ".htm"))
    compared = [runs.overview(folder) for folder in options.run]
    for run in compared:
        if run.error:
            raise ValueError(f"{run.folder} cannot be read: {run.error}")
    if options.json:
        settings = runs.differences(compared)
        content = {"settings": settings, "runs": [runs.as_dict(run) for run in compared]}
        print(json.dumps(content, indent=1, default=str))
    else:
        show(*runs.tables(compared, compared=True))
    if options.out:
        with atomic_write(options.out) as partial:
            partial.write_text(runs.page(compared), encoding="utf-8")
        print(f"Settings, scores, curves and grids side by side: {options.out}", file=sys.stderr)


def _run_module(options: argparse.Namespace) -> Any:
    """The module that trains and samples, imported with TensorFlow, which takes seconds."""
    if not options.tensorflow_log:
        import_tensorflow_quietly()
    from fashion_gan import run

    return run


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fashion-gan", description="Train GANs, and see what they learned.")
    parser.add_argument("--version", action="version", version=f"fashion-gan {__version__}")
    parser.set_defaults(on_interrupt="")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    train = _command(commands, "train", _train, "train a preset on Fashion-MNIST")
    train.add_argument(
        "--preset", help=f"settings to begin with (default {flags.PRESET}): {', '.join(PRESETS)}"
    )
    train.add_argument(
        "--run", metavar="FOLDER", help="folder of the run (default: a new one in logs/)"
    )
    flags.add_data_dir(train)
    train.add_argument(
        "--devices",
        type=positive,
        metavar="N",
        help="train on N devices of this host (default 1); TF_CONFIG names the workers of many",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --run, with its own settings; begin it if there is none",
    )
    train.add_argument(
        "--backup-seconds",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="time between two backups within an epoch; each epoch ends with one (default 60)",
    )
    train.add_argument(
        "--dry-run", action="store_true", help="check all, say what would be done, write nothing"
    )
    flags.add_settings(train)

    sample = _command(commands, "sample", _sample, "generate images")
    sample.add_argument(
        "run", metavar="RUN", help="folder of a run, .keras file, or a pretrained name"
    )
    sample.add_argument(
        "--count", type=positive, default=64, metavar="N", help="images (default 64)"
    )
    sample.add_argument("--seed", type=natural, default=0, metavar="N", help="seed of the latents")
    sample.add_argument(
        "--label", type=natural, metavar="N", help="class, by number (conditional networks)"
    )
    flags.add_no_ema(sample)
    sample.add_argument(
        "--out",
        metavar="PATH",
        help="FILE.png for a grid, FILE.npy for uint8 (n, h, w, channels), or a folder of PNG; "
        "older samples are replaced, a folder may hold nothing else (default RUN-samples.png)",
    )
    film = _command(commands, "animate", _animate, "make a film of a run's grids, epoch by epoch")
    film.add_argument("run", metavar="RUN", help="folder of a run, or of epoch_0000.png, …")
    film.add_argument(
        "--out",
        metavar="FILE",
        help=".gif, .png or .webp; an older one is replaced (default RUN.gif)",
    )
    film.add_argument(
        "--fps",
        type=frames_per_second,
        default=5.0,
        metavar="N",
        help="epochs in a second, 0.1 to 100 (default 5)",
    )
    film.add_argument(
        "--scale", type=positive, default=2, metavar="N", help="pixels as squares of N (default 2)"
    )
    evaluate = _command(commands, "evaluate", _evaluate, "measure what a generator learned")
    evaluate.add_argument(
        "source",
        metavar="RUN|IMAGES",
        help="folder of a run, .keras file, pretrained name, .npy of uint8 images, folder of PNG",
    )
    evaluate.add_argument(
        "--count",
        type=positive,
        default=10_000,
        metavar="N",
        help="images (default 10000; at least 129, or 65 for runs on images of your own)",
    )
    evaluate.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="seed of the latents"
    )
    evaluate.add_argument(
        "--held-out",
        choices=("test", "validation"),
        default="test",
        help="real images to compare with: test for scores to report, validation for choices",
    )
    evaluate.add_argument(
        "--yardsticks", action="store_true", help="score real and damaged images as well"
    )
    flags.add_no_ema(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print JSON in place of a table")
    evaluate.add_argument(
        "--out",
        metavar="FOLDER",
        help="also write scores.json, classes.png (a row a class, the rarest first: real images, "
        "then generated ones) and closest.png (samples above their nearest training images), over "
        "older ones",
    )
    flags.add_data_dir(evaluate)
    exporting = _command(
        commands, "export", _export, "write a generator for other runtimes (extra for ONNX: export)"
    )
    exporting.add_argument(
        "run", metavar="RUN", help="folder of a run, .keras file, or a pretrained name"
    )
    exporting.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="FILE.onnx, FILE.tflite, or a folder; must not exist",
    )
    exporting.add_argument(
        "--format", metavar="NAME", help="saved_model, onnx or litert (default: by PATH)"
    )
    flags.add_no_ema(exporting)
    exploring = _command(
        commands, "explore", _explore, "open a page to play with a generator (extra: explore)"
    )
    exploring.add_argument(
        "run",
        nargs="?",
        default="resnet",
        metavar="RUN",
        help="folder of a run, .keras file, or a pretrained name (default resnet)",
    )
    flags.add_no_ema(exploring)
    exploring.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: this machine alone)",
    )
    exploring.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="port to listen on (default: a free one from 7860)",
    )
    exploring.add_argument("--no-browser", action="store_true", help="do not open a browser")
    flags.add_data_dir(exploring)
    listing = _command(commands, "runs", _runs, "list runs: what, how far, how good")
    listing.add_argument(
        "folder", nargs="?", default="logs", metavar="FOLDER", help="folder of runs (default logs)"
    )
    listing.add_argument("--json", action="store_true", help="print JSON in place of a table")
    compare = _command(commands, "compare", _compare, "show runs side by side")
    compare.add_argument("run", nargs="+", metavar="RUN", help="folder of a run")
    compare.add_argument(
        "--out",
        metavar="FILE.html",
        help="also write a page with curves and the last grids, over an older one",
    )
    compare.add_argument("--json", action="store_true", help="print JSON in place of tables")
    timing = _command(
        commands, "benchmark", command.run, "time a train step, in variants that take turns"
    )
    command.add_flags(timing)
    sweeping = _command(
        commands,
        "sweep",
        sweep_command.run,
        "try settings and seeds, and say which matter (extra: sweep)",
    )
    sweep_command.add_flags(sweeping)
    return parser


def _command(commands: Any, name: str, run: Any, help: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=f"{help[0].upper()}{help[1:]}."
    )
    command.set_defaults(command=run)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.add_argument(
        "--tensorflow-log", action="store_true", help="show TensorFlow's own messages"
    )
    return command
