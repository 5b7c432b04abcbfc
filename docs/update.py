"""Puts committed results into the pages: README, and those of docs/ that show any.

It also makes the notebook of docs/story.md.

for seed in 42 1 2; do
  fashion-gan train --preset dense --seed $seed --run logs/dense-$seed
done
fashion-gan evaluate logs/dense-42 --yardsticks --out logs/dense-42/report
python docs/update.py --runs logs/dense-42 logs/dense-1 logs/dense-2

Without `--runs` it writes the pages anew from docs/results.
"""

import argparse
import json
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import speed_tables

from fashion_gan.files import write_json

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
EPOCHS = (1, 5, 10, 20, 30, 40, 50)
LOGGED = (
    "d_loss",
    "g_loss",
    "d_accuracy_real",
    "d_accuracy_fake",
    "d_logit_real",
    "d_logit_fake",
    "frechet_distance",
)
NOTEBOOKS = ("story.md",)
MEASURES = ("frechet_distance", "pixel_frechet_distance", "precision", "recall", "coverage")


def row(*cells: Any) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |\n"


def head(*cells: str) -> str:
    """The first two lines of a Markdown table."""
    return row(*cells) + f"|{'---|' * len(cells)}\n"


def lines(name: str) -> list[dict[str, Any]]:
    """The lines of a file of results in JSON."""
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]


def logged_table() -> str:
    """The logged numbers of the dense preset after some of the epochs."""
    epochs = lines("dense.jsonl")
    return head("after epoch", *map(str, EPOCHS)) + "".join(
        row(f"`{name}`", *(f"{epochs[epoch - 1][name]:.2f}" for epoch in EPOCHS)) for name in LOGGED
    )


def score_table() -> str:
    """The scores of the dense preset beside the yardsticks, and the shares of its classes."""
    scores = json.loads((RESULTS / "dense-scores.json").read_text())["scores"]
    run = next(iter(scores))
    text = head("10,000 images", *(f"`{name}`" for name in MEASURES), "classes under 1 %")
    for name, values in scores.items():
        if name == "the book's GAN":  # is the run itself
            continue
        missing = values["missing_classes"]
        named = ", ".join(missing).lower() if len(missing) < 6 else f"{len(missing)} of them"
        title = "**the book's GAN**" if name == run else name
        text += row(title, *(f"{values[key]:.2f}" for key in MEASURES), named or "none")
    shares = sorted(scores[run]["class_shares"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name.lower()} {100 * share:.1f} %" for name, share in shares)
    return text + f"\nShares of the classes, of which each should be 10 %: {listed}.\n"


def seed_table() -> str:
    """Each number of the dense preset over its training seeds."""
    records = json.loads((RESULTS / "dense-seeds.json").read_text())
    scores = [record["scores"]["samples"] for record in records.values()]
    text = head("number", "mean", "sd", *(f"seed {seed}" for seed in records))

    def line(name: str, values: list[float]) -> str:
        numbers = statistics.mean(values), statistics.stdev(values), *values
        return row(name, *(f"{number:.3f}" for number in numbers))

    for name, value in scores[0].items():
        if isinstance(value, float):
            text += line(f"`{name}`", [score[name] for score in scores])
    for name in scores[0]["class_shares"]:
        shares = [score["class_shares"][name] for score in scores]
        text += line(f"share of {name.lower()}", shares)
    missing = (", ".join(score["missing_classes"]).lower() or "none" for score in scores)
    return text + row("classes under 1 %", "", "", *missing)


def preset_table() -> str:
    """What each preset costs and reaches, beside the book's: means over its training seeds."""
    book = list(json.loads((RESULTS / "dense-seeds.json").read_text()).values())
    made = json.loads((RESULTS / "presets.json").read_text())
    reference = _mean(book, "frechet_distance")
    text = head(
        "preset",
        "seeds",
        "minutes",
        "trained on",
        "by its steps on two cores",
        "Fréchet distance",
        "the book's ÷ it",
        "without the average",
        "in pixels",
        "coverage",
        "rarest class",
        "right class",
        "nearest ratio",
        "seeds that lost a class",
    )
    for name, records in {"dense": book, **{n: list(r.values()) for n, r in made.items()}}.items():
        scores = [record["scores"]["samples"] for record in records]
        times = [record["seconds"] / 60 for record in records if record.get("seconds")]
        distances = [score["frechet_distance"] for score in scores]
        sd = f" ± {statistics.stdev(distances):.2f}" if len(distances) > 1 else ""
        lost = sum(bool(score["missing_classes"]) for score in scores)
        text += row(
            f"`{name}`",
            len(records),
            f"{statistics.mean(times):.0f}" if times else "",
            records[0].get("trained_on", "CPU"),
            _minutes_of_steps(name, records[0]),
            f"{statistics.mean(distances):.2f}{sd}",
            f"{reference / statistics.mean(distances):.1f}",
            _without_average(records),
            f"{_mean(records, 'pixel_frechet_distance'):.2f}",
            f"{_mean(records, 'coverage'):.2f}",
            f"{100 * min(min(s['class_shares'].values()) for s in scores):.1f} %",
            _agreement(records),
            f"{_mean(records, 'nearest_ratio'):.2f}",
            f"{lost} of {len(records)}",
        )
    return text


def _mean(records: list[dict[str, Any]], name: str) -> float:
    return statistics.mean(record["scores"]["samples"][name] for record in records)


def _without_average(records: list[dict[str, Any]]) -> str:
    if not records[0].get("config", {}).get("ema_decay"):  # the book has none
        return ""
    return f"{statistics.mean(r['scores']['raw']['frechet_distance'] for r in records):.2f}"


def _minutes_of_steps(preset: str, record: dict[str, Any]) -> str:
    """How long its steps take by the benchmark: without callbacks, and with nothing beside them."""
    report = json.loads((RESULTS / "benchmark-presets.json").read_text())
    steps = {made["preset"]: made["ms_per_step"]["median"] for made in report["results"]}
    if preset not in steps:
        return ""
    config = record["config"]
    count = 55_000 // (config["batch_size"] * config["d_steps"]) * config["epochs"]
    return f"{count * steps[preset] / 60_000:.0f}"


def _agreement(records: list[dict[str, Any]]) -> str:
    if "class_agreement" not in records[0]["scores"]["samples"]:
        return ""
    return f"{100 * _mean(records, 'class_agreement'):.0f} %"


def residual_table() -> str:
    """What falling rates, weaker penalties and more epochs do to the residual pairs."""
    trials = lines("residual-trials.jsonl")
    numbers = ("frechet_distance", "coverage", "class_total_variation")
    text = head(
        "pair",
        "R1 and R2",
        "rates",
        "after epoch",
        "Fréchet distance",
        "coverage",
        "classes' total variation",
    )
    for trial in trials:
        config = trial["config"]
        text += row(
            "conditional" if config["conditional"] else "`resnet`",
            config["r1"],
            "fall" if config["decay_epochs"] else "constant",
            trial["epoch"],
            *(f"{trial[name]:.3f}" for name in numbers),
        )
    seconds = [trial["seconds"] for trial in trials]
    return (
        f"{text}\nOn one {trials[0]['device']}, beside two to five other trainings, XLA took "
        f"{trials[0]['compilation']:.0f} s to compile one, and then {min(seconds):.0f} to "
        f"{max(seconds):.0f} s an epoch.\n"
    )


def ablation_table() -> str:
    """What the book's dense pair reaches when one ingredient is taken away, the best first."""
    report = json.loads((RESULTS / "ablation.json").read_text())
    variants = {name: made["scores"] for name, made in report["variants"].items()}
    whole = variants["all of them"]["frechet_distance"]
    text = head(
        f"{report['epochs']} epochs",
        "Fréchet distance",
        "÷ all of them",
        "in pixels",
        "coverage",
        "rarest class",
        "classes under 1 %",
        "minutes",
    )
    for name in sorted(variants, key=lambda name: variants[name]["frechet_distance"]):
        scores = variants[name]
        distance = scores["frechet_distance"]
        text += row(
            f"**{name}**" if name == "all of them" else name,
            f"{distance:.1f}",
            f"{distance / whole:.2f}",
            f"{scores['pixel_frechet_distance']:.2f}",
            f"{scores['coverage']:.2f}",
            f"{100 * min(scores['class_shares'].values()):.1f} %",
            len(scores["missing_classes"]) or "none",
            f"{report['variants'][name]['seconds'] / 60:.0f}",
        )
    return text


def endurance_sentence() -> str:
    """How many trainings a process bears."""
    found = json.loads((RESULTS / "endurance.json").read_text())
    plain, xla, folders = (
        found[name] for name in ("one_process", "one_process_xla", "side_by_side")
    )
    early, late = (plain["memory_megabytes"][part] for part in ("second_tenth", "last_tenth"))
    files = plain["open_files"]
    return (
        f"Of {plain['runs']} short trainings without XLA, one after the other in one process, "
        f"the second tenth had {early:.0f} MB and {files['second_tenth']:.0f} open files, the last "
        f"tenth {late:.0f} MB and {files['last_tenth']:.0f}. With XLA, {xla['runs']} trainings "
        f"took {xla['megabytes_a_run']:.0f} MB more each. {folders['asked']} trainings, five at a "
        f"time, made {folders['folders']} folders with {folders['seeds']} seeds; of "
        f"{folders['compared_with_one_alone']} trained again alone, {folders['same_as_alone']} "
        "logged the same numbers.\n"
    )


def cost_sentence() -> str:
    """What measuring costs."""
    cost = json.loads((RESULTS / "evaluation-cost.json").read_text())
    machine = cost["machine"]
    quick, epoch = (statistics.median(cost[f"{name}_seconds"]) for name in ("quick", "epoch"))
    return (
        f"On {machine['processor']}, {machine['cores']} cores, by "
        f"`python benchmarks/evaluation_cost.py`, medians: a quick evaluation takes {quick:.2f} s "
        f"beside an epoch of the dense GAN of {epoch:.1f} s, that is "
        f"{100 * cost['share_of_an_epoch']:.0f} %. The full protocol takes "
        f"{statistics.median(cost['protocol_seconds']):.0f} s, and the real side, once, "
        f"{cost['real_side_seconds']:.0f} s.\n"
    )


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "dense.jsonl": logged_table,
        "dense-scores.json": score_table,
        "presets.json": preset_table,
    },
    "docs/evaluation.md": {"dense-seeds.json": seed_table, "evaluation-cost.json": cost_sentence},
    "docs/recipes.md": {
        "ablation.json": ablation_table,
        "residual-trials.jsonl": residual_table,
    },
    "docs/limits.md": {"endurance.json": endurance_sentence},
    "docs/speed.md": speed_tables.TABLES,
}


def page(name: str) -> str:
    """A page with the tables of today's results."""
    text = (DOCS.parent / name).read_text()
    for source, make in TABLES[name].items():
        begin, end = f"<!-- from docs/results/{source} -->\n", "<!-- end -->"
        before, rest = text.split(begin)
        text = before + begin + make() + end + rest.split(end, 1)[1]
    return text


def notebook(name: str) -> str:
    """A page as a notebook without outputs: a cell for each Python block, and for each text."""
    text = (DOCS / name).read_text()
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"```python\n(.*?)```\n", text, flags=re.S)):
        lines = part.strip().splitlines(keepends=True)
        cell: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}, "source": lines}
        if number % 2:
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        else:
            cell |= {"cell_type": "markdown"}
        if lines:
            cells.append(dict(sorted(cell.items())))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    return json.dumps({**content, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"


def take(runs: list[Path]) -> None:
    """Copy what the pages show from runs of the dense preset, the first being the one in README."""
    first = runs[0]
    shutil.copy(first / "samples/real.png", DOCS / "images/real.png")
    shutil.copy(first / "samples/epoch_0050.png", DOCS / "images/dense.png")
    for name in ("classes.png", "closest.png"):
        shutil.copy(first / "report" / name, DOCS / f"images/dense-{name}")
    shutil.copy(first / "metrics.jsonl", RESULTS / "dense.jsonl")
    shutil.copy(first / "report/scores.json", RESULTS / "dense-scores.json")
    records = {
        json.loads((run / "config.json").read_text())["seed"]: json.loads(
            (run / "scores.json").read_text()
        )
        for run in runs
    }
    write_json(RESULTS / "dense-seeds.json", records)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", type=Path, help="run folders of the dense preset")
    options = parser.parse_args()
    if options.runs:
        take(options.runs)
    for name in TABLES:
        (DOCS.parent / name).write_text(page(name))
    for name in NOTEBOOKS:
        (DOCS / name).with_suffix(".ipynb").write_text(notebook(name))
