"""Imports the built wheel from a folder that holds nothing else, as a user would have it."""

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
from fashion_gan.cli import main
main(["--version"])
"""


def main(folder: str) -> None:
    (wheel,) = Path(folder).glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        "fashion_gan/py.typed",
        "fashion_gan/callbacks/image_grid.py",
        "fashion_gan/metrics/thresholds.json",
    }
    if not wanted <= set(names):
        raise SystemExit(f"{wheel} lacks {sorted(wanted - set(names))}.")
    if strays := [name for name in names if not name.startswith("fashion_gan")]:
        raise SystemExit(f"{wheel} holds {strays}.")
    with tempfile.TemporaryDirectory() as site:
        zipfile.ZipFile(wheel).extractall(site)
        command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, sys.argv[1]){CODE}"]
        subprocess.run([*command, site], cwd=site, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
