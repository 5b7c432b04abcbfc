"""Fits the thresholds of the monitor, and measures its detections and false alarms.

    python benchmarks/mode_collapse/fit_thresholds.py          # about 10 minutes of one core
    python benchmarks/mode_collapse/fit_thresholds.py logs/dense logs/snapshots/*.npz

Uses the trainings that snapshots.py recorded, or the given ones. Record them once, in about 20
minutes: `dense`, `dense-adam --epochs 25`, `dcgan --epochs 4` and `dense_modern --epochs 40`.

Chooses the thresholds on these trainings and on sets that are made from the test images, and writes
them to fashion_gan/monitor/thresholds.json, where color_cases.py adds those of color images. Then
evaluates them on other draws of such sets. Writes docs/results/mode-collapse.json. Run the script
again when the classifier changes.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cases
import numpy as np
from cases import Case
from snapshots import FOLDER, Snapshots

from fashion_gan import GAN, data, evaluation, images, monitor, runtime
from fashion_gan.files import write_json
from fashion_gan.runs import checkpoints

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs/results/mode-collapse.json"
THRESHOLDS = ROOT / "fashion_gan/monitor/thresholds.json"
NUM_REAL, NUM_LABELED = 5_000, 10_000
MAX_FALSE_ALARMS = 0.01
GRIDS = {
    "missing_class_ratio": np.arange(0.1, 0.82, 0.02),
    "missing_z_score": np.arange(2.5, 8, 0.25),
    "missing_class_ratio_nn": np.arange(0.3, 0.92, 0.02),
    "dominant": np.arange(0.08, 0.3, 0.01),
    "class_imbalance": np.arange(0.02, 0.5, 0.02),
    "diversity": np.arange(0.1, 0.8, 0.05),
}
"""Candidate values of each threshold, by name."""
FITTED = {
    "labeled": ("missing_class_ratio", "missing_class_ratio_nn", "dominant", "diversity"),
    "unlabeled": ("missing_class_ratio", "missing_z_score", "class_imbalance", "diversity"),
    "color": ("missing_class_ratio", "missing_z_score", "diversity"),
}
"""Names of the thresholds that are fitted, by mode. color_cases.py fits those of color images."""
UNUSED = {
    "labeled": {},
    "unlabeled": {"dominant": 1.0},
    "color": {"dominant": 1.0, "class_imbalance": 1.0},
}
"""Thresholds that report nothing in a mode."""
NEVER = {
    "missing_class_ratio": 0.0,
    "dominant": 1.0,
    "class_imbalance": 1.0,
    "diversity": 0.0,
}
"""Thresholds that report nothing."""


def recorded_cases(path: str, classifier: evaluation.Classifier) -> Iterator[Case | None]:
    """Yields a case for each snapshot of a training, or for a run, or None in the gray zone."""
    if Path(path).is_dir():
        gans = [(Path(path).name, checkpoints.load(path))]
    else:
        snapshots = Snapshots(path)
        indices = range(0, len(snapshots.at), -(-len(snapshots.at) // 14))
        gans = (
            (f"{snapshots.name} after epoch {snapshots.at[i]['epoch']:.0f}", snapshots.gan(i))
            for i in indices
        )
    for name, gan in gans:
        _, labels = classifier(draw_samples(gan, NUM_LABELED, seed=1))
        collapsed = cases.is_collapsed(np.bincount(labels, minlength=10) / NUM_LABELED)
        group = f"generator {Path(path).stem}"
        samples = draw_samples(gan, cases.NUM_IMAGES, seed=0)
        yield None if collapsed is None else Case(group, name, collapsed, samples)


def draw_samples(gan: GAN, count: int, seed: int) -> np.ndarray:
    """Draws uint8 images `(count, 28, 28, 1)`."""
    samples = gan.sample(count, seed=seed)
    return images.with_channels(images.to_uint8(samples, gan.value_range))


def fit(
    signals: Sequence[monitor.HealthSignals], collapsed: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Returns the best thresholds with at most 1 % of false alarms.

    They have the highest rate of detection minus twice the rate of false alarms. Among equally good
    thresholds, it takes the median of the first threshold, then the median of the second threshold
    among those, and so on.
    """
    missing = [name for name in names if name.startswith("missing")]
    alone = [name for name in names if name not in missing]
    grids = [GRIDS[name] for name in missing]
    fired = np.zeros(len(signals), bool)  # gets an axis for each threshold in `alone`
    for name in alone:
        fires = np.array([_fires(s, name) for s in signals])
        fired = fired[..., None] | fires.reshape(len(signals), *[1] * (fired.ndim - 1), -1)
    ratios = list(itertools.product(*grids))
    rates = np.empty((len(ratios), *fired.shape[1:]))
    for i, values in enumerate(ratios):
        limits = monitor.Thresholds(
            **{
                "missing_class_ratio_nn": np.inf,
                "missing_z_score": 0.0,
                **NEVER,
                **dict(zip(missing, values, strict=True)),
            }
        )
        is_missing = np.array([bool(monitor.diagnose(s, limits)) for s in signals])
        alarm = fired | is_missing.reshape(-1, *[1] * len(alone))
        false_alarms = alarm[~collapsed].mean(axis=0)
        detected = alarm[collapsed].mean(axis=0)
        gain = detected - 2 * false_alarms
        rates[i] = np.where(false_alarms <= MAX_FALSE_ALARMS, gain, -1 - false_alarms)
    rates = rates.reshape(*map(len, grids), *fired.shape[1:])
    best = np.argwhere(rates == rates.max())
    for axis in range(best.shape[1]):
        values = np.unique(best[:, axis])
        best = best[best[:, axis] == values[len(values) // 2]]
    indices = dict(zip([*missing, *alone], map(int, best[0]), strict=True))
    return {name: round(float(GRIDS[name][indices[name]]), 3) for name in names}


def _fires(signals: monitor.HealthSignals, name: str) -> list[bool]:
    """Returns whether one threshold alone reports an issue, for each of its values."""
    return [
        bool(monitor.diagnose(signals, monitor.Thresholds(**{**NEVER, name: float(value)})))
        for value in GRIDS[name]
    ]


def measure(
    examples: Sequence[Case], signals: Sequence[monitor.HealthSignals], limits: monitor.Thresholds
) -> dict:
    """Returns the rates of detection and of false alarms, and the wrongly classified cases.

    Args:
        examples: Cases to report on.
        signals: Signals of these cases.
        limits: Thresholds of the monitor.
    """
    truth = np.array([case.collapsed for case in examples])
    kinds = [[issue.kind for issue in monitor.diagnose(s, limits)] for s in signals]
    alarm = np.array([bool(k) for k in kinds])
    return {
        "collapsed": int(truth.sum()),
        "detection": float(alarm[truth].mean()),
        "healthy": int((~truth).sum()),
        "false_alarms": float(alarm[~truth].mean()),
        "groups": count_alarms(examples, alarm),
        "wrong": [
            {"group": case.group, "name": case.name, "collapsed": case.collapsed, "issues": k}
            for case, k in zip(examples, kinds, strict=True)
            if bool(k) != case.collapsed
        ],
    }


def evaluate(
    examples: dict[str, list[Case]],
    signals: dict[str, list[monitor.HealthSignals]],
    mode: str,
) -> dict:
    """Fits the thresholds of a mode to the fitted cases, and counts the alarms in all cases.

    Args:
        examples: Cases to fit the thresholds to, `"fitted"`, and to report on, `"reported"`.
        signals: Signals of these cases.
        mode: Mode in `FITTED`.
    """
    collapsed = np.array([case.collapsed for case in examples["fitted"]])
    fitted = fit(signals["fitted"], collapsed, FITTED[mode])
    limits = monitor.Thresholds(**fitted, **UNUSED[mode])
    counts = {name: measure(examples[name], signals[name], limits) for name in examples}
    return {"thresholds": fitted, **counts}


def count_alarms(examples: Sequence[Case], alarm: np.ndarray) -> list[dict]:
    """Returns the number of alarms among the cases of each group."""
    return [
        {
            "group": group,
            "collapsed": collapsed,
            "cases": len(rows),
            "alarms": int(alarm[rows].sum()),
        }
        for (group, collapsed), rows in _groups(examples).items()
    ]


def _groups(examples: Sequence[Case]) -> dict[tuple[str, bool], list[int]]:
    """Returns the indices of the cases of each group."""
    groups: dict[tuple[str, bool], list[int]] = {}
    for i, case in enumerate(examples):
        groups.setdefault((case.group, case.collapsed), []).append(i)
    return groups


def compute_signals(
    examples: Sequence[Case], real: np.ndarray, classifier: evaluation.Classifier
) -> dict[str, list[monitor.HealthSignals]]:
    """Returns the signals of all cases with the classifier and without labels."""
    labeled = monitor.ReferenceSet(real, *classifier(real), data.CLASS_NAMES)
    unlabeled = monitor.ReferenceSet(real, evaluation.load_imagenet_features()(real))
    return {
        "labeled": [labeled.signals(case.images, *classifier(case.images)) for case in examples],
        "unlabeled": [unlabeled.signals(case.images) for case in examples],
    }


def write_thresholds(fitted: dict[str, dict[str, float]]) -> None:
    """Replaces the thresholds of the given modes in the file that the library reads."""
    thresholds = json.loads(THRESHOLDS.read_text())
    for mode, values in fitted.items():
        thresholds[mode] = {**values, **UNUSED[mode]}
    write_json(THRESHOLDS, thresholds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainings", nargs="*", help="run folders, or .npz files of snapshots.py")
    trainings = parser.parse_args().trainings or sorted(map(str, FOLDER.glob("*.npz")))
    split, classifier = data.load_fashion_mnist(), evaluation.load_classifier()
    rows = np.random.default_rng(0).choice(len(split.train_images), NUM_REAL, replace=False)
    real = split.train_images[np.sort(rows)]
    found = list(cases.make_cases(split, seed=0))
    found += [case for path in trainings for case in recorded_cases(path, classifier)]
    examples = {
        "fitted": [case for case in found if case is not None],
        "reported": list(cases.make_cases(split, seed=1)),
    }
    signals = {name: compute_signals(examples[name], real, classifier) for name in examples}
    modes = {
        mode: evaluate(examples, {name: signals[name][mode] for name in signals}, mode)
        for mode in signals["fitted"]
    }
    result = {
        "classifier": classifier.sha256,
        "versions": runtime.versions(),
        "samples": cases.NUM_IMAGES,
        "real_images": NUM_REAL,
        "gray": len(found) - len(examples["fitted"]),
        **modes,
    }
    write_json(RESULT, result)
    write_thresholds({mode: result["thresholds"] for mode, result in modes.items()})
    for mode in modes:
        print(mode, modes[mode]["thresholds"], modes[mode]["reported"])


if __name__ == "__main__":
    main()
