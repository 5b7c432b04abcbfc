"""Trains on collections of color images by one command, and scores the samples.

    python tools/fetch_images.py silk
    python benchmarks/own_images.py silk --steps 600
    python benchmarks/own_images.py silk --steps 600 --label strong --r1 0.5 --r2 0.5
    python benchmarks/own_images.py pokemon --ablate --steps 600   # ~40 minutes

Each training is the command `fashion-gan train --data FOLDER` in logs/COLLECTION[-LABEL]-SEED. All
other flags are passed on to it. Interrupted runs are resumed, and finished ones are scored again.
The scores and those of the baselines replace those in docs/results/own-images.json. 64 held-out
images and 64 samples of the first seed are written to docs/images, if their license allows it.

`--ablate` trains the preset `projected`, and then without one of its ingredients at a time, all
with the first seed. Its results are in docs/results/own-images-ablation.json. `--label` names a
single ingredient.
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
    "noto-emoji": Collection("noto-emoji", ("--image-size", "32", "--init-from", "none")),
    "noto-emoji-64": Collection("noto-emoji", ("--image-size", "64")),
    "twitter-emoji": Collection("twitter-emoji", ("--image-size", "32")),
    "twitter-emoji-64": Collection("twitter-emoji", ("--image-size", "64")),
    "silk": Collection("silk", ("--held-out", "500")),
    "pokemon": Collection("pokemon", ("--image-size", "32", "--resize", "pad"), is_free=False),
    "digits": Collection("digits"),
    "photos": Collection("photos", ("--image-size", "64"), is_free=False),
}

ABLATION = {
    "all-ingredients": (),
    "another-seed": ("--seed", "1"),
    "without-pretrained-weights": ("--init-from", "none"),
    "half-batch": ("--batch-size", "16"),
    "half-width": ("--width", "32"),
    "without-translation": ("--translation", "0"),
    "without-penalties": ("--r1", "0", "--r2", "0"),
    "without-decay": ("--lr-decay-epochs", "0"),
    "without-features": ("--no-projected",),
    "convnet-generator": ("--model", "convnet"),
    "without-pairing": ("--loss", "binary_crossentropy"),
}
"""Flags in addition to those of the preset `projected`.

Generators of another width or kind start with random weights, as the pretrained ones do not fit.
"""


def data_path(name):
    """Returns the folder of a collection, relative to the root of the repository."""
    return f".data/images/{COLLECTIONS[name].folder}"


def arguments_of(name, flags, seed):
    """Returns the arguments of `fashion-gan train` for a collection."""
    own = COLLECTIONS[name].arguments
    return ["--data", data_path(name), *own, "--seed", str(seed), *flags]


def run_fashion_gan(*arguments, **options):
    """Runs a command of the package in a process of its own, from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-m", "fashion_gan", *arguments], cwd=ROOT, check=True, **options
    )


def train(run, arguments):
    """Runs or resumes `fashion-gan train`, and returns its seconds."""
    run_dir = ["--run-dir", str(run.path), "--resume"]
    return train_timed(run, partial(run_fashion_gan, "train", *arguments, *run_dir))


def evaluate(run, *flags):
    """Returns the result of `fashion-gan evaluate`."""
    command = ("evaluate", str(run.path), *flags, "--json")
    return json.loads(run_fashion_gan(*command, stdout=subprocess.PIPE, text=True).stdout)


def score(run):
    """Returns the scores of the samples and of the baselines."""
    record = evaluate(run, "--baselines")
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


def ablate(name, only, flags, options):
    """Trains the variants of `ABLATION`, and writes each result as soon as it is scored."""
    report = read_result(options.out, "own-images-ablation")
    if (report.get("collection"), report.get("flags")) != (name, flags):
        report = {"collection": name, "flags": flags, "variants": {}}
    variants = report["variants"]
    for variant in only or [variant for variant in ABLATION if variant not in variants]:
        run = RunDirectory(options.logs / f"{name}-{variant}-{options.seeds[0]}")
        quiet = ["--preset", "projected", "--eval-freq", "0", "--on-collapse", "off"]
        further = [*quiet, *flags, *ABLATION[variant]]
        seconds = train(run, arguments_of(name, further, options.seeds[0]))
        scored = {variant: evaluate(run)}
        if not ABLATION[variant]:
            scored["without-average"] = evaluate(run, "--no-ema")
        for label, record in scored.items():
            variants[label] = {
                "seconds": seconds,
                "machine": describe_machine(),
                "scores": next(iter(record["scores"].values())),
            }
            print(label, json.dumps(variants[label]["scores"]), file=sys.stderr, flush=True)
        write_result(options.out, "own-images-ablation", report)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("collection", choices=COLLECTIONS, help=", ".join(COLLECTIONS))
    parser.add_argument("--label", help="name of the other flags, in the names of files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="seeds (default 42)")
    help = "folder of the runs (default logs)"
    parser.add_argument("--logs", type=Path, default=ROOT / "logs", help=help)
    help = "train without each ingredient of the preset projected"
    parser.add_argument("--ablate", action="store_true", help=help)
    options, flags = parser.parse_known_args()
    name = options.collection
    if options.ablate:
        if options.label and options.label not in ABLATION:
            parser.error(f"Expected one of {', '.join(ABLATION)}. Received: {options.label}.")
        ablate(name, [options.label] if options.label else [], flags, options)
        return
    label = f"{name}-{options.label}" if options.label else name
    for seed in options.seeds:
        arguments = arguments_of(name, flags, seed)
        run = RunDirectory(options.logs / f"{label}-{seed}")
        record = {
            "command": shlex.join(["fashion-gan", "train", *arguments]),
            "seconds": train(run, arguments),
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
