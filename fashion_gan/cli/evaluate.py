"""Implements the command `fashion-gan evaluate`."""

import argparse
import json
import os
from contextlib import nullcontext
from typing import Any

from fashion_gan.cli.console import show
from fashion_gan.cli.options import (
    RUN,
    add_command,
    add_data_dir,
    add_no_ema,
    add_which,
    report,
    start_tensorflow,
)
from fashion_gan.cli.parser import non_negative_int, positive_int
from fashion_gan.files import create_dir_or_undo
from fashion_gan.registry import check_suffix, printable

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Adds `evaluate`."""
    parser = add_command(
        commands,
        "evaluate",
        _evaluate,
        "score a generator, or a set of images, against real images",
        examples=(
            "fashion-gan evaluate logs/photos --baselines --out report",
            "fashion-gan evaluate resnet",
            "fashion-gan evaluate generated --against photos",
        ),
        details="Runs on your own images are compared with their held-out images, all others with "
        "Fashion-MNIST. For your own images, install the extra features; without it, only pixels "
        "are compared.",
    )
    parser.add_argument(
        "source",
        metavar="RUN|IMAGES",
        help=f"{RUN}; or images, as an .npy file of uint8 or a folder of PNG files",
    )
    parser.add_argument(
        "--against",
        metavar="IMAGES",
        help="real images to compare with, which are resized to the size of the others: a folder, "
        "or a .zip, .parquet, .npz, .npy or IDX file (default: images of the run, or "
        "Fashion-MNIST)",
    )
    parser.add_argument(
        "--image-size",
        metavar="SIZE",
        help="resize the images of IMAGES to this size, 64 or WIDTHxHEIGHT; needed if they have "
        "several sizes",
    )
    parser.add_argument(
        "--resize",
        choices=("crop", "pad", "stretch"),
        help="how to resize images of another aspect ratio (default crop)",
    )
    parser.add_argument(
        "--num-images",
        type=positive_int,
        default=10_000,
        metavar="N",
        help="number of generated images, which are compared with as many real ones (default "
        "10000, or all real ones of your own; at least 129 for Fashion-MNIST)",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="seed of the latents (default 0)",
    )
    parser.add_argument(
        "--split",
        choices=("test", "validation"),
        default="test",
        help="images of Fashion-MNIST to compare with: test for reports, validation for choices of "
        "settings (default test)",
    )
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="also score training images, damaged images and noise, to tell whether a score is "
        "good",
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="also write a page index.html with scores and images, scores.json, and PNG files; "
        "existing files are overwritten",
    )
    add_data_dir(parser)


def _image_options(options: argparse.Namespace) -> Any:
    """Returns the options that convert the images to measure, or None if no flag is given."""
    from fashion_gan.data import ImageOptions

    if options.image_size is None and options.resize is None:
        return None
    if options.image_size is None:
        raise ValueError(
            f"Expected --image-size with --resize. Received: --resize {options.resize}. Pass the "
            "size as well."
        )
    return ImageOptions(options.image_size, options.resize or "crop")


def _evaluate(options: argparse.Namespace) -> None:
    if options.out:
        check_suffix(options.out, (), folder=True)
    # The folder is created first, so that a wrong path fails before the evaluation.
    with create_dir_or_undo(options.out) if options.out else nullcontext():
        _evaluate_and_report(options)


def _evaluate_and_report(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    from rich.console import Console
    from rich.text import Text

    from fashion_gan.evaluation import EvalConfig
    from fashion_gan.evaluation.page import write_report
    from fashion_gan.evaluation.report import (
        describe_low_coverage,
        place_among_baselines,
        score_tables,
    )
    from fashion_gan.runs.evaluate import evaluate_source

    count = options.num_images
    with Console(stderr=True).status("reading the real images") as status:
        record, samples, evaluator = evaluate_source(
            options.source,
            EvalConfig(count, options.seed, kernel_size=min(1_000, count)),
            against=options.against,
            options=_image_options(options),
            split=options.split,
            baselines=options.baselines,
            which=options.which,
            use_ema=options.use_ema,
            data_dir=options.data_dir,
            announce=lambda what: status.update(Text(printable(what))),
            report=report,
        )
        if options.out:
            write_report(options.out, record, samples, evaluator)
    if options.json:
        print(json.dumps(record, indent=1))
        return
    show(*score_tables(record))
    count = f"{evaluator.protocol.count:,}"
    print(f"Compared {count} images with {count} real images: {evaluator.name}.")
    for sentence in (place_among_baselines(record), describe_low_coverage(record)):
        if sentence:
            print(printable(sentence))
    if "kernel_distance" not in next(iter(record["scores"].values())):
        print('Only pixels were compared. For better scores: pip install "fashion-gan[features]".')
    if options.out:
        print(f"A page with scores and images: {os.path.join(options.out, 'index.html')}")
