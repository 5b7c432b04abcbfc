"""The alarm along the book's run: what it says, and how many of each class there really are.

    python benchmarks/alarm_dense.py           # trains for 50 epochs, about 6 minutes
    python benchmarks/alarm_dense.py --judge   # only judges the signs anew, by other thresholds

Writes docs/results/alarm-dense.json: after each epoch the shares of the classes among 10,000
samples other than those that the alarm sees, and the signs that it sees with the classifier and
without labels; and what it says of them.
"""

import argparse
import dataclasses
import json
import warnings
from pathlib import Path

import keras
import numpy as np
from alarm_quality import LABELLING, pictures
from snapshots import build

from fashion_gan import data, features, metrics, runtime
from fashion_gan.callbacks import ModeCollapseMonitor
from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/alarm-dense.json"
SEED, EPOCHS, PATIENCE = 42, 50, 2
LIMITS = {"labelled": metrics.LABELLED, "unlabelled": metrics.UNLABELLED}


class Recorder(keras.callbacks.Callback):
    """Keeps the shares among 10,000 other samples and the monitors' signs, of each epoch."""

    def __init__(
        self, classifier: features.Classifier, monitors: dict[str, ModeCollapseMonitor]
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.monitors = monitors
        self.epochs: list[dict] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        _, labels = self.classifier(pictures(self.model, LABELLING, seed=1))
        shares = np.bincount(labels, minlength=10) / LABELLING
        signs = {mode: dataclasses.asdict(m.signs) for mode, m in self.monitors.items()}
        self.epochs.append({"epoch": epoch + 1, "shares": shares.tolist(), **signs})


def judge(epochs: list[dict], mode: str) -> list[dict]:
    """What the monitor says of recorded signs: epoch, kind, classes and text of each warning."""
    memory, said = metrics.Memory(), []
    for entry in epochs:
        found = metrics.diagnose(metrics.Signs(**entry[mode]), LIMITS[mode])
        for finding in memory.news(found, PATIENCE):
            said.append({"epoch": entry["epoch"], **dataclasses.asdict(finding)})
    return [{k: v for k, v in entry.items() if k != "remedies"} for entry in said]


def train() -> dict:
    """The run, watched."""
    gan, dataset = build("dense", SEED)
    fashion, classifier = data.load(), features.load()
    real = fashion.train_images
    monitors = {
        "labelled": ModeCollapseMonitor(real, classifier, data.CLASS_NAMES, patience=PATIENCE),
        "unlabelled": ModeCollapseMonitor(real, patience=PATIENCE),
    }
    recorder = Recorder(classifier, monitors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan.fit(dataset, epochs=EPOCHS, callbacks=[*monitors.values(), recorder], verbose=2)
    for mode, monitor in monitors.items():
        warned = [(epoch, finding.kind, finding.text) for epoch, finding in monitor.warned]
        judged = [(e["epoch"], e["kind"], e["text"]) for e in judge(recorder.epochs, mode)]
        if warned != judged:
            raise RuntimeError(f"The monitor said {warned}, but its signs say {judged}.")
    return {
        "classifier": classifier.sha256,
        "versions": runtime.versions(),
        "seed": SEED,
        "class_names": data.CLASS_NAMES,
        "epochs": recorder.epochs,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", action="store_true", help="without training")
    again = parser.parse_args().judge
    results = json.loads(RESULTS.read_text()) if again else train()
    results |= {mode: judge(results["epochs"], mode) for mode in LIMITS}
    write_json(RESULTS, results, indent=None)
