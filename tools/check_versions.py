"""Tests the built wheel with the oldest and the newest versions that it allows.

    make versions        # runs python tools/check_versions.py dist

uv creates two environments for each installed Python from 3.10. In each environment, a GAN is
trained for one epoch on small images and resumed for another epoch. Then the GAN and a pretrained
generator are sampled, and the runs are listed.
"""

import argparse
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
from fashion_gan import GAN
from fashion_gan.cli.main import main
images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
np.savez("images.npz", images=images)
train = ["train", "--data", "images.npz", "--run-dir", "run", "--steps-per-execution", "4"]
for command in (
    [*train, "--epochs", "1"],
    [*train, "--epochs", "2", "--resume"],
    ["sample", "run", "--out", "grid.png"],
    ["runs", "."],
):
    assert main(command) == 0, command
assert GAN.from_preset("dense").sample(3, seed=0).shape == (3, 28, 28, 1)
packages = (keras, tensorflow, tensorboard, np)
print("worked with", *(f"{m.__name__} {m.__version__}" for m in packages))
"""


def is_installed(python):
    """Returns whether uv finds a version of Python."""
    return not subprocess.run([*UV, "python", "find", python], capture_output=True).returncode


def read_requirements(wheel):
    """Returns the requirements of a wheel, since uv resolves only named ones to the oldest."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    requirements = re.findall("^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.M)
    return [requirement for requirement in requirements if "extra ==" not in requirement]


def check(wheel, python, resolution):
    """Tests a wheel with a version of Python, and returns a line on the versions that worked.

    Raises:
        SystemExit: If the test fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        inside = str(environment / "bin/python")
        install = [*UV, "pip", "install", "--python", inside, "--resolution", resolution]
        for command in (
            [*UV, "venv", "--python", python, str(environment)],
            [*install, wheel, *read_requirements(wheel)],
            [inside, "-c", SMOKE],
        ):
            process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if process.returncode:
                raise SystemExit(
                    f"Python {python}, {resolution}:\n"
                    f"{process.stdout[-500:]}{process.stderr[-3000:]}"
                )
        return re.search("worked with .*", process.stdout)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with one wheel")
    (wheel,) = parser.parse_args().folder.glob("*.whl")
    for python in filter(is_installed, PYTHONS):
        for resolution in ("lowest-direct", "highest"):
            line = check(str(wheel.resolve()), python, resolution)
            print(f"Python {python}, {resolution}: {line}", flush=True)


if __name__ == "__main__":
    main()
