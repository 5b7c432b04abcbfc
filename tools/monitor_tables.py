"""Makes the tables of docs/monitor.md: thresholds, their error rates, and the book's run."""

import dataclasses
from collections.abc import Callable
from typing import Any

from markdown_tables import read, table

from fashion_gan import monitor

EPOCHS = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50)
SIGNALS = ("diversity", "mode_rotation", "loss_oscillation", "loss_growth")
MISSING = 0.01
MODES = {"labeled": "with the classifier", "unlabeled": "without labels"}
UNUSED = {"labeled": ("class_imbalance",), "unlabeled": ("missing_class_ratio_nn", "dominant")}


def thresholds() -> str:
    """Makes the table of all thresholds."""
    limits = {
        "labeled": dataclasses.asdict(monitor.LABELED),
        "unlabeled": dataclasses.asdict(monitor.UNLABELED),
    }
    rows = [
        [
            f"`{name}`",
            *("not used" if name in UNUSED[mode] else f"{limits[mode][name]:g}" for mode in MODES),
        ]
        for name in limits["labeled"]
    ]
    return table(["threshold", *MODES.values()], rows)


def scores() -> str:
    """Makes the table of detections and false alarms in both halves of the cases."""
    report = read("mode-collapse")
    rows = []
    for mode, title in MODES.items():
        half, fitted = report[mode]["reported"], report[mode]["fitted"]
        rows.append(
            [
                f"**{title}**",
                ", ".join(f"`{n}` {v:g}" for n, v in report[mode]["thresholds"].items()),
                f"{half['detection']:.1%} of {half['collapsed']}",
                f"{half['false_alarms']:.1%} of {half['healthy']}",
                f"{fitted['detection']:.1%} and {fitted['false_alarms']:.1%}",
            ]
        )
    head = ["", "thresholds", "collapsed, detected", "healthy, false alarms"]
    return (
        f"{report['cases']} sets of {report['samples']:,} images, each compared with "
        f"{report['real_images']:,} training images; gray sets: {report['gray']}; classifier with "
        f"SHA-256 {report['classifier'][:8]}….\n\n{table([*head, 'on the fitted half'], rows)}"
    )


def groups() -> str:
    """Makes the table of the alarms in each group of cases, in both halves."""
    report = read("mode-collapse")
    rows = [
        [
            labeled["group"],
            "collapsed" if labeled["collapsed"] else "healthy",
            f"{labeled['alarms']} of {labeled['cases']}",
            f"{unlabeled['alarms']} of {unlabeled['cases']}",
        ]
        for labeled, unlabeled in zip(
            report["labeled"]["groups"], report["unlabeled"]["groups"], strict=True
        )
    ]
    titles = [f"alarms {title}" for title in MODES.values()]
    return table(["sets", "", *titles], rows)


def wrong() -> str:
    """Lists the missed cases and the false alarms."""
    report, items = read("mode-collapse"), []
    for mode, title in MODES.items():
        for collapsed, what in ((True, "missed"), (False, "false alarms")):
            cases = [w for w in report[mode]["wrong"] if w["collapsed"] == collapsed]
            listed = "; ".join(f"{w['group']}: {w['name']} ({w['half']} half)" for w in cases)
            items.append(f"- {title.capitalize()}, {what}: {listed or 'none'}.\n")
    return "".join(items)


def book_epochs() -> str:
    """Makes the table of class shares and signals after some epochs of the book's run."""
    report = read("mode-collapse-book")
    epochs = [report["epochs"][number - 1] for number in EPOCHS]
    rows = [
        [name.lower(), *(f"{100 * epoch['shares'][index]:.1f} %" for epoch in epochs)]
        for index, name in enumerate(report["class_names"])
    ]
    rows += [
        [f"`{name}`", *(f"{epoch['labeled'][name]:.2f}" for epoch in epochs)] for name in SIGNALS
    ]
    return f"Seed {report['seed']}.\n\n" + table(["after epoch", *EPOCHS], rows)


def book_classes() -> str:
    """Makes the table of when classes are missing and reported as missing in the book's run."""
    report, rows = read("mode-collapse-book"), []
    for index, name in enumerate(report["class_names"]):
        stretches = [f"{a} to {b}" if a < b else str(a) for a, b in _stretches(report, index)]
        named = [
            str(issue["epoch"])
            for issue in report["labeled"]
            if issue["kind"] == "missing" and name in issue["classes"]
        ]
        if stretches or named:
            rows.append([name.lower(), ", ".join(stretches) or "none", ", ".join(named) or "never"])
    head = ["class", "epochs in which it has less than 1 %", "reported as missing after epoch"]
    return table(head, rows)


def _stretches(report: dict[str, Any], index: int) -> list[tuple[int, int]]:
    """Returns the first and last epoch of each stretch with less than 1 % of a class."""
    stretches: list[tuple[int, int]] = []
    for entry in report["epochs"]:
        if entry["shares"][index] < MISSING:
            number = entry["epoch"]
            if stretches and stretches[-1][1] == number - 1:
                stretches[-1] = (stretches[-1][0], number)
            else:
                stretches.append((number, number))
    return stretches


def book_issues() -> str:
    """Lists the issues that the monitor reports in the book's run."""
    report, parts = read("mode-collapse-book"), []
    for mode, title in MODES.items():
        items = [f"- after {issue['epoch']} epochs: {issue['text']}\n" for issue in report[mode]]
        parts.append(f"{title.capitalize()}:\n\n{''.join(items)}")
    return "\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    "fashion_gan/monitor/thresholds.json": thresholds,
    "docs/results/mode-collapse.json": scores,
    "docs/results/mode-collapse.json, groups": groups,
    "docs/results/mode-collapse.json, wrong": wrong,
    "docs/results/mode-collapse-book.json": book_epochs,
    "docs/results/mode-collapse-book.json, classes": book_classes,
    "docs/results/mode-collapse-book.json, issues": book_issues,
}
