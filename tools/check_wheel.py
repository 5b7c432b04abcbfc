"""Imports the built wheel from a separate folder, as after an installation by a user.

make wheel        # runs python tools/check_wheel.py dist
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CODE = """
import sys
import fashion_gan
assert fashion_gan.__file__.startswith(sys.argv[1]), fashion_gan.__file__
for name in fashion_gan.__all__:
    getattr(fashion_gan, name)
from fashion_gan.callbacks import ImageGrid
assert ImageGrid.__module__ == "fashion_gan.callbacks.image_grid"
from fashion_gan.monitor import LABELED
assert LABELED.diversity > 0
from fashion_gan.cli.main import main
main(["--version"])
"""
EXPECTED = {
    "fashion_gan/py.typed",
    "fashion_gan/callbacks/image_grid.py",
    "fashion_gan/monitor/thresholds.json",
    "fashion_gan/weights/pretrained.json",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with one wheel")
    (wheel,) = parser.parse_args().folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    if missing := EXPECTED - set(names):
        raise SystemExit(f"Expected files that {wheel} does not have: {sorted(missing)}.")
    if others := [name for name in names if not name.startswith("fashion_gan")]:
        raise SystemExit(f"Expected only files of fashion_gan in {wheel}. Received: {others}.")
    with tempfile.TemporaryDirectory() as site:
        zipfile.ZipFile(wheel).extractall(site)
        command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, sys.argv[1]){CODE}"]
        subprocess.run([*command, site], cwd=site, check=True)


if __name__ == "__main__":
    main()
