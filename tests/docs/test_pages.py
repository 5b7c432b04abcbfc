"""Tests the pages of docs/: their Python code, commands, links and logged numbers."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings

import pytest
from helpers import ROOT, SMALL_RUN, stand_in_for_hub, use_small_fashion_mnist

import fashion_gan
from fashion_gan.cli.main import build_parser, main
from fashion_gan.data.split import MIN_IMAGES
from fashion_gan.runs.config import Config
from fashion_gan.runs.settings_file import read_settings
from fashion_gan.runs.train import train_run

PAGES = sorted((ROOT / "docs").glob("*.md"))
NOTEBOOKS = {path.stem for path in (ROOT / "docs").glob("*.ipynb")}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


# Run before the code of a page that needs files or arrays.
BEFORE = {
    "evaluation": """
import numpy as np
rng = np.random.default_rng(0)
real_images, fake_images = rng.integers(0, 256, (2, 20, 28, 28, 1), "uint8")
""",
    "many-devices": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from helpers import load_small_fashion_mnist
from fashion_gan import data
small = load_small_fashion_mnist()
data.load_fashion_mnist = lambda: small
""",
    "own-images": """
import os
import numpy as np
from PIL import Image
os.mkdir("emoji")
for number in range(200):
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), "uint8")
    Image.fromarray(pixels).save(f"emoji/{number}.png")
""",
}
# True after the code of a page.
AFTER = {
    "coming-from": "gan.steps and Softplus",
    "evaluation": "len(real) == len(fake) == 20",
    "export": "images.shape == (64, 28, 28, 1) and os.path.getsize('dense-int8.tflite') < 200_000",
    "first-steps": "images.shape == (16, 28, 28, 1)",
    "latents": "found.errors.max() < 0.01 and frames.shape == (20, 28, 28, 1)",
    "many-devices": "strategy.num_replicas_in_sync == 2 and gan.steps == 2 * (1100 // 64)",
    "monitor": "monitor and unlabeled",
    "own-images": "next(iter(dataset)).shape == (64, 32, 32, 3)",
    "with-others": "best.ema_generator is not None and images.shape == (64, 28, 28, 1) "
    "and 'epoch/d_accuracy_fake' in summary",
}
OWN_PROCESS = ("many-devices",)  # before TensorFlow starts
FAST = ("first-steps", "latents", "monitor", "own-images")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(page.stem, marks=[] if page.stem in FAST else pytest.mark.slow)
        for page in PAGES
        if blocks(page, "python") and page.stem not in NOTEBOOKS
    ],
)
def test_page_code_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = BEFORE.get(name, "") + "\n".join(blocks(ROOT / f"docs/{name}.md", "python"))
    code = code.replace("steps_per_execution=100", "steps_per_execution=2")
    code = re.sub(r"epochs=\d+", "epochs=2", code)
    code += f"\nimport os\nassert {AFTER[name]}"
    if name in OWN_PROCESS:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    use_small_fashion_mnist(monkeypatch)
    if name == "export":
        stand_in_for_hub(monkeypatch, "huggingface_hub", tmp_path / "hub")
        gan = fashion_gan.GAN.from_preset("dense")
        monkeypatch.setattr(fashion_gan, "load", {"logs/emoji": gan}.__getitem__)
    if name == "with-others":
        for package in ("keras_tuner", "mlflow", "wandb"):
            pytest.importorskip(package)
        warnings.simplefilter("ignore")  # theirs
    names = {"__name__": "page"}
    exec(compile(code, f"{name}.md", "exec"), names)
    if name == "with-others":
        found = names["mlflow"].get_run(names["tracked"].info.run_id).data
        assert "d_loss" in found.metrics
        assert "optimizer_d_optimizer_learning_rate" in found.params


def test_page_settings_files_are_valid(tmp_path):
    for number, block in enumerate(block for page in PAGES for block in blocks(page, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        assert read_settings(path)


def links(page):
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)", page.read_text())
    return {one or other for one, other in targets if "://" not in one + other}


def test_page_links_exist_and_every_image_is_used():
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


def test_dockerfile_copies_only_existing_files_in_the_build_context():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    admitted = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert copied and set(copied) <= admitted
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.slow
def test_story_notebook_runs(tmp_path):
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
def test_page_commands_parse(arguments):
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    options = build_parser().parse_args(arguments)
    assert callable(options.command)


@pytest.mark.slow
def test_logs_page_lists_every_metric_of_a_run(tmp_path, monkeypatch):
    use_small_fashion_mnist(monkeypatch)
    settings = {**SMALL_RUN, "on_collapse": "warn", "r1": 0.1, "log_gradients": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train_run(Config(**settings, epochs=1), tmp_path / "run", verbose=0, final=False)
    (line,) = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    page = (ROOT / "docs/logs.md").read_text()
    for name in set(json.loads(line)) - {"epoch", "steps"}:
        name = name.removeprefix("val_").removeprefix("pixel_")
        name = "share_…" if name.startswith("share_") else name
        assert f"`{name}`" in page, name


@pytest.mark.slow
def test_zensical_builds_without_warnings(tmp_path):
    pytest.importorskip("zensical")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    for name in ("docs", "fashion_gan", "callbacks"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "ModeCollapseMonitor" in (site / "api/callbacks/index.html").read_text()
    page = (site / "api/gan/index.html").read_text()
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
        assert f'id="fashion_gan.GAN.{method}"' in page, method
    for argument in ("generator", "discriminator", "latent_dim", "value_range", "num_classes"):
        assert f"<code>{argument}</code>" in page, argument


def test_pages_and_help_state_extras_and_minimum_counts(capsys):
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
