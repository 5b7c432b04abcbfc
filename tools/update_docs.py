"""Writes the tables of the committed results into README and the pages of docs/.

    python tools/update_docs.py            # writes all pages that are out of date
    python tools/update_docs.py --check    # lists them, and fails if there is one

A page has a table between `<!-- from docs/results/NAME.json -->` and `<!-- end -->`. `TABLES` lists
all tables. The script also writes the notebook of docs/story.md. `--runs` first copies the results
of three runs of the dense preset that the pages show:

    for seed in 42 1 2; do
      fashion-gan train --preset dense --eval-freq 1 --seed $seed --run-dir logs/dense-$seed
    done
    fashion-gan evaluate logs/dense-42 --baselines --out logs/dense-42/report
    python tools/update_docs.py --runs logs/dense-42 logs/dense-1 logs/dense-2
"""

import argparse
import json
import re
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed_tables
import feature_tables
import monitor_tables
import speed_tables
from markdown_tables import RESULTS, describe, read, read_lines, table

from fashion_gan.files import atomic_write, write_json

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = (DOCS / "story.md",)
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
SCORES = ("frechet_distance", "pixel_frechet_distance", "precision", "recall", "coverage")
MARKER = re.compile(r"(<!-- from ([^>]+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def logged_table() -> str:
    """Makes the table of what the dense preset logs after some of the epochs."""
    epochs = read_lines("dense")
    rows = [[f"`{name}`", *(f"{epochs[e - 1][name]:.2f}" for e in EPOCHS)] for name in LOGGED]
    return table(["after epoch", *EPOCHS], rows)


def score_table() -> str:
    """Makes the table of the dense preset and the baselines, and lists its class shares."""
    scores = read("dense-scores")["scores"]
    run, rows = next(iter(scores)), []
    for name, values in scores.items():
        if name == "the book's GAN":  # the same as the run
            continue
        missing = values["missing_classes"]
        listed = ", ".join(missing).lower() if len(missing) < 6 else f"{len(missing)} of them"
        title = "**the book's GAN**" if name == run else name
        rows.append([title, *(f"{values[key]:.2f}" for key in SCORES), listed or "none"])
    shares = sorted(scores[run]["class_shares"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name.lower()} {100 * share:.1f} %" for name, share in shares)
    return (
        table(["10,000 images", *(f"`{name}`" for name in SCORES), "classes under 1 %"], rows)
        + f"\nFractions of the classes, each of which should be 10 %: {listed}.\n"
    )


def seed_table() -> str:
    """Makes the table of each score of the dense preset over its training seeds."""
    records = read("dense-seeds")
    scores = [record["scores"]["samples"] for record in records.values()]
    values = {
        f"`{name}`": [score[name] for score in scores]
        for name, value in scores[0].items()
        if isinstance(value, float)
    }
    for name in scores[0]["class_shares"]:
        values[f"share of {name.lower()}"] = [score["class_shares"][name] for score in scores]
    rows = [
        [name, *(f"{n:.3f}" for n in (statistics.mean(row), statistics.stdev(row), *row))]
        for name, row in values.items()
    ]
    missing = (", ".join(score["missing_classes"]).lower() or "none" for score in scores)
    rows.append(["classes under 1 %", "", "", *missing])
    return table(["number", "mean", "std", *(f"seed {seed}" for seed in records)], rows)


def preset_summary() -> str:
    """Makes the short table of what each preset reaches, for README."""
    records = _preset_records()
    reference = _mean(records["dense"], "frechet_distance")
    rows = []
    for name, of_seeds in records.items():
        distance = _mean(of_seeds, "frechet_distance")
        rows.append(
            [
                f"`{name}`",
                f"{distance:.2f}",
                f"{reference / distance:.0f}",
                f"{_mean(of_seeds, 'coverage'):.2f}",
                of_seeds[0].get("trained_on", "CPU"),
            ]
        )
    head = ["preset", "Fréchet distance", "the book's ÷ it", "coverage", "trained on"]
    return table(head, rows)


def _preset_records() -> dict[str, list[dict[str, Any]]]:
    """Returns the records of the training seeds of each preset."""
    presets = {name: list(records.values()) for name, records in read("presets").items()}
    return {"dense": list(read("dense-seeds").values()), **presets}


def preset_table() -> str:
    """Makes the table of the cost and the scores of each preset, as means over its seeds."""
    presets = _preset_records()
    reference, rows = _mean(presets["dense"], "frechet_distance"), []
    for name, records in presets.items():
        scores = [record["scores"]["samples"] for record in records]
        minutes = [record["seconds"] / 60 for record in records if record.get("seconds")]
        distances = [score["frechet_distance"] for score in scores]
        std = f" ± {statistics.stdev(distances):.2f}" if len(distances) > 1 else ""
        missing = sum(bool(score["missing_classes"]) for score in scores)
        rows.append(
            [
                f"`{name}`",
                len(records),
                f"{statistics.mean(minutes):.0f}" if minutes else "",
                records[0].get("trained_on", "CPU"),
                _minutes_of_steps(name, records[0]),
                f"{statistics.mean(distances):.2f}{std}",
                f"{reference / statistics.mean(distances):.1f}",
                _without_ema(records),
                f"{_mean(records, 'pixel_frechet_distance'):.2f}",
                f"{_mean(records, 'coverage'):.2f}",
                f"{100 * min(min(s['class_shares'].values()) for s in scores):.1f} %",
                _conditional_accuracy(records),
                f"{_mean(records, 'memorization_ratio'):.2f}",
                f"{missing} of {len(records)}",
            ]
        )
    head = ["preset", "seeds", "minutes", "trained on", "by its steps on two cores"]
    head += ["Fréchet distance", "the book's ÷ it", "without the average", "in pixels"]
    head += ["coverage", "rarest class", "right class", "nearest ratio", "seeds that lost a class"]
    return table(head, rows)


def _mean(records: list[dict[str, Any]], name: str) -> float:
    return statistics.mean(record["scores"]["samples"][name] for record in records)


def _without_ema(records: list[dict[str, Any]]) -> str:
    if not records[0].get("config", {}).get("ema_decay"):
        return ""
    return f"{statistics.mean(r['scores']['no_ema']['frechet_distance'] for r in records):.2f}"


def _conditional_accuracy(records: list[dict[str, Any]]) -> str:
    if "conditional_accuracy" not in records[0]["scores"]["samples"]:
        return ""
    return f"{100 * _mean(records, 'conditional_accuracy'):.0f} %"


def _minutes_of_steps(preset: str, record: dict[str, Any]) -> str:
    """Computes the time of the steps from the benchmark, without callbacks and other work."""
    results = read("benchmark-presets")["results"]
    steps = {result["preset"]: result["ms_per_step"]["median"] for result in results}
    if preset not in steps:
        return ""
    config = record["config"]
    count = 55_000 // (config["batch_size"] * config["d_steps"]) * config["epochs"]
    return f"{count * steps[preset] / 60_000:.0f}"


def residual_table() -> str:
    """Makes the table of learning-rate decay, penalties and epochs of the residual networks."""
    trials = read_lines("residual-trials")
    numbers = ("frechet_distance", "coverage", "class_total_variation")
    rows = [
        [
            "conditional" if trial["config"]["conditional"] else "`resnet`",
            trial["config"]["r1"],
            "fall" if trial["config"]["lr_decay_epochs"] else "constant",
            trial["epoch"],
            *(f"{trial[name]:.3f}" for name in numbers),
        ]
        for trial in trials
    ]
    head = ["pair", "R1 and R2", "rates", "after epoch", "Fréchet distance", "coverage"]
    seconds = [trial["seconds"] for trial in trials]
    return (
        f"{table([*head, 'total variation of the classes'], rows)}\nOn one {trials[0]['device']} "
        f"that ran two to five other trainings, XLA took {trials[0]['compilation']:.0f} s to "
        f"compile one, and then {min(seconds):.0f} to {max(seconds):.0f} s an epoch.\n"
    )


def ablation_table() -> str:
    """Makes the table of the dense pair without one ingredient at a time, best first."""
    report = read("ablation")
    variants = report["variants"]
    complete = variants["all of them"]["scores"]["frechet_distance"]
    rows = []
    for name in sorted(variants, key=lambda name: variants[name]["scores"]["frechet_distance"]):
        scores = variants[name]["scores"]
        rows.append(
            [
                f"**{name}**" if name == "all of them" else name,
                f"{scores['frechet_distance']:.1f}",
                f"{scores['frechet_distance'] / complete:.2f}",
                f"{scores['pixel_frechet_distance']:.2f}",
                f"{scores['coverage']:.2f}",
                f"{100 * min(scores['class_shares'].values()):.1f} %",
                len(scores["missing_classes"]) or "none",
                f"{variants[name]['seconds'] / 60:.0f}",
            ]
        )
    head = [f"{report['epochs']} epochs", "Fréchet distance", "÷ all of them", "in pixels"]
    head += ["coverage", "rarest class", "classes under 1 %", "minutes"]
    return table(head, rows)


def memory_leaks() -> str:
    """States the growth of memory and open files over trainings, and whether trainings mix."""
    report = read("memory-leaks")
    plain, xla, together = (
        report[name] for name in ("one_process", "one_process_xla", "side_by_side")
    )
    early, late = (plain["memory_megabytes"][part] for part in ("second_tenth", "last_tenth"))
    files = plain["open_files"]
    return (
        f"Of {plain['runs']} short trainings without XLA in one process, the second tenth had "
        f"{early:.0f} MB and {files['second_tenth']:.0f} open files, and the last tenth "
        f"{late:.0f} MB and {files['last_tenth']:.0f}. With XLA, each of {xla['runs']} trainings "
        f"added {xla['megabytes_a_run']:.0f} MB. {together['asked']} trainings, five at a time, "
        f"wrote {together['folders']} folders with {together['seeds']} seeds. "
        f"{together['compared_with_one_alone']} of them were trained again, one at a time, and "
        f"{together['same_as_alone']} logged the same numbers.\n"
    )


def evaluation_cost() -> str:
    """Makes the table of the time of evaluations in each preset, and states the protocol's."""
    cost = read("evaluation-cost")
    rows = []
    for name, preset in cost["presets"].items():
        step, quick, monitor = (
            statistics.median(preset[f"{part}_seconds"]) for part in ("step", "quick", "monitor")
        )
        between = preset["steps_between_evaluations"]
        cells = [f"{between:,}", f"{between * step:.1f}", f"{quick:.2f}", f"{monitor:.2f}"]
        rows.append([f"`{name}`", *cells, f"{(quick + monitor) / (between * step):.1%}"])
    titles = ["preset", "steps between two", "seconds of these", "quick evaluation", "monitor"]
    protocol = statistics.median(cost["protocol_seconds"])
    return table([*titles, "more time"], rows) + (
        f"\n{describe(cost['machine'])}; medians, in seconds. The full protocol for Fashion-MNIST "
        f"takes {protocol:.0f} s, and its reference statistics, once, "
        f"{cost['reference_stats_seconds']:.0f} s.\n"
    )


def image_cases() -> str:
    """Makes the table of the results of reading typical folders, archives and arrays."""
    rows = [(text, outcome.replace("|", "")) for text, outcome in read("image-cases").items()]
    return table(["images", "what is read"], rows)


def own_images() -> str:
    """Makes the table of the scores of trainings on collections, with those of two baselines."""
    head = ("kernel_distance", "coverage", "recall", "pixel_frechet_distance", "copied_share")
    rows, machines = [], set()
    for record in read("own-images").values():
        flags = record["command"].partition(" --data .data/images/")[2]
        count, minutes = record["train_images"], record["seconds"] / 60
        title = f"**`{flags}`**, {count:,} images, {minutes:.0f} min"
        rows.append([title, *[""] * len(head)])
        for name in ("samples", "training images", "blurred"):
            values = record["scores"][name]
            distance = f"{values['kernel_distance']:.1f} ± {values['kernel_distance_std']:.1f}"
            shares = [f"{values[key]:.2f}" for key in ("coverage", "recall")]
            pixels = f"{values['pixel_frechet_distance']:.0f}"
            copied = f"{values['copied_share']:.2f}" if "copied_share" in values else ""
            rows.append([name, distance, *shares, pixels, copied])
        machines.add(describe(record["machine"]))
    return table(["images", *(f"`{name}`" for name in head)], rows) + (
        f"\nMeasured on {' and '.join(sorted(machines))}.\n"
    )


def own_images_ablation() -> str:
    """Makes the table of the preset `projected` without one ingredient at a time, best first."""
    report = read("own-images-ablation")
    variants = report["variants"]
    rows = []
    for name in sorted(variants, key=lambda name: variants[name]["scores"]["kernel_distance"]):
        scores = variants[name]["scores"]
        words = name.replace("-", " ")
        rows.append(
            [
                f"**{words}**" if name == "all-ingredients" else words,
                f"{scores['kernel_distance']:.1f} ± {scores['kernel_distance_std']:.1f}",
                *(f"{scores[key]:.2f}" for key in ("coverage", "recall")),
                f"{scores['pixel_frechet_distance']:.0f}",
                f"{variants[name]['seconds'] / 60:.0f}",
            ]
        )
    head = [f"`{report['collection']}`, `{' '.join(report['flags'])}`", "`kernel_distance`"]
    head += ["`coverage`", "`recall`", "`pixel_frechet_distance`", "minutes"]
    machines = {describe(variant["machine"]) for variant in variants.values()}
    return table(head, rows) + f"\nMeasured on {' and '.join(sorted(machines))}.\n"


def few_images() -> str:
    """Makes the table of the scores after trainings on few images, by number and by variant."""
    report = read("few-images")
    counts = sorted({int(count) for records in report.values() for count in records})
    scores = ("frechet_distance", "coverage", "recall", "memorization_ratio")
    rows, machines = [], set()
    for count in counts:
        rows.append([f"**{count:,}**", *[""] * (len(scores) + 2)])
        for name, records in report.items():
            if record := records.get(f"{count}"):
                values = record["scores"]["classifier"]["samples"]
                general = record["scores"]["imagenet"]["samples"]["kernel_distance"]
                numbers = [f"{values[key]:.2f}" for key in scores]
                minutes = f"{record['seconds'] / 60:.0f}"
                rows.append([f"`{name}`", *numbers, f"{general:.1f}", minutes])
                machines.add(describe(record["machine"]))
    head = ["training images", *(f"`{name}`" for name in scores)]
    head += ["`kernel_distance`, ImageNet", "minutes"]
    return table(head, rows) + f"\nMeasured on {' and '.join(sorted(machines))}.\n"


def image_reading() -> str:
    """Makes the table of the time and the memory that reading images takes."""
    result = read("image-reading")
    small, again, photos = (result[n] for n in ("small_first", "small_again", "photos_first"))
    training = result["training"]
    count, gigabytes = f"{result['images']:,}", f"{result['gigabytes']:g}"
    rows = [
        (f"{count} JPEG of 32x32, the first time", *_cost(small)),
        (f"{count} JPEG of 32x32, from the cache", *_cost(again)),
        (f"{result['photos']:,} JPEG of 4000x3000, as 64x64", *_cost(photos)),
    ]
    return table(["read", "seconds", "memory, MB", "of the array, MB"], rows) + (
        f"\nA training on an array of {gigabytes} GB took {training['megabytes']:,.0f} MB in all. "
        f"Measured on {describe(result['machine'])}.\n"
    )


def projection() -> str:
    """Makes the table of the projection errors of samples and test images."""
    result = read("projection")
    rows = []
    for name, parts in result["generators"].items():
        samples, tests = parts["samples"], parts["test_images"]
        rows.append(
            (
                f"`{name}`",
                f"{samples['images']} and {tests['images']}",
                f"{100 * samples['found']:.0f} %",
                f"{samples['error']['median']:.4f}",
                f"{tests['error']['median']:.3f}",
                f"{tests['nearest_training_image']['median']:.3f}",
                f"{100 * tests['nearer']:.0f} %",
                f"{tests['cpu_seconds'] / tests['images']:.2f}",
            )
        )
    head = [
        "generator",
        "samples and test images",
        "samples found",
        "their median error",
        "of test images",
    ]
    return table(
        [*head, "nearest training image", "nearer than it", "CPU seconds an image"], rows
    ) + (f"\nMeasured on {describe(result['machine'])}.\n")


def export_formats() -> str:
    """Makes the table of the size and the distance of generators in LiteRT."""
    result = read("export-formats")
    rows, counts = [], set()
    for name, kinds in result["generators"].items():
        for kind, row in kinds.items():
            counts.add(f"{row['images']:,}")
            size = f"{row['megabytes']:.2f}" if "megabytes" in row else ""
            error = f"{row['pixel_error']:.4f}" if size else ""
            title = "Keras" if kind == "keras" else f"LiteRT, {kind}"
            rows.append((f"`{name}`", title, size, error, f"{row['frechet_distance']:.2f}"))
    head = ["generator", "runtime", "MB", "pixel error", "Fréchet distance"]
    machine = result["machine"]
    return table(head, rows) + (
        f"\n{' or '.join(sorted(counts))} samples against the 5,000 validation images. Measured on "
        f"{describe(machine)}, ai-edge-litert {machine['ai_edge_litert']}.\n"
    )


def _cost(measured: dict[str, float]) -> tuple[str, str, str]:
    return (
        f"{measured['seconds']:.1f}",
        f"{measured['megabytes']:,.0f}",
        f"{measured['array_megabytes']:,.0f}",
    )


TABLES: dict[str, Callable[[], str]] = {
    "docs/results/dense.jsonl": logged_table,
    "docs/results/dense-scores.json": score_table,
    "docs/results/dense-seeds.json": seed_table,
    "docs/results/presets.json": preset_table,
    "docs/results/presets.json, summary": preset_summary,
    "docs/results/ablation.json": ablation_table,
    "docs/results/residual-trials.jsonl": residual_table,
    "docs/results/evaluation-cost.json": evaluation_cost,
    "docs/results/memory-leaks.json": memory_leaks,
    "docs/results/image-cases.json": image_cases,
    "docs/results/image-reading.json": image_reading,
    "docs/results/own-images.json": own_images,
    "docs/results/own-images-ablation.json": own_images_ablation,
    "docs/results/few-images.json": few_images,
    "docs/results/projection.json": projection,
    "docs/results/export-formats.json": export_formats,
    **speed_tables.TABLES,
    **monitor_tables.TABLES,
    **distributed_tables.TABLES,
    **feature_tables.TABLES,
}


def update_page(path: Path) -> str:
    """Returns a page with the tables of the committed results.

    Raises:
        ValueError: If the page has a marker that is not in `TABLES`.
    """

    def fill(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"Expected a marker of TABLES. Received in {path}: {match[2]!r}.")
        return match[1] + TABLES[match[2]]() + match[4]

    return MARKER.sub(fill, path.read_text())


def make_notebook(path: Path) -> str:
    """Returns a page as a notebook without outputs, with a cell for each Python block and text."""
    cells: list[dict[str, Any]] = []
    parts = re.split(r"```python\n(.*?)```\n", path.read_text(), flags=re.DOTALL)
    for number, part in enumerate(parts):
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


def outdated() -> Iterator[tuple[Path, str]]:
    """Yields each page and notebook that is out of date, with its new content.

    Raises:
        ValueError: If a page has a marker that is not in `TABLES`, or a table is on no page.
    """
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    shown = {match[2] for path in pages for match in MARKER.finditer(path.read_text())}
    if unused := TABLES.keys() - shown:
        raise ValueError(f"Expected a page for each table. Received none for {sorted(unused)}.")
    contents = {path: update_page(path) for path in pages}
    contents |= {path.with_suffix(".ipynb"): make_notebook(path) for path in NOTEBOOKS}
    for path, content in contents.items():
        if not path.exists() or path.read_text() != content:
            yield path, content


def copy_runs(runs: list[Path]) -> None:
    """Copies the shown results of dense runs, and the images of the first run."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if outdated")
    parser.add_argument("--runs", nargs="+", type=Path, help="run folders of the dense preset")
    options = parser.parse_args()
    if options.runs and not options.check:
        copy_runs(options.runs)
    pages = list(outdated())
    for path, content in pages:
        print(f"{path.relative_to(ROOT)} is out of date" + ("." if options.check else ": written."))
        if not options.check:
            with atomic_write(path) as partial:
                partial.write_text(content)
    sys.exit(bool(pages) and options.check)


if __name__ == "__main__":
    main()
