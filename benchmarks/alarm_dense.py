"""The alarm along the book's run: what it says, and how many of each class there really are.

    python benchmarks/alarm_dense.py       # trains for 50 epochs, about 6 minutes

Writes docs/results/alarm-dense.json: after each epoch the shares of the classes among 10,000
samples other than those that the alarm sees, the numbers that it logs, and its warnings in both
modes. A class is absent while it has less than 1 %.
"""

import json
import warnings
from pathlib import Path

import keras
import numpy as np
from alarm_quality import LABELLING, pictures
from snapshots import build

from fashion_gan import data, features, runtime
from fashion_gan.callbacks import ModeCollapseMonitor

RESULTS = Path(__file__).parent.parent / "docs/results/alarm-dense.json"
SEED, EPOCHS = 42, 50


class Counts(keras.callbacks.Callback):
    """Keeps the shares of the classes among 10,000 other samples, and the logs, of each epoch."""

    def __init__(self, classifier: features.Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.epochs: list[dict] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        _, labels = self.classifier(pictures(self.model, LABELLING, seed=1))
        shares = np.bincount(labels, minlength=10) / LABELLING
        numbers = {name: round(float(value), 4) for name, value in (logs or {}).items()}
        self.epochs.append({"epoch": epoch + 1, "shares": shares.tolist(), "logs": numbers})


def said(monitor: ModeCollapseMonitor) -> list[dict]:
    return [
        {"epoch": epoch, "kind": finding.kind, "classes": finding.classes, "text": finding.text}
        for epoch, finding in monitor.warned
    ]


def main() -> None:
    gan, dataset = build("dense", SEED)
    fashion, classifier = data.load(), features.load()
    labelled = ModeCollapseMonitor(fashion.train_images, classifier, data.CLASS_NAMES)
    unlabelled = ModeCollapseMonitor(fashion.train_images)
    counts = Counts(classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan.fit(dataset, epochs=EPOCHS, callbacks=[labelled, unlabelled, counts], verbose=2)
    results = {
        "classifier": classifier.sha256,
        "versions": runtime.versions(),
        "seed": SEED,
        "class_names": data.CLASS_NAMES,
        "epochs": counts.epochs,
        "labelled": said(labelled),
        "unlabelled": said(unlabelled),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
