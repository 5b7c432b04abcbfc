"""How well the alarm tells collapsed samples from healthy ones; its thresholds are fitted here.

    python benchmarks/snapshots.py dense && python benchmarks/snapshots.py dense-adam --epochs 25
    python benchmarks/snapshots.py dcgan --epochs 4
    python benchmarks/snapshots.py dense_modern --epochs 40    # once; about 20 minutes in all
    python benchmarks/alarm_quality.py                 # about 5 minutes of one core
    python benchmarks/alarm_quality.py logs/dense logs/snapshots/*.npz   # or these trainings

Thresholds are chosen on one half of the cases and written to fashion_gan/metrics/thresholds.json;
the other half says how good they are. Writes docs/results/alarm.json, from which alarm_page.py
makes docs/alarm.md. Rerun it when the classifier changes.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import alarm_cases
import numpy as np
from alarm_cases import Case
from snapshots import FOLDER, Snapshots

from fashion_gan import data, features, images, metrics, run, runtime
from fashion_gan.files import write_json

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/alarm.json"
THRESHOLDS = ROOT / "fashion_gan/metrics/thresholds.json"
REFERENCES, LABELLING = 5_000, 10_000
FALSE_ALARMS = 0.02
GRIDS = {
    "vanished": np.arange(0.1, 0.62, 0.02),
    "vanished_nearby": np.arange(0.3, 0.92, 0.02),
    "dominant": np.arange(0.08, 0.3, 0.01),
    "imbalance": np.arange(0.08, 0.5, 0.02),
    "diversity": np.arange(0.1, 0.8, 0.05),
}
FITTED = {
    "labelled": ("vanished", "vanished_nearby", "dominant", "diversity"),
    "unlabelled": ("vanished", "imbalance", "diversity"),
}


def recorded(path: str, classifier: features.Classifier) -> Iterator[Case | None]:
    """Snapshots of a training, or the end of a run folder; None for each in the grey zone."""
    if Path(path).is_dir():
        gans = [(Path(path).name, run.load(path))]
    else:
        snapshots = Snapshots(path)
        chosen = range(0, len(snapshots.at), -(-len(snapshots.at) // 14))
        gans = (
            (f"{snapshots.name} after epoch {snapshots.at[i]['epoch']:.0f}", snapshots.gan(i))
            for i in chosen
        )
    for name, gan in gans:
        _, labels = classifier(pictures(gan, LABELLING, seed=1))
        collapsed = alarm_cases.label(np.bincount(labels, minlength=10) / LABELLING)
        group = f"generator {Path(path).stem}"
        samples = pictures(gan, alarm_cases.COUNT, seed=0)
        yield None if collapsed is None else Case(group, name, collapsed, samples)


def pictures(gan: object, count: int, seed: int) -> np.ndarray:
    samples = gan.sample(count, seed=seed)
    return images.with_channels(images.to_uint8(samples, gan.value_range))


def fit(signs: list[metrics.Signs], ill: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """The thresholds that detect most, of those with at most 2 % of false alarms.

    Of several that are equally good, the median: of the first threshold, then of the second one
    among those that have the first, and so on.
    """
    grids = [GRIDS[name] for name in names]
    fires = [np.array([_fires(s, name) for s in signs]) for name in names if "vanished" not in name]
    nearby = grids[1] if "vanished_nearby" in names else np.array([np.inf])
    scores = np.empty((len(grids[0]), len(nearby), *(f.shape[1] for f in fires)))
    for i, j in itertools.product(range(len(grids[0])), range(len(nearby))):
        gone = np.array([_gone(s, grids[0][i], nearby[j]) for s in signs])
        alarm = gone[:, None, None] | fires[0][:, :, None] | fires[1][:, None, :]
        false = alarm[~ill].mean(axis=0)
        scores[i, j] = np.where(false <= FALSE_ALARMS, alarm[ill].mean(axis=0), -false)
    best = np.argwhere(scores == scores.max())
    for axis in range(best.shape[1]):
        values = np.unique(best[:, axis])
        best = best[best[:, axis] == values[len(values) // 2]]
    chosen = [int(i) for i in best[0]]
    if "vanished_nearby" not in names:
        del chosen[1]
    return {n: round(float(g[i]), 3) for n, g, i in zip(names, grids, chosen, strict=True)}


def _gone(s: metrics.Signs, vanished: float, nearby: float) -> bool:
    limits = metrics.Thresholds(vanished=vanished, vanished_nearby=nearby, dominant=1, diversity=0)
    return bool(metrics.diagnose(s, limits))


def _fires(s: metrics.Signs, name: str) -> list[bool]:
    """Whether one threshold alone fires, for each of its values."""
    silent = {"vanished": 0.0, "dominant": 1.0, "imbalance": 1.0, "diversity": 0.0}
    return [
        bool(metrics.diagnose(s, metrics.Thresholds(**{**silent, name: float(value)})))
        for value in GRIDS[name]
    ]


def judge(
    cases: list[Case], signs: list[metrics.Signs], names: tuple[str, ...], second: np.ndarray
) -> dict:
    """Fit on the first half and count on both."""
    ill = np.array([case.collapsed for case in cases])
    chosen = fit(
        [s for s, other in zip(signs, second, strict=True) if not other], ill[~second], names
    )
    limits = dataclasses.replace(
        metrics.LABELLED if "dominant" in names else metrics.UNLABELLED, **chosen
    )
    kinds = [[f.kind for f in metrics.diagnose(s, limits)] for s in signs]
    alarm = np.array([bool(k) for k in kinds])
    groups = list(dict.fromkeys((case.group, case.collapsed) for case in cases))
    return {
        "thresholds": chosen,
        **{
            name: {
                "collapsed": int((ill & half).sum()),
                "detection": float(alarm[ill & half].mean()),
                "healthy": int((~ill & half).sum()),
                "false_alarms": float(alarm[~ill & half].mean()),
            }
            for name, half in (("fitted", ~second), ("reported", second))
        },
        "groups": [
            {
                "group": group,
                "collapsed": collapsed,
                "cases": len(rows),
                "alarms": int(alarm[rows].sum()),
            }
            for group, collapsed in groups
            for rows in [
                [i for i, c in enumerate(cases) if (c.group, c.collapsed) == (group, collapsed)]
            ]
        ],
        "wrong": [
            {
                "group": case.group,
                "name": case.name,
                "collapsed": case.collapsed,
                "half": "reported" if second[i] else "fitted",
                "found": kinds[i],
            }
            for i, case in enumerate(cases)
            if alarm[i] != case.collapsed
        ],
    }


def write_thresholds(modes: dict) -> None:
    """Writes the chosen thresholds to the file that the library reads."""
    chosen = {mode: dict(modes[mode]["thresholds"]) for mode in FITTED}
    chosen["unlabelled"]["dominant"] = 1.0
    write_json(THRESHOLDS, chosen)


def main(trainings: list[str]) -> None:
    fashion, classifier = data.load(), features.load()
    chosen = np.random.default_rng(0).choice(len(fashion.train_images), REFERENCES, replace=False)
    real = fashion.train_images[np.sort(chosen)]
    references = {
        "labelled": metrics.Reference(real, *classifier(real), data.CLASS_NAMES),
        "unlabelled": metrics.Reference(real),
    }
    found = [*alarm_cases.made(fashion), *(c for t in trainings for c in recorded(t, classifier))]
    cases = [case for case in found if case is not None]
    signs: dict[str, list[metrics.Signs]] = {"labelled": [], "unlabelled": []}
    for case in cases:
        signs["labelled"].append(
            references["labelled"].signs(case.images, *classifier(case.images))
        )
        signs["unlabelled"].append(references["unlabelled"].signs(case.images))
    second = np.empty(len(cases), bool)  # half of each group, by chance
    rng = np.random.default_rng(2)
    for key in dict.fromkeys((case.group, case.collapsed) for case in cases):
        rows = [i for i, case in enumerate(cases) if (case.group, case.collapsed) == key]
        second[rng.permutation(rows)] = np.arange(len(rows)) % 2 == rng.integers(2)

    modes = {mode: judge(cases, signs[mode], names, second) for mode, names in FITTED.items()}
    results = {
        "classifier": classifier.sha256,
        "versions": runtime.versions(),
        "samples": alarm_cases.COUNT,
        "real_images": REFERENCES,
        "cases": len(cases),
        "grey": len(found) - len(cases),
        **modes,
    }
    write_json(RESULTS, results)
    write_thresholds(modes)
    for mode in FITTED:
        print(mode, modes[mode]["thresholds"], modes[mode]["reported"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainings", nargs="*", help="run folders, or .npz of snapshots.py")
    main(parser.parse_args().trainings or sorted(map(str, FOLDER.glob("*.npz"))))
