"""Computes how sensitive training is to each setting of a sweep."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fashion_gan.pages import charts
from fashion_gan.runs.scores import SCORE_LABELS
from fashion_gan.sweep.work import SETTINGS

if TYPE_CHECKING:
    import optuna

__all__ = ["chart", "sensitivity", "table"]


def sensitivity(study: "optuna.Study") -> dict[str, list[dict[str, Any]]]:
    """Aggregates the results for each value of each setting, over all other settings and seeds.

    Ranges are divided into thirds of the trials. Each row has `value`, `runs`, `mean`, `std`, `min`
    and `max` of the distance, and `collapsed`, a fraction of the runs. Pruned trials count with the
    seeds that they finished.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if "reached" in trial.user_attrs]
    settings = study.user_attrs[SETTINGS]
    found: dict[str, list[dict[str, Any]]] = {}
    for name in settings["varied"]:
        groups: dict[str, list[dict[str, Any]]] = {}
        for label, trial in _grouped(name, [t for t in trials if name in t.params]):
            groups.setdefault(label, []).extend(trial.user_attrs["reached"])
        found[name] = [
            {"value": label, **_statistics(reached, settings["metric"])}
            for label, reached in groups.items()
        ]
    return found


def _grouped(name: str, trials: Sequence[Any]) -> list[tuple[str, Any]]:
    """Returns pairs of a trial and the label of its value, in the order of the values."""
    if not trials:
        return []
    values = [trial.params[name] for trial in trials]
    numbers = all(isinstance(value, int | float) for value in values)
    order = sorted(range(len(trials)), key=lambda i: values[i] if numbers else str(values[i]))
    categorical = type(trials[0].distributions[name]).__name__ == "CategoricalDistribution"
    if categorical or len(set(values)) <= 3:
        return [(f"{values[i]:g}" if numbers else str(values[i]), trials[i]) for i in order]
    cuts = [round(len(order) * part / 3) for part in range(4)]
    made = []
    for start, end in itertools.pairwise(cuts):
        part = order[start:end]
        label = f"{values[part[0]]:.3g} to {values[part[-1]]:.3g}"
        made += [(label, trials[i]) for i in part]
    return made


def _statistics(reached: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    distances = [one[metric] for one in reached]
    return {
        "runs": len(distances),
        "mean": statistics.fmean(distances),
        "std": statistics.stdev(distances) if len(distances) > 1 else 0.0,
        "min": min(distances),
        "max": max(distances),
        "collapsed": statistics.fmean(one["collapsed"] for one in reached),
    }


def table(
    found: Mapping[str, Sequence[Mapping[str, Any]]], metric: str = "frechet_distance"
) -> Any:
    """Returns the result of `sensitivity` as a `rich` table.

    Args:
        found: Result of `sensitivity`.
        metric: Name of the metric that scored the trials. Defaults to `"frechet_distance"`.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(box=SIMPLE, pad_edge=False)
    heads = ("setting", "value", "runs", SCORE_LABELS[metric], "std", "min", "max", "collapsed")
    for column, head in enumerate(heads):
        made.add_column(head, justify="right" if column > 1 else "left", no_wrap=column < 2)
    for name, rows in found.items():
        for index, row in enumerate(rows):
            numbers = [f"{row[key]:.2f}" for key in ("mean", "std", "min", "max")]
            share = f"{row['collapsed']:.0%}"
            label = name if not index else ""
            made.add_row(label, row["value"], str(row["runs"]), *numbers, share)
    return made


def chart(
    found: Mapping[str, Sequence[Mapping[str, Any]]], metric: str = "frechet_distance"
) -> str:
    """Returns an SVG chart with a bar for each mean, and a line from minimum to maximum.

    Args:
        found: Result of `sensitivity`.
        metric: Name of the metric that scored the trials. Defaults to `"frechet_distance"`.

    Raises:
        ValueError: If no run is finished.
    """
    drawn = [
        charts.Bar(
            f"{name} {row['value']}"
            + (f", {row['collapsed']:.0%} collapsed" if row["collapsed"] else ""),
            row["mean"],
            row["min"],
            row["max"],
        )
        for name, rows in found.items()
        for row in rows
    ]
    return charts.bars(f"{SCORE_LABELS[metric]} distance by setting", "", drawn)
