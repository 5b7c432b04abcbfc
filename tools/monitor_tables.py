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
LIMITS = {
    "with the classifier": monitor.LABELED,
    "without labels": monitor.UNLABELED,
    "color images without labels": monitor.COLOR,
}
UNUSED = {
    "with the classifier": ("class_imbalance", "missing_z_score"),
    "without labels": ("missing_class_ratio_nn", "dominant"),
    "color images without labels": ("missing_class_ratio_nn", "dominant", "class_imbalance"),
}


def thresholds() -> str:
    """Makes the table of all thresholds."""
    rows = [
        [
            f"`{field.name}`",
            *(
                "not used" if field.name in UNUSED[title] else f"{getattr(limits, field.name):g}"
                for title, limits in LIMITS.items()
            ),
        ]
        for field in dataclasses.fields(monitor.Thresholds)
    ]
    return table(["threshold", *LIMITS], rows)


def scores() -> str:
    """Makes the table of detections and false alarms among the reported and the fitted cases."""
    report = read("mode-collapse")
    rows = []
    for mode, title in MODES.items():
        reported, fitted = report[mode]["reported"], report[mode]["fitted"]
        rows.append(
            [
                f"**{title}**",
                ", ".join(f"`{n}` {v:g}" for n, v in report[mode]["thresholds"].items()),
                f"{reported['detection']:.1%} of {reported['collapsed']}",
                f"{reported['false_alarms']:.1%} of {reported['healthy']}",
                f"{fitted['detection']:.1%} and {fitted['false_alarms']:.1%}",
            ]
        )
    head = ["", "thresholds", "collapsed, detected", "healthy, false alarms", "on the fitted sets"]
    return (
        f"Sets of {report['samples']:,} images, each compared with {report['real_images']:,} "
        f"training images; gray sets: {report['gray']}; classifier with SHA-256 "
        f"{report['classifier'][:8]}….\n\n{table(head, rows)}"
    )


def groups() -> str:
    """Makes the table of the alarms in each group, among all cases."""
    report = read("mode-collapse")
    counts: dict[tuple[str, bool], dict[str, list[int]]] = {}
    for mode in MODES:
        for part in ("fitted", "reported"):
            for row in report[mode][part]["groups"]:
                by_mode = counts.setdefault((row["group"], row["collapsed"]), {})
                total = by_mode.setdefault(mode, [0, 0])
                total[0] += row["alarms"]
                total[1] += row["cases"]
    rows = [
        [
            group,
            "collapsed" if collapsed else "healthy",
            *(f"{by_mode[mode][0]} of {by_mode[mode][1]}" for mode in MODES),
        ]
        for (group, collapsed), by_mode in counts.items()
    ]
    titles = [f"alarms {title}" for title in MODES.values()]
    return table(["sets", "", *titles], rows)


def color_scores() -> str:
    """Makes the table of detections and false alarms without labels, on color images."""
    report = read("mode-collapse-color")
    rows = []
    for name, result in report["collections"].items():
        reported, fitted = result["reported"], result["fitted"]
        rows.append(
            [
                name,
                f"{reported['detection']:.1%} of {reported['collapsed']}",
                f"{reported['false_alarms']:.1%} of {reported['healthy']}",
                f"{fitted['detection']:.1%} and {fitted['false_alarms']:.1%}",
                f"{result['neighbors_of_same_kind']:.0%}",
            ]
        )
    listed = ", ".join(f"`{n}` {v:g}" for n, v in report["thresholds"].items())
    head = ["images", "collapsed, detected", "healthy, false alarms", "on the fitted sets"]
    head.append("neighbors of the same kind")
    return (
        f"{report['real_images']:,} real images of each collection. Thresholds: {listed}.\n\n"
        f"{table(head, rows)}"
    )


def color_groups() -> str:
    """Makes the table of the alarms without labels in each group of color images."""
    collections = read("mode-collapse-color")["collections"]
    cells: dict[tuple[str, bool], dict[str, str]] = {}
    for name, result in collections.items():
        for row in result["reported"]["groups"]:
            key = row["group"], row["collapsed"]
            cells.setdefault(key, {})[name] = f"{row['alarms']} of {row['cases']}"
    rows = [
        [
            group,
            "collapsed" if collapsed else "healthy",
            *(counts.get(name, "") for name in collections),
        ]
        for (group, collapsed), counts in sorted(cells.items(), key=lambda item: item[0][1])
    ]
    return table(["sets", "", *collections], rows)


def trainings() -> str:
    """Makes the table of the warnings in healthy trainings and after a fault in each of them."""
    rows = []
    for name, result in read("mode-collapse-trainings").items():
        broken, epochs = result["broken"], result["epochs"]
        low = (i + 1 for i, c in enumerate(broken["coverage"]) if c < result["coverage"] / 2)
        control = result["control"]
        first = min((warning["epoch"] for warning in broken["warnings"]), default=None)
        rows.append(
            [
                f"`{name}`",
                f"{result['steps']:,}",
                f"{epochs}",
                f"{len(result['warnings'])}",
                f"{min(control['coverage']) / result['coverage']:.2f}",
                f"{len(control['warnings'])}",
                broken["fault"],
                f"{next(low, 'never')}",
                f"{first or 'never'}",
            ]
        )
    titles = ["training", "steps", "epochs", "warnings", "lowest coverage of the control"]
    titles += ["its warnings", "fault", "broken in epoch", "first warning after epoch"]
    return table(titles, rows)


def training_warnings() -> str:
    """Lists the warnings in healthy trainings and in their controls."""
    items = []
    for name, result in read("mode-collapse-trainings").items():
        for part, warned in (
            ("", result["warnings"]),
            (", control", result["control"]["warnings"]),
        ):
            items += [f"- `{name}`{part}, epoch {w['epoch']}: {w['text']}\n" for w in warned]
    return "".join(items)


def wrong() -> str:
    """Lists the missed cases and the false alarms among the reported cases."""
    report, items = read("mode-collapse"), []
    for mode, title in MODES.items():
        for collapsed, what in ((True, "missed"), (False, "false alarms")):
            cases = [w for w in report[mode]["reported"]["wrong"] if w["collapsed"] == collapsed]
            listed = "; ".join(f"{w['group']}: {w['name']}" for w in cases)
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
    "docs/results/mode-collapse-color.json": color_scores,
    "docs/results/mode-collapse-color.json, groups": color_groups,
    "docs/results/mode-collapse-trainings.json": trainings,
    "docs/results/mode-collapse-trainings.json, warnings": training_warnings,
    "docs/results/mode-collapse-book.json": book_epochs,
    "docs/results/mode-collapse-book.json, classes": book_classes,
    "docs/results/mode-collapse-book.json, issues": book_issues,
}
