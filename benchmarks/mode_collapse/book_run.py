"""Records the reports of the monitor along the book's run, and the true class shares.

    python benchmarks/mode_collapse/book_run.py             # trains for 50 epochs, about 6 minutes
    python benchmarks/mode_collapse/book_run.py --diagnose  # only applies the thresholds again

Writes docs/results/mode-collapse-book.json. For each epoch it holds the class shares of 10,000
samples that the monitor does not use, and the monitor's signals with the classifier and without
labels. It also holds the issues that the monitor reports.
"""

import argparse
import dataclasses
import json
import warnings
from pathlib import Path

import keras
import numpy as np
from fit_thresholds import NUM_LABELED, draw_samples
from snapshots import build

from fashion_gan import data, evaluation, monitor, runtime
from fashion_gan.callbacks import ModeCollapseMonitor
from fashion_gan.files import write_json

RESULT = Path(__file__).parents[2] / "docs/results/mode-collapse-book.json"
SEED, EPOCHS, PATIENCE = 42, 50, 2
THRESHOLDS = {"labeled": monitor.LABELED, "unlabeled": monitor.UNLABELED}


class Recorder(keras.callbacks.Callback):
    """Records class shares of other samples and the monitors' signals."""

    def __init__(
        self, classifier: evaluation.Classifier, monitors: dict[str, ModeCollapseMonitor]
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.monitors = monitors
        self.epochs: list[dict] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        _, labels = self.classifier(draw_samples(self.model, NUM_LABELED, seed=1))
        shares = np.bincount(labels, minlength=10) / NUM_LABELED
        signals = {mode: dataclasses.asdict(m.signals) for mode, m in self.monitors.items()}
        self.epochs.append({"epoch": epoch + 1, "shares": shares.tolist(), **signals})


def reported_issues(epochs: list[dict], mode: str) -> list[dict]:
    """Returns the epoch, kind, classes and text of each issue from recorded signals."""
    state, reported = monitor.MonitorState(), []
    for entry in epochs:
        issues = monitor.diagnose(monitor.HealthSignals(**entry[mode]), THRESHOLDS[mode])
        for issue in state.new_issues(issues, PATIENCE):
            reported.append(
                {
                    "epoch": entry["epoch"],
                    "kind": issue.kind,
                    "classes": list(issue.classes),
                    "text": issue.text,
                }
            )
    return reported


def train(num_epochs: int) -> dict:
    """Trains the book's GAN with both monitors, and returns the records."""
    experiment, classifier = build("dense", SEED), evaluation.load_classifier()
    real = experiment.split.train_images
    monitors = {
        "labeled": ModeCollapseMonitor(real, classifier, data.CLASS_NAMES, patience=PATIENCE),
        "unlabeled": ModeCollapseMonitor(
            real, evaluation.load_imagenet_features(), patience=PATIENCE
        ),
    }
    recorder = Recorder(classifier, monitors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        callbacks = [*monitors.values(), recorder]
        experiment.gan.fit(experiment.train, epochs=num_epochs, callbacks=callbacks, verbose=2)
    for mode, watcher in monitors.items():
        warned = [(epoch, issue.kind, issue.text) for epoch, issue in watcher.warned]
        again = [(e["epoch"], e["kind"], e["text"]) for e in reported_issues(recorder.epochs, mode)]
        if warned != again:
            raise RuntimeError(f"Expected issues {again} from the signals. Received: {warned}.")
    return {
        "classifier": classifier.sha256,
        "versions": runtime.versions(),
        "seed": SEED,
        "class_names": data.CLASS_NAMES,
        "epochs": recorder.epochs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--diagnose", action="store_true", help="diagnose the recorded epochs, without training"
    )
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help=f"number of epochs (default {EPOCHS})"
    )
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE.json")
    options = parser.parse_args()
    result = json.loads(options.out.read_text()) if options.diagnose else train(options.epochs)
    result |= {mode: reported_issues(result["epochs"], mode) for mode in THRESHOLDS}
    write_json(options.out, result, indent=None)


if __name__ == "__main__":
    main()
