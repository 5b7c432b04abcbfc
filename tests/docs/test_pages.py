"""Tests the pages of docs/: their Python code, commands, links and logged numbers."""

import dataclasses
import json
import re
import shlex
import subprocess
import sys
import warnings

import pytest
from helpers import ROOT

from fashion_gan import data, evaluation
from fashion_gan.cli.main import build_parser, main
from fashion_gan.data.split import MIN_IMAGES
from fashion_gan.runs.train import train_run

PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.mark.parametrize(
    "name",
    [
        "first-steps",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("coming-from", "with-others")),
    ],
)
def test_python_of_a_page_runs(name, tmp_path, monkeypatch, capsys):
    if name == "with-others":
        for package in ("keras_tuner", "mlflow", "wandb"):
            pytest.importorskip(package)
        warnings.simplefilter("ignore")  # theirs
    monkeypatch.chdir(tmp_path)
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    monkeypatch.setattr(evaluation, "QUICK", small)
    whole = data.load_fashion_mnist()
    few = {"train_images": whole.train_images[:1000], "train_labels": whole.train_labels[:1000]}
    monkeypatch.setattr(data, "load_fashion_mnist", lambda *_: dataclasses.replace(whole, **few))
    code = "\n".join(blocks(ROOT / f"docs/{name}.md", "python"))
    assert len(code) > 400
    code = code.replace("steps_per_execution=100", "steps_per_execution=2")
    code = re.sub(r"epochs=\d+", "epochs=2", code)
    names = {"__name__": "page"}
    exec(compile(code, f"{name}.md", "exec"), names)
    if name == "with-others":
        assert names["best"].ema_generator is not None and names["images"].shape == (64, 28, 28, 1)
        found = names["mlflow"].get_run(names["tracked"].info.run_id).data
        assert "d_loss" in found.metrics
        assert "optimizer_d_optimizer_learning_rate" in found.params
        assert "epoch/d_accuracy_fake" in names["summary"]
    elif name == "first-steps":
        assert names["images"].shape == (16, 28, 28, 1)


def links(page):
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)", page.read_text())
    return {one or other for one, other in targets if "://" not in one + other}


def test_links_of_pages_exist_and_every_picture_is_shown():
    pages = [ROOT / "README.md", *PAGES]
    lead = {(page.parent / target).resolve() for page in pages for target in links(page)}
    assert not [target for target in lead if not target.exists()]
    assert set((ROOT / "docs/images").iterdir()) - lead == set()


# Run before the first cell of the notebook: fewer images, and fewer samples to measure.
FEWER = """
import dataclasses
import functools
from fashion_gan import callbacks, data, evaluation
callbacks.ModeCollapseMonitor = functools.partial(callbacks.ModeCollapseMonitor, warmup_steps=0)
evaluation.QUICK = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
whole = data.load_fashion_mnist()
few = {"train_images": whole.train_images[:1000], "train_labels": whole.train_labels[:1000]}
data.load_fashion_mnist = lambda *_: dataclasses.replace(whole, **few)
"""


def test_dockerfile_copies_files_that_exist_and_are_not_ignored():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    admitted = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert copied and set(copied) <= admitted
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.slow
def test_notebook_of_the_story_runs(tmp_path):
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "docs/story.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert sum(cell.cell_type == "code" for cell in notebook.cells) == len(
        blocks(ROOT / "docs/story.md", "python")
    )
    for cell in notebook.cells:
        cell.source = cell.source.replace("steps_per_execution=100", "steps_per_execution=2")
        cell.source = re.sub(r"epochs=\d+", "epochs=2", cell.source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FEWER))
    last = "assert caught and set(after) == set(before)"
    notebook.cells.append(nbformat.v4.new_code_cell(last))
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": tmp_path}}
    ).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())
    )
    assert "Mode collapse" in printed


def commands():
    for page in [ROOT / "README.md", *PAGES]:
        for block in blocks(page, "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ fashion-gan "):
                    yield shlex.split(line.removeprefix("$ fashion-gan "), comments=True)


@pytest.mark.parametrize("arguments", list(commands()), ids=" ".join)
def test_commands_of_pages_have_flags_that_exist(arguments):
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    options = build_parser().parse_args(arguments)
    assert callable(options.command)


@pytest.mark.slow
def test_page_of_logs_explains_every_number_of_a_run(tmp_path, monkeypatch):
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    monkeypatch.setattr(evaluation, "QUICK", small)
    from fashion_gan.runs.config import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {"batch_size": 5000, "epochs": 1, "r1": 0.1, "log_gradients": True}
        train_run(Config(**settings), tmp_path / "run", verbose=0, final=False)
    (line,) = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    page = (ROOT / "docs/logs.md").read_text()
    for name in set(json.loads(line)) - {"epoch", "steps"}:
        name = name.removeprefix("val_").removeprefix("pixel_")
        name = "share_…" if name.startswith("share_") else name
        assert f"`{name}`" in page, name


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ModeCollapseMonitor" in (tmp_path / "api/callbacks/index.html").read_text()
    page = (tmp_path / "api/gan/index.html").read_text()
    for method in (
        "compile",
        "fit",
        "evaluate",
        "sample",
        "call",
        "export",
        "save",
        "load_weights",
    ):
        assert f'id="fashion_gan.gan.GAN.{method}"' in page, method
    for argument in ("generator", "discriminator", "latent_dim", "value_range", "num_classes"):
        assert f"<code>{argument}</code>" in page, argument


def test_pages_and_help_name_extras_and_least_numbers(capsys):
    readme = (ROOT / "README.md").read_text()
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = " ".join(capsys.readouterr().out.split())
    for extra in ("explore", "export", "sweep"):
        assert f'".[{extra}]"' in readme and f": {extra})" in commands, extra
    for text in (readme, (ROOT / "docs/own-images.md").read_text()):
        assert re.search(rf"\b{MIN_IMAGES} images", text)
    for command, facts in (("sample", ["RUN-samples.png"]), ("evaluate", ["129"])):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert all(fact in shown for fact in facts), command
