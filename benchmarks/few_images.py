"""Trains on few images of Fashion-MNIST with each means against overfitting, and scores samples.

    python tools/fetch_images.py digits
    python benchmarks/few_images.py                              # ~4 hours for all
    python benchmarks/few_images.py recommended --counts 1000 10000
    python benchmarks/few_images.py none --counts 100 --steps 20 --out /tmp/trial

Each training is `fashion-gan train --data FILE.npy` with 3,000 steps of the preset `images`, and
about ten minutes on two cores. Besides N training images, the file holds a tenth of N, though at
least 100, that are held out. The variant `transfer` starts with the weights of such a training on
handwritten digits.

Scores compare 10,000 samples with the 10,000 test images, in features of the classifier, which has
seen all training images of Fashion-MNIST, and in those of ImageNet. Runs are in logs/few-images;
interrupted ones are resumed, and finished ones are scored again. The scores replace those in
docs/results/few-images.json, and samples of `recommended` are written to docs/images.
"""

import json
import sys
from functools import partial

import numpy as np
from _harness import (
    DOCS,
    describe_machine,
    make_parser,
    read_result,
    train_timed,
    write_result,
)

from fashion_gan.runs.directory import RunDirectory

LOGS = DOCS.parent / "logs/few-images"
STEPS = 3_000
COUNTS = (100, 500, 1_000, 5_000, 10_000)
STRONG = (
    *("--translation", "0.125", "--cutout", "0.2", "--scale", "0.2", "--rotation", "0.05"),
    *("--brightness", "0.2", "--contrast", "0.2"),
)
DIGITS = LOGS / "digits"
VARIANTS = {
    "none": ("--translation", "0", "--cutout", "0"),
    "fixed": STRONG,
    "adaptive": (*STRONG, "--adaptive-augmentation"),
    "recommended": (),
    "transfer": ("--init-from", str(DIGITS)),
}
"""Flags in addition to those of the preset. `recommended` translates and cuts out."""


def train(run, data, steps, *flags):
    """Runs or resumes `fashion-gan train`, and returns its seconds."""
    from fashion_gan.cli.main import main as run_command

    arguments = ["train", "--preset", "images", "--data", str(data), "--steps", str(steps)]
    arguments += [*flags, "--eval-freq", "5", "--run-dir", str(run.path), "--resume"]

    def run_or_exit(arguments):
        if code := run_command(arguments):
            sys.exit(code)

    return train_timed(run, partial(run_or_exit, arguments))


def write_images(count):
    """Writes `count` training images and the images to hold out, unless the file exists."""
    from fashion_gan import data

    held_out = max(100, count // 10)
    path = LOGS / f"{count}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, data.load_fashion_mnist().train_images[: count + held_out])
    return path, ("--held-out", str(held_out))


def evaluate(gan, train_images):
    """Returns the scores of samples and of the training images, by feature space."""
    from fashion_gan import data, evaluation

    protocol, test_images = evaluation.FULL, data.load_fashion_mnist().test_images
    repeated = np.resize(train_images, (protocol.count, *train_images.shape[1:]))
    spaces = {
        "classifier": (evaluation.load_classifier(), data.CLASS_NAMES),
        "imagenet": (evaluation.load_imagenet_features(),),
    }
    scores = {}
    for name, features in spaces.items():
        evaluator = evaluation.Evaluator(
            test_images, train_images, *features, protocol=protocol, cache=LOGS / "cache"
        )
        scores[name] = {
            "samples": evaluator.evaluate(gan),
            "training images": evaluator(repeated),
        }
    return scores


def draw(gan, path):
    """Draws 32 samples."""
    from fashion_gan import images

    samples = images.to_uint8(gan.sample(32, seed=0), gan.value_range)
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, images.tile(samples, 16, scale=None))


def main():
    from fashion_gan.runs import checkpoints
    from fashion_gan.runs.builder import load_split

    parser = make_parser(__doc__)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument(
        "--counts", type=int, nargs="+", default=COUNTS, help=f"training images (default {COUNTS})"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps (default {STEPS:,})")
    options = parser.parse_args()
    if unknown := set(options.variants) - VARIANTS.keys():
        parser.error(f"Expected {', '.join(VARIANTS)}. Received: {', '.join(sorted(unknown))}.")
    for name in options.variants or VARIANTS:
        if name == "transfer":
            train(RunDirectory(DIGITS), DOCS.parent / ".data/images/digits", options.steps)
        for count in options.counts:
            data, held_out = write_images(count)
            run = RunDirectory(LOGS / f"{name}-{count}")
            seconds = train(run, data, options.steps, *held_out, *VARIANTS[name])
            gan = checkpoints.load(run.path)
            scores = evaluate(gan, load_split(run.read_config()).train_images)
            result = read_result(options.out, "few-images")
            result.setdefault(name, {})[f"{count}"] = {
                "steps": gan.steps,
                "seconds": seconds,
                "scores": scores,
                "machine": describe_machine(),
            }
            write_result(options.out, "few-images", result)
            print(name, count, json.dumps(scores), file=sys.stderr, flush=True)
            if name == "recommended":
                draw(gan, options.out / f"images/few-images-{count}.png")


if __name__ == "__main__":
    main()
