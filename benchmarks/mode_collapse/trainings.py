"""Records the monitor's warnings in healthy trainings, and after a fault in each of them.

    python tools/fetch_images.py digits silk pokemon twitter-emoji noto-emoji
    python benchmarks/mode_collapse/trainings.py dense_modern    # 5 minutes
    python benchmarks/mode_collapse/trainings.py                 # all trainings

Each training runs as its preset says, though shorter. Its GAN is then trained twice for three
tenths of the same length at a constant learning rate: once without a fault, and once with a fault.
It counts as broken from the first epoch on whose coverage is below half of that before. Writes
docs/results/mode-collapse-trainings.json, in which a training replaces that of the same name.
"""

import argparse
import dataclasses
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from fashion_gan import data, evaluation, runtime
from fashion_gan.callbacks import ModeCollapseMonitor
from fashion_gan.evaluation.evaluator import QUICK
from fashion_gan.files import write_json
from fashion_gan.runs.builder import Experiment, load_split, prepare
from fashion_gan.runs.config import Config
from fashion_gan.runs.init_from import init_from
from fashion_gan.runs.presets import PRESETS

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs/results/mode-collapse-trainings.json"
CONTINUED_LENGTH = 0.3
NUM_REPEATED = 64


def _constant(config: Config, **settings: Any) -> Config:
    """Returns a config with other settings and without a decay of the learning rates."""
    return dataclasses.replace(config, lr_decay_start=0, lr_decay_epochs=0, **settings)


FAULTS: dict[str, Callable[[Config], Config]] = {
    "the generator's learning rate is 30 times as high": lambda config: _constant(
        config, g_learning_rate=30 * config.g_learning_rate
    ),
    "the discriminator stops learning": lambda config: _constant(config, d_learning_rate=0.0),
    "no penalty, the discriminator's learning rate is 10 times as high": lambda config: _constant(
        config, r1=0.0, r2=0.0, d_learning_rate=10 * config.d_learning_rate
    ),
    f"only {NUM_REPEATED} training images": _constant,
    "none": _constant,
}
FAST, STOPPED, FREE, REPEATED, NONE = FAULTS


@dataclass(frozen=True)
class Training:
    """Describes a training and the fault that follows it.

    Attributes:
        preset: Name of the preset.
        fault: Name of the fault.
        steps: Number of train steps, or 0 for `epochs` passes over the images.
        folder: Folder of the images in `.data/images`, or an empty string for Fashion-MNIST.
        settings: Other settings of the preset.
    """

    preset: str
    fault: str
    steps: int = 0
    folder: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Config:
        """Returns the config of the healthy training."""
        path = str(ROOT / ".data/images" / self.folder) if self.folder else ""
        config = dataclasses.replace(PRESETS[self.preset], data=path, **self.settings)
        return config.with_steps(self.steps) if self.steps else config


_SMALL = {"image_size": "32"}
TRAININGS = {
    "dense_modern": Training("dense_modern", STOPPED, settings={"epochs": 40}),
    "dense_modern-1": Training("dense_modern", FREE, settings={"epochs": 40, "seed": 1}),
    "dense_modern-conditional": Training(
        "dense_modern", FAST, settings={"epochs": 40, "conditional": True}
    ),
    "dcgan_modern": Training("dcgan_modern", FREE, 2_000),
    "digits": Training("images", FAST, 1_500, "digits"),
    "silk": Training("projected", STOPPED, 1_500, "silk", {"held_out": "500"}),
    "pokemon": Training("projected", FAST, 800, "pokemon", {**_SMALL, "resize": "pad"}),
    "twitter-emoji": Training("projected", FREE, 1_400, "twitter-emoji", _SMALL),
    "noto-emoji": Training("projected", STOPPED, 1_400, "noto-emoji", _SMALL),
    "noto-emoji-64": Training(
        "projected", FAST, 1_400, "noto-emoji", {"image_size": "64", "batch_size": 16}
    ),
}


class ScoreRecorder(keras.callbacks.Callback):
    """Records the coverage after each epoch."""

    def __init__(self, evaluator: evaluation.Evaluator) -> None:
        super().__init__()
        self.evaluator = evaluator
        self.coverage: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.coverage.append(self.evaluator.evaluate(self.model)["coverage"])


def make_monitor(split: data.Split, config: Config, **arguments: Any) -> ModeCollapseMonitor:
    """Returns the monitor that `fashion-gan train` uses for the images."""
    if config.data:
        features: tuple = (evaluation.load_imagenet_features(),)
    else:
        features = evaluation.load_classifier(), data.CLASS_NAMES
    return ModeCollapseMonitor(split.train_images, *features, **arguments)


def fit(experiment: Experiment, *callbacks: keras.callbacks.Callback) -> None:
    """Trains for the epochs of the config, without a progress bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the monitor keeps its warnings
        experiment.gan.fit(
            experiment.train, epochs=experiment.config.epochs, callbacks=[*callbacks], verbose=2
        )


def describe(monitor: ModeCollapseMonitor) -> list[dict]:
    """Returns the warnings of a training."""
    return [
        {"epoch": epoch, "kind": issue.kind, "text": issue.text} for epoch, issue in monitor.warned
    ]


def continue_training(
    trained: Experiment, fault: str, evaluator: evaluation.Evaluator
) -> dict[str, Any]:
    """Trains on with a fault, and returns the coverage after each epoch and the warnings."""
    config, split = FAULTS[fault](trained.config), trained.split
    config = dataclasses.replace(config, epochs=round(CONTINUED_LENGTH * config.epochs))
    monitor = make_monitor(split, config, warmup_steps=0)
    if fault == REPEATED:
        images = split.train_images[:NUM_REPEATED]
        split = dataclasses.replace(split, train_images=images)
    continued = prepare(config, split=split)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trained.keras"
        trained.gan.save(path)
        init_from(continued.gan, str(path))
    recorder = ScoreRecorder(evaluator)
    fit(continued, monitor, recorder)
    return {"fault": fault, "coverage": recorder.coverage, "warnings": describe(monitor)}


def record(training: Training) -> dict:
    """Trains, trains on without and with the fault, and returns the warnings and scores."""
    config = training.config()
    split = load_split(config)
    healthy, monitor = prepare(config, split=split), make_monitor(split, config)
    if config.init_from:
        init_from(healthy.gan, config.init_from)
    fit(healthy, monitor)
    if config.data:
        evaluator = evaluation.image_evaluator(split, QUICK)
    else:
        evaluator = evaluation.fashion_mnist_evaluator(QUICK, images=split)
    before = evaluator.evaluate(healthy.gan)
    return {
        "preset": training.preset,
        "steps": healthy.gan.steps,
        "epochs": config.epochs,
        "warnings": describe(monitor),
        "watched_score": evaluator.watched_score,
        "distance": before[evaluator.watched_score],
        "coverage": before["coverage"],
        "control": continue_training(healthy, NONE, evaluator),
        "broken": continue_training(healthy, training.fault, evaluator),
        "versions": runtime.versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRAININGS))
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE.json")
    options = parser.parse_args()
    if unknown := set(options.names) - TRAININGS.keys():
        parser.error(
            f"Expected names among {', '.join(TRAININGS)}. Received: {', '.join(sorted(unknown))}."
        )
    for name in options.names or TRAININGS:
        training = record(TRAININGS[name])
        results = json.loads(options.out.read_text()) if options.out.exists() else {}
        write_json(options.out, dict(sorted({**results, name: training}.items())), indent=1)
        print(name, *(training[part] for part in ("warnings", "control", "broken")), flush=True)


if __name__ == "__main__":
    main()
