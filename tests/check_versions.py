"""Installs the built wheel beside the oldest and the newest versions it allows, and uses it.

    make wheel && python tests/check_versions.py dist

Each Python from 3.10 that is installed gets two environments, by uv. In each, a GAN is trained for
one epoch on small images, resumed for another, sampled and listed, and a pretrained one draws.
"""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PYTHONS = [f"3.{minor}" for minor in range(10, 15)]
UV = [sys.executable, "-m", "uv", "-q", "--no-python-downloads"]
SMOKE = """
import sys
import numpy as np
import keras, tensorboard, tensorflow
from fashion_gan import load_pretrained
from fashion_gan.cli import main
images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
np.savez("images.npz", images=images)
train = ["train", "--data", "images.npz", "--run", "run", "--steps-per-execution", "4"]
for command in (
    [*train, "--epochs", "1"],
    [*train, "--epochs", "2", "--resume"],
    ["sample", "run", "--out", "grid.png"],
    ["runs", "."],
):
    assert main(command) == 0, command
assert load_pretrained("dense").sample(3, seed=0).shape == (3, 28, 28, 1)
found = (keras, tensorflow, tensorboard, np)
print("worked with", *(f"{m.__name__} {m.__version__}" for m in found))
"""


def installed(python):
    """Whether there is such a Python."""
    return not subprocess.run([*UV, "python", "find", python], capture_output=True).returncode


def needs(wheel):
    """What it depends on, to be named beside it: uv takes the oldest of what is named alone."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    found = re.findall("^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.M)
    return [requirement for requirement in found if "extra ==" not in requirement]


def check(wheel, python, resolution):
    """The line that tells what it worked with.

    Raises:
        SystemExit: if it did not.
    """
    with tempfile.TemporaryDirectory() as made:
        here = Path(made)
        inside = here / "environment/bin/python"
        for command in (
            [*UV, "venv", "--python", python, str(here / "environment")],
            [*UV, "pip", "install", "--python", str(inside), "--resolution", resolution]
            + [wheel, *needs(wheel)],
            [str(inside), "-c", SMOKE],
        ):
            done = subprocess.run(command, cwd=made, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(
                    f"Python {python}, {resolution}:\n{done.stdout[-500:]}{done.stderr[-3000:]}"
                )
        return re.search("worked with .*", done.stdout)[0]


if __name__ == "__main__":
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    for python in filter(installed, PYTHONS):
        for resolution in ("lowest-direct", "highest"):
            said = check(str(wheel.resolve()), python, resolution)
            print(f"Python {python}, {resolution}: {said}", flush=True)
