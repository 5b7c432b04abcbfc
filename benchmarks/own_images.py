"""Trains on collections of color images by one command, and scores the samples.

    python tools/fetch_images.py silk
    python benchmarks/own_images.py silk --steps 600
    python benchmarks/own_images.py silk --steps 600 --label strong --r1 0.5 --r2 0.5

Each training is the command `fashion-gan train --data FOLDER` in logs/COLLECTION[-LABEL]-SEED. All
other flags are passed on to it. Interrupted runs are resumed, and finished ones are scored again.
The scores and those of the baselines replace those in docs/results/own-images.json. 64 held-out
images and 64 samples of the first seed are written to docs/images, if their license allows it.
"""

import json
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from _harness import (
    DOCS,
    describe_machine,
    make_parser,
    read_result,
    train_timed,
    write_result,
)

from fashion_gan.runs.directory import RunDirectory

ROOT = DOCS.parent


class Collection(NamedTuple):
    """Collection of images, and how it is trained on.

    Attributes:
        folder: Folder in `.data/images`, as `tools/fetch_images.py` names it.
        arguments: Arguments of `fashion-gan train` for this collection.
        is_free: Whether the license of the images allows to publish them here.
    """

    folder: str
    arguments: tuple[str, ...] = ()
    is_free: bool = True


COLLECTIONS = {
    "noto-emoji": Collection("noto-emoji", ("--image-size", "32")),
    "noto-emoji-64": Collection("noto-emoji", ("--image-size", "64")),
    "twitter-emoji": Collection("twitter-emoji", ("--image-size", "32")),
    "twitter-emoji-64": Collection("twitter-emoji", ("--image-size", "64")),
    "silk": Collection("silk", ("--held-out", "500")),
    "pokemon": Collection("pokemon", ("--image-size", "32", "--resize", "pad"), is_free=False),
    "digits": Collection("digits"),
    "photos": Collection("photos", ("--image-size", "64"), is_free=False),
}


def data_path(name):
    """Returns the folder of a collection, relative to the root of the repository."""
    return f".data/images/{COLLECTIONS[name].folder}"


def arguments_of(name, flags, seed):
    """Returns the arguments of `fashion-gan train` for a collection."""
    return ["--data", data_path(name), *COLLECTIONS[name].arguments, *flags, "--seed", str(seed)]


def run_fashion_gan(*arguments, **options):
    """Runs a command of the package in a process of its own, from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-m", "fashion_gan", *arguments], cwd=ROOT, check=True, **options
    )


def score(run):
    """Returns the scores of the samples and of the baselines."""
    result = run_fashion_gan(
        "evaluate", str(run.path), "--baselines", "--json", stdout=subprocess.PIPE, text=True
    )
    record = json.loads(result.stdout)
    samples, *baselines = record["scores"].items()
    return {
        "count": record["protocol"]["count"],
        "real": record["real"],
        "scores": {"samples": samples[1], **dict(baselines)},
    }


def draw(run, name, folder):
    """Draws 64 held-out images and 64 samples."""
    from fashion_gan import images
    from fashion_gan.runs import checkpoints
    from fashion_gan.runs.builder import load_split

    gan = checkpoints.load(run.path)
    samples = images.to_uint8(gan.sample(64, seed=0), gan.value_range)
    real = load_split(run.read_config()).test_images[:64]
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, tiles in (("", samples), ("-real", real)):
        images.write_png(folder / f"{name}{suffix}.png", images.tile(tiles, 16, scale=None))


def main():
    parser = make_parser(__doc__)
    parser.add_argument("collection", choices=COLLECTIONS, help=", ".join(COLLECTIONS))
    parser.add_argument("--label", help="name of the other flags, in the names of files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="seeds (default 42)")
    help = "folder of the runs (default logs)"
    parser.add_argument("--logs", type=Path, default=ROOT / "logs", help=help)
    options, flags = parser.parse_known_args()
    name = options.collection
    label = f"{name}-{options.label}" if options.label else name
    for seed in options.seeds:
        arguments = arguments_of(name, flags, seed)
        run = RunDirectory(options.logs / f"{label}-{seed}")
        run_dir = ["--run-dir", str(run.path), "--resume"]
        training = partial(run_fashion_gan, "train", *arguments, *run_dir)
        record = {
            "command": shlex.join(["fashion-gan", "train", *arguments]),
            "seconds": train_timed(run, training),
            "config": {**json.loads(run.config_path.read_text()), "data": data_path(name)},
            "train_images": run.read_dataset_info().num_images,
            "machine": describe_machine(),
            **score(run),
        }
        print(label, seed, json.dumps(record["scores"]["samples"]), file=sys.stderr, flush=True)
        result = read_result(options.out, "own-images")
        result[f"{label}-{seed}"] = record
        write_result(options.out, "own-images", dict(sorted(result.items())))
        if COLLECTIONS[name].is_free and seed == options.seeds[0]:
            draw(run, label, options.out / "images")


if __name__ == "__main__":
    main()
