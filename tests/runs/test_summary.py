"""Runs listed and compared, and folders that one training holds at a time."""

import base64
import dataclasses
import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from fashion_gan.cli.main import main
from fashion_gan.files import write_json
from fashion_gan.images import write_png
from fashion_gan.pages import charts
from fashion_gan.runs import presets, summary
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.presets import PRESETS

CALM = {"50": {"reported": []}}
LOST = {"49": {"reported": []}, "50": {"reported": ["missing: Bag", "missing: Coat"]}}


def make_run(folder, config=PRESETS["dense"], epochs=50, monitor=CALM, model=True, count=None):
    """Writes a run folder as `runs.train` does, without a training."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", dataclasses.asdict(config))
    lines = [
        {"epoch": e, "d_loss": 1 / e, "frechet_distance": 100.0 - e, "missing_classes": 3.0}
        for e in range(1, epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_json(folder / "monitor.json", monitor)
    if model:
        (folder / "model.keras").write_bytes(b"")
    if count:
        shares = {"Bag": 0.005, "Coat": 0.995}
        scores = {"frechet_distance": 7.5, "coverage": 0.75, "class_shares": shares}
        scores["missing_classes"] = ["Bag"]
        record = {"protocol": {"count": count}, "scores": {"samples": scores, "raw": {}}}
        write_json(folder / "scores.json", record)
    return folder


def test_list_runs_returns_the_state_of_each_folder(tmp_path):
    made = {
        "done": make_run(tmp_path / "a"),
        "collapsed": make_run(tmp_path / "deep/er/b", monitor=LOST),
        "interrupted": make_run(tmp_path / "c", epochs=20, model=False),
        "running": make_run(tmp_path / "d", epochs=20, model=False),
    }
    grown = make_run(tmp_path / "e", dataclasses.replace(PRESETS["dense"], epochs=60))
    (tmp_path / "f").mkdir()
    (tmp_path / "f/config.json").write_text("{")
    (tmp_path / "no-run").mkdir()
    with RunDirectory(made["running"]).lock():
        found = {run.folder: run for run in summary.list_runs(tmp_path)}
    for state, folder in made.items():
        assert found.pop(folder).state == state
    assert found.pop(grown).state == "interrupted", "its epochs have grown since it was done"
    broken = found.pop(tmp_path / "f")
    assert (broken.state, broken.config) == ("broken", None)
    assert "no config of a run" in broken.error
    assert not found
    assert summary.summarize_run(made["running"]).state == "interrupted", "once its process is done"


def test_summarize_run_prefers_full_scores(tmp_path):
    quick = summary.summarize_run(make_run(tmp_path / "a", epochs=3, model=False))
    assert (quick.epochs, quick.measured) == (3, "quick")
    assert quick.scores == {"frechet_distance": 97.0, "missing_classes": 3.0}
    full = summary.summarize_run(make_run(tmp_path / "b", count=10_000))
    assert (full.measured, full.scores["coverage"]) == ("10,000 images", 0.75)
    none = summary.summarize_run(make_run(tmp_path / "c", epochs=0, model=False))
    assert (none.epochs, none.measured, none.scores) == (0, "", {})


def test_read_history_stops_at_a_truncated_line(tmp_path):
    folder = make_run(tmp_path / "a", epochs=4)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "d_lo')
    assert [line["epoch"] for line in summary.read_history(folder)] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", PRESETS)
def test_closest_preset_returns_the_differing_settings(name):
    changed = dataclasses.replace(PRESETS[name], seed=7)
    assert presets.closest_preset(PRESETS[name]) == (name, {})
    assert presets.closest_preset(changed) == (name, {"seed": 7})


def test_differing_settings_keep_the_order_of_the_runs(tmp_path):
    configs = [Config(), Config(r1=2.0), Config(r1=2.0, seed=3)]
    made = [
        summary.summarize_run(make_run(tmp_path / str(i), config))
        for i, config in enumerate(configs)
    ]
    assert summary.differing_settings(made) == {"r1": [0.0, 2.0, 2.0], "seed": [42, 42, 3]}
    assert summary.differing_settings(made[:1]) == {}


def test_sparklines_share_one_scale_and_end_with_the_last_value():
    first, second, third = summary._sparks([[0.0, 7.0], [3.0, None], [None] * 2])
    assert first == "▁█ 7"
    assert second == "▄  3"
    assert third == "  "
    (long,) = summary._sparks([[float(i) for i in range(100)]])
    assert long.startswith("▁") and long.endswith("█ 99") and len(long) == 24 + 3


def test_comparison_page_escapes_names_and_draws_a_curve_for_each_run(tmp_path):
    folders = [make_run(tmp_path / name) for name in ("a<b>&", "convnet")]
    grids = folders[0] / "samples"
    grids.mkdir()
    for number in (9, 10):
        write_png(grids / f"epoch_{number:04d}.png", np.full((1, 1, 1), number, np.uint8))
    page = summary.comparison_page([summary.summarize_run(folder) for folder in folders])
    assert "a<b>" not in page
    assert page.count("<title>") == 1 + 2 * page.count("<svg")
    last = base64.b64encode((grids / "epoch_0010.png").read_bytes()).decode()
    assert f'alt="epoch_0010" src="data:image/png;base64,{last}"' in page, "the last grid"
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    alone = summary.comparison_page(
        [summary.summarize_run(make_run(tmp_path / "new", epochs=0, model=False))]
    )
    assert "No epoch is finished" in alone and "none yet" in alone


def test_curves_leave_gaps_and_stay_within_the_frame():
    text = charts.curves("a < b", "x", {"y": [(1, 5.0), (2, None), (3, float("nan")), (4, 9.0)]})
    root = ElementTree.fromstring(text)
    (path,) = (p.get("d") for p in root.iter() if p.get("stroke-width") == "2")
    places = [tuple(map(float, p.split())) for p in re.split("[ML]", path)[1:]]
    assert re.sub(r"[\d. ]", "", path) == "MM", "two points, and no line across the gap"
    width, height = (float(root.get(side)) for side in ("width", "height"))
    assert all(0 < x < width and 0 < y < height for x, y in places)
    assert places[0][0] < places[1][0] and places[0][1] > places[1][1]
    charts.curves("flat", "x", {"y": [(1, 2.0)]})
    with pytest.raises(ValueError, match="at least one point"):
        charts.curves("empty", "x", {"y": [(1, None)]})


def test_runs_and_compare_print_tables_and_json_and_write_a_page(tmp_path, capsys):
    made = [str(make_run(tmp_path / "a")), str(make_run(tmp_path / "b", Config(r1=2.0), count=500))]
    assert main(["runs", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "50/50" in text and "dense, r1 2.0" in text and "500 images" in text
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert [run["state"] for run in json.loads(capsys.readouterr().out)] == ["done", "done"]
    page = tmp_path / "new/page.html"
    assert main(["compare", *made, "--out", str(page)]) == 0
    assert re.search(r"r1 +0\.0 +2\.0", capsys.readouterr().out)
    assert page.read_text().startswith("<!doctype html>")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    assert main(["compare", *made, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"r1": [0.0, 2.0]}
    (tmp_path / "empty").mkdir()
    assert main(["runs", str(tmp_path / "empty")]) == 0
    assert "`fashion-gan train` starts one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "nowhere"], "There is no folder nowhere"),
        (["compare", "nowhere"], "nowhere is not the folder of a run"),
        (["compare"], "required: RUN"),
        (["train", "--bach-size", "3"], "Did you mean --batch-size?"),
        (["trian"], "Did you mean train?"),
        (["train", "--dtype-policy", "float23"], "Did you mean float32?"),
        (["train", "--xyzzy"], "unrecognized arguments: --xyzzy (--help"),
    ],
)
def test_command_suggests_the_closest_argument(arguments, said, capsys):
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_compare_raises_for_a_broken_run(tmp_path, capsys):
    folder = make_run(tmp_path / "a")
    (folder / "scores.json").write_text("[1]")
    assert main(["compare", str(folder)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_lock_excludes_other_processes_until_exit(tmp_path, capsys):
    folder = make_run(tmp_path / "a", epochs=2, model=False)
    code = (
        "import sys, time\n"
        "from fashion_gan.runs.directory import RunDirectory\n"
        f"with RunDirectory({str(folder)!r}).lock():\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert RunDirectory(folder).is_locked()
        with (
            pytest.raises(BlockingIOError, match=f"process {holder.pid} on"),
            RunDirectory(folder).lock(),
        ):
            pass
        assert main(["train", "--resume", "--run-dir", str(folder)]) == 2
        assert "A training is under way in" in capsys.readouterr().err
        assert not (folder / "backup").exists()
        holder.kill()
    assert not RunDirectory(folder).is_locked()
    with RunDirectory(folder).lock():
        assert str(os.getpid()) in (folder / ".lock").read_text()


def test_runs_command_does_not_import_tensorflow(tmp_path):
    make_run(tmp_path / "a")
    code = f"import sys; from fashion_gan.cli.main import main; main(['runs', {str(tmp_path)!r}]); "
    code += "print(*[name for name in ('tensorflow', 'keras') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
