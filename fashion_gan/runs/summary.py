"""Summarizes runs: recipe, progress and scores, for one run or for several side by side."""

import dataclasses
import io
import itertools
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from fashion_gan.files import check_no_links_out, read_bytes, read_json, read_text
from fashion_gan.pages import charts
from fashion_gan.pages.html import html_figure, html_image, html_page, html_table
from fashion_gan.registry import printable
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.presets import closest_preset
from fashion_gan.runs.scores import SCORE_LABELS, watched_score

__all__ = [
    "RunSummary",
    "as_dict",
    "comparison_page",
    "differing_settings",
    "list_runs",
    "read_history",
    "summarize_run",
    "summary_tables",
]

_MAX_EPOCH, _MAX_TIME = 1e9, 1e11
"""Largest valid epoch, and largest time in seconds since 1970 that a calendar can show."""

_COLLAPSE = ("missing", "dominant", "unbalanced", "repetitive")  # issues of the monitor
_CHARTS = {
    "d_loss": "loss of the discriminator",
    "g_loss": "loss of the generator",
    "d_accuracy_real": "accuracy on reals",
    "d_accuracy_fake": "accuracy on fakes",
    "frechet_distance": "Fréchet distance, quick",
    "kernel_distance": "kernel distance, quick",
    "pixel_frechet_distance": "Fréchet distance in pixels, quick",
    "coverage": "coverage, quick",
    "missing_classes": "missing classes",
}
_MAX_GRID = 64 * 2**20  # bytes
_GRID_WIDTH = 544  # pixels of the page
_SCORES = (
    "frechet_distance",
    "kernel_distance",
    "transport_distance",
    "pixel_frechet_distance",
    "precision",
    "recall",
    "coverage",
    "copied_share",
    "memorization_ratio",
    "conditional_accuracy",
)


@dataclass(frozen=True)
class RunSummary:
    """Summarizes a run folder, read without TensorFlow.

    Args:
        folder: Path of the run folder.
        state: `"running"` if a process of this host trains in the folder. `"done"` for a finished
            run. `"collapsed"` for a finished run for which `ModeCollapseMonitor` reports mode
            collapse. `"interrupted"` for an unfinished run. `"broken"` for a run that cannot be
            read, with the reason in `error`.
        config: Config of the run, or None if the run is broken.
        epochs: Number of finished epochs.
        scores: Scores of the full protocol for a finished run, or of the last quick evaluation.
        measured: Images that the scores were measured on, such as `"10,000 images"`, or `""`.
        issues: Active issues of the monitor, such as `"missing: Bag"`.
        changed: Time of the last change, in seconds since 1970.
        error: Reason why the run cannot be read.
    """

    folder: Path
    state: str
    config: Config | None = None
    epochs: int = 0
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    measured: str = ""
    issues: tuple[str, ...] = ()
    changed: float = 0.0
    error: str = ""

    @property
    def recipe(self) -> str:
        """Returns the closest preset and the settings that differ from it, as text."""
        if self.config is None:
            return ""
        name, changes = closest_preset(self.config)
        return ", ".join([name, *(f"{key} {value}" for key, value in changes.items())])


def list_runs(parent: str | os.PathLike[str]) -> list[RunSummary]:
    """Returns all runs below a folder, sorted by their last change, the oldest first.

    Raises:
        NotADirectoryError: If `parent` is not a folder.
    """
    parent = Path(parent)
    if not parent.is_dir():
        raise NotADirectoryError(
            f"There is no folder {parent}. Start a run with `fashion-gan train`, or name "
            "another folder."
        )
    found = []
    for folder, below, _ in os.walk(parent):
        if RunDirectory(folder).exists():
            below.clear()
            found.append(summarize_run(folder))
    return sorted(found, key=lambda run: run.changed)


def summarize_run(folder: str | os.PathLike[str]) -> RunSummary:
    """Returns the summary of a run folder.

    Raises:
        FileNotFoundError: If `folder` is not a run folder.
    """
    folder, run = Path(folder), RunDirectory(folder)
    if not run.exists():
        raise FileNotFoundError(
            f"{folder} is not the folder of a run. `fashion-gan runs` lists runs."
        )
    changed = _last_change(folder)
    try:
        check_no_links_out(folder)
        config = run.read_config()
        lines = read_history(folder)
        scores, measured = _scores(run, lines[-1] if lines else {})
        issues = _issues(run)
        state = "running" if run.is_locked() else "interrupted"
    except Exception as error:  # an untrusted folder may hold anything
        return RunSummary(folder, "broken", changed=changed, error=printable(error))
    epochs = int(lines[-1]["epoch"]) if lines else 0
    if state == "interrupted" and run.model_path.is_file() and epochs >= config.epochs:
        collapsed = any(issue.split(":")[0] in _COLLAPSE for issue in issues)
        state = "collapsed" if collapsed else "done"
    return RunSummary(folder, state, config, epochs, scores, measured, issues, changed=changed)


def _last_change(folder: Path) -> float:
    """Returns the time of the last change in a folder, even if files are renamed meanwhile."""
    times = [0.0]
    with suppress(OSError):
        times.append(folder.lstat().st_mtime)
        for path in folder.iterdir():
            with suppress(OSError):
                times.append(path.lstat().st_mtime)
    return min(max(times), _MAX_TIME)


def read_history(folder: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Returns the logged numbers of each epoch, up to the first incomplete line."""
    path, lines = RunDirectory(folder).metrics_path, []
    for line in read_text(path).split("\n") if os.path.lexists(path) else []:
        try:
            numbers = _numbers(json.loads(line))
        except (ValueError, AttributeError, RecursionError):
            break
        if not 0 < numbers.get("epoch", 0) < _MAX_EPOCH:
            break
        lines.append(numbers)
    return lines


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    """Returns the displayable numbers of a JSON object."""
    kinds = int | float
    return {
        name: value
        for name, value in content.items()
        if isinstance(value, kinds) and not isinstance(value, bool) and abs(value) < 1e300
    }


def _scores(run: RunDirectory, last: dict[str, float]) -> tuple[dict[str, Any], str]:
    record = _read(run.scores_path)
    if not record:
        known = {name: last[name] for name in (*_SCORES, "missing_classes") if name in last}
        return known, "quick" if known else ""
    samples = record["scores"]["samples"]
    scores: dict[str, Any] = _numbers(samples)
    if "class_shares" in samples:
        scores["class_shares"] = _numbers(samples["class_shares"])
        scores["missing_classes"] = [printable(name) for name in samples["missing_classes"]]
    return scores, f"{int(record['protocol']['count']):,} images"


def _issues(run: RunDirectory) -> tuple[str, ...]:
    states = _read(run.monitor_path)
    return tuple(map(printable, states[max(states, key=int)]["reported"])) if states else ()


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if os.path.lexists(path) else {}


def as_dict(run: RunSummary) -> dict[str, Any]:
    """Returns a summary as a dict that JSON can hold."""
    content = dataclasses.asdict(run)
    content |= {"folder": str(run.folder), "recipe": run.recipe}
    return content


def differing_settings(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """Returns the settings in which runs differ, with the value of each run in order."""
    made = {}
    for field in dataclasses.fields(Config):
        values = [getattr(run.config, field.name, None) for run in runs]
        if any(value != values[0] for value in values):
            made[field.name] = values
    return made


def summary_tables(runs: Sequence[RunSummary], compared: bool = False) -> list[Any]:
    """Returns `rich` tables: one row per run, or one column per run if `compared` is True."""
    from rich.box import SIMPLE
    from rich.table import Table

    def table(*head: str, first: str = "left") -> Any:
        made = Table(box=SIMPLE, pad_edge=False)
        for column, name in enumerate(head):
            made.add_column(name, justify="right" if column else "left", overflow="fold")
        return made

    if not compared:
        made = table("run", "epochs", "distance", "coverage", "missing", "on", "state", "changed")
        made.add_column("settings", overflow="fold")
        for run in runs:
            epochs = f"{run.epochs}/{run.config.epochs}" if run.config else ""
            when = time.strftime("%d %b %H:%M", time.localtime(run.changed))
            row = [printable(run.folder), epochs, *_row(run), run.measured, run.state, when]
            made.add_row(*row, printable(run.recipe or run.error))
        return [made]
    names = [printable(run.folder) for run in runs]
    settings = table("setting", *names)
    for setting, values in differing_settings(runs).items():
        settings.add_row(setting, *map(printable, values))
    reached = table("reached", *names)
    for label, cells in _reached(runs).items():
        reached.add_row(label, *cells)
    course = table("over the epochs", *names)
    logs = [read_history(run.folder) for run in runs]
    for name, label in _CHARTS.items():
        series = [[line.get(name) for line in log] for log in logs]
        if any(value is not None for values in series for value in values):
            course.add_row(label, *_sparks(series))
    return [settings, reached, course] if settings.row_count else [reached, course]


def _row(run: RunSummary) -> list[str]:
    watched = watched_score(run.config or Config(), run.scores)
    cells = ["", f"{run.scores['coverage']:.2f}" if "coverage" in run.scores else ""]
    if watched in run.scores:
        cells[0] = f"{SCORE_LABELS[watched]} {run.scores[watched]:.3g}"
    missing = run.scores.get("missing_classes", "")
    return (
        [*cells, str(len(missing)) if isinstance(missing, list) else f"{missing:g}"]
        if missing != ""
        else [*cells, ""]
    )


def _reached(runs: Sequence[RunSummary]) -> dict[str, list[str]]:
    """Returns the rows of the table of results: for each label, one cell per run."""
    made = {
        "state": [run.state for run in runs],
        "epochs": [f"{run.epochs}/{run.config.epochs if run.config else '?'}" for run in runs],
        "measured on": [run.measured for run in runs],
    }
    for name in _SCORES:
        if any(name in run.scores for run in runs):
            made[name] = [f"{run.scores[name]:.3g}" if name in run.scores else "" for run in runs]
    for name in sorted({n for run in runs for n in run.scores.get("class_shares", {})}):
        shares = [run.scores.get("class_shares", {}).get(name) for run in runs]
        made[f"share of {printable(name).lower()}"] = [
            "" if s is None else f"{100 * s:.1f} %" for s in shares
        ]
    if any(run.issues for run in runs):
        made["monitor"] = ["; ".join(run.issues).lower() or "silent" for run in runs]
    return made


def _sparks(series: Sequence[Sequence[float | None]], width: int = 24) -> list[str]:
    """Draws each series as a sparkline on a common scale, followed by its last value."""
    known = [value for values in series for value in values if value is not None]
    low, span = min(known), (max(known) - min(known)) or 1.0
    drawn = []
    for values in series:
        picked = (
            [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
            if len(values) > width
            else values
        )
        blocks = (" " if v is None else "▁▂▃▄▅▆▇█"[round(7 * (v - low) / span)] for v in picked)
        last = next((value for value in reversed(values) if value is not None), None)
        drawn.append("".join(blocks) + ("" if last is None else f" {last:.3g}"))
    return drawn


def comparison_page(runs: Sequence[RunSummary]) -> str:
    """Returns a self-contained HTML page that compares settings, scores, curves and grids."""
    names = [printable(run.folder) for run in runs]
    logs = [read_history(run.folder) for run in runs]
    settings = {
        name: [*map(printable, values)] for name, values in differing_settings(runs).items()
    }
    drawn = []
    for name, label in _CHARTS.items():
        series = {
            run: [(line["epoch"], line.get(name)) for line in log]
            for run, log in zip(names, logs, strict=True)
        }
        if any(y is not None for points in series.values() for _, y in points):
            drawn.append(charts.curves(label, "epochs", series))
    legend = "".join(
        f'<li><span style="color:{color}">━━</span> {escape(name)}</li>'
        for name, color in zip(names, itertools.cycle(charts.COLORS), strict=False)
    )
    grids = "".join(html_figure(_grid(run.folder), printable(run.folder)) for run in runs)
    changed = _html_rows(names, settings) if settings else "<p>No setting.</p>"
    return html_page(
        " and ".join(names),
        f"""<h1>Runs, side by side</h1><ul>{legend}</ul>
<h2>What differs</h2>{changed}
<h2>What they reached</h2>{_html_rows(names, _reached(runs))}
<h2>Over the epochs</h2>{"".join(drawn) or "<p>No epoch is finished.</p>"}
<h2>What they draw</h2>{grids}""",
    )


def _html_rows(names: Sequence[str], rows: dict[str, list[str]]) -> str:
    return html_table(("", *names), [(label, *cells) for label, cells in rows.items()])


def _grid(folder: Path) -> str:
    """Returns the last image grid of a run as a data URL in an `img` element."""
    for path in sorted(RunDirectory(folder).samples_dir.glob("epoch_*.png"), reverse=True):
        try:
            check_no_links_out(folder)
            content = read_bytes(path, _MAX_GRID)
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                image.verify()
        except Exception:  # Pillow raises many types for damaged images
            continue
        return html_image(content, path.stem, _GRID_WIDTH)
    return "<p>none yet</p>"
