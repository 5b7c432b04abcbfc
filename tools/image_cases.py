"""Defines typical folders, archives and arrays of images, with the expected result of each.

`CASES` maps a name to a `Case`. The tests read each case and compare its pixels with those read by
Pillow. `python tools/image_cases.py` writes the results for the table of docs/own-images.md.
"""

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

COUNT = 24
CLASSES = ("cats", "dogs")
WHITE = (255, 255, 255, 255)


class Case(NamedTuple):
    """Describes a collection of images.

    Attributes:
        text: Description of the collection.
        write: Function that writes the collection to an empty folder and returns the path to read.
        expected: Function from that path to the expected images, uint8
            `(n, height, width, channels)`, or a pattern of the expected error.
        options: Options of the reader, by name.
    """

    text: str
    write: Callable[[Path], Path]
    expected: Callable[[Path], np.ndarray] | str
    options: dict[str, str] = {}


def disc(index: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Returns an RGB image of a disc, uint8 `(height, width, 3)`."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[:height, :width]
    center = height * rng.uniform(0.3, 0.7), width * rng.uniform(0.3, 0.7)
    radius = min(height, width) * rng.uniform(0.2, 0.45)
    inside = (y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2
    colors = rng.integers(0, 256, (2, 3), np.uint8)
    return np.where(inside[..., np.newaxis], *colors)


DISCS = np.stack([disc(index) for index in range(COUNT)])
GRAY = DISCS[..., :1]


def save(path: Path, image: np.ndarray | Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(path, **options)


def files(
    pattern: str, picture: Callable[[int], np.ndarray | Image.Image], **options: object
) -> Callable[[Path], Path]:
    """Returns a function that writes one file for each image."""

    def write(folder: Path) -> Path:
        for index in range(COUNT):
            save(folder / pattern.format(i=index), picture(index), **options)
        return folder

    return write


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def by_pillow(path: Path) -> np.ndarray:
    """Returns the images of a folder, upright and on white, in RGB."""
    images = []
    for file in sorted(p for p in path.rglob("*.*") if p.is_file()):
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGBA")
        canvas = Image.new("RGBA", image.size, WHITE)
        images.append(np.asarray(Image.alpha_composite(canvas, image).convert("RGB")))
    return np.stack(images)


def resized(width: int, height: int) -> Callable[[Path], np.ndarray]:
    """Returns a function that reads the images of a folder and crops them with `ImageOps.fit`."""

    def read(path: Path) -> np.ndarray:
        images = []
        for file in sorted(path.iterdir()):
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
            images.append(np.asarray(ImageOps.fit(image, (width, height), Image.LANCZOS)))
        return np.stack(images)

    return read


def hidden_color(index: int) -> Image.Image:
    """Returns an image whose upper half is transparent, with noise below it."""
    image = np.dstack([disc(index), np.full((8, 8), 255, np.uint8)])
    image[:4, :, :3] = np.random.default_rng(index).integers(0, 256, (4, 8, 3))
    image[:4, :, 3] = 0
    return Image.fromarray(image)


def turned(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(COUNT):
        name = folder / f"{index:02}.png"
        save(name, disc(index, 8, 12).transpose(1, 0, 2)[:, ::-1][::-1, ::-1], exif=exif)
    return folder


def with_file(write: Callable[[Path], Path], name: str, content: bytes) -> Callable[[Path], Path]:
    """Returns a function that writes one additional file."""

    def write_more(folder: Path) -> Path:
        path = write(folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return path

    return write_more


def in_classes(pattern: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for index in range(COUNT):
            part = ("train", "train", "val")[index % 3]
            name = pattern.format(i=index, part=part, kind=CLASSES[index % 2])
            save(folder / name, disc(index))
        return folder

    return write


def linked_classes(folder: Path) -> Path:
    in_classes("originals/{kind}/{i:02}.png")(folder)
    (folder / "links").mkdir()
    for name in CLASSES:
        (folder / "links" / name).symlink_to(f"../originals/{name}")
    return folder / "links"


def archive(pattern: str, **others: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "images.zip", "w") as file:
            for index in range(COUNT):
                file.writestr(pattern.format(i=index), encoded(disc(index)))
            for name, content in others.items():
                file.writestr(name.replace("__", "."), content)
        return folder / "images.zip"

    return write


def array(name: str, **content: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        if name.endswith(".npz"):
            np.savez_compressed(folder / name, **content)
        else:
            np.save(folder / name, content["images"])
        return folder / name

    return write


def idx_folder(folder: Path) -> Path:
    labels = (np.arange(COUNT) % 10).astype(np.uint8)
    for name, values in (("images-idx3", GRAY[..., 0]), ("labels-idx1", labels)):
        header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        (folder / f"train-{name}-ubyte").write_bytes(header + values.tobytes())
    return folder


def parquet(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": encoded(image), "path": None} for image in DISCS]
    table = pyarrow.table({"image": images, "label": [i % 2 for i in range(COUNT)]})
    feature = {"names": list(CLASSES), "_type": "ClassLabel"}
    features = {"info": {"features": {"label": feature}}}
    table = table.replace_schema_metadata({b"huggingface": json.dumps(features).encode()})
    parquet.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=7)
    return folder / "train-00000-of-00001.parquet"


def sheet(folder: Path) -> Path:
    rows = [np.concatenate(list(DISCS[start : start + 4]), 1) for start in range(0, 16, 4)]
    save(folder / "sheet.png", np.concatenate(rows))
    return folder / "sheet.png"


def always(images: np.ndarray) -> Callable[[Path], np.ndarray]:
    return lambda path: images


def mixed_size(index: int) -> np.ndarray:
    return disc(index, 8 + 4 * (index % 3), 8 + 4 * (index % 2))


RGB = files("{i:02}.png", disc)
TABLE = "file_name,label\n" + "".join(f"{i:02}.png,{CLASSES[i % 2]}\n" for i in range(COUNT))
STYLEGAN = json.dumps({"labels": [[f"0/{i:04}.png", i % 2] for i in range(COUNT)]})
SORTED_BY_CLASS = np.concatenate([DISCS[::2], DISCS[1::2]])
TRAIN = [i for i in range(COUNT) if i % 3 < 2]
PARTS = [i for kind in (0, 1) for i in TRAIN if i % 2 == kind]
PARTS += [i for kind in (0, 1) for i in range(2, COUNT, 3) if i % 2 == kind]

CASES = {
    "rgb": Case("PNG in RGB", RGB, always(DISCS)),
    "jpeg": Case("JPEG", files("{i:02}.jpg", disc), by_pillow),
    "jfif": Case("JPEG named .jfif", files("{i:02}.jfif", disc, format="JPEG"), by_pillow),
    "webp": Case("WebP", files("{i:02}.webp", disc, lossless=True), always(DISCS)),
    "bmp": Case("BMP", files("{i:02}.bmp", disc), always(DISCS)),
    "tiff": Case("TIFF", files("{i:02}.tif", disc), always(DISCS)),
    "avif": Case("AVIF", files("{i:02}.avif", disc), by_pillow),
    "gif": Case(
        "animated GIF: the first frame",
        files(
            "{i:02}.gif",
            lambda i: Image.fromarray(disc(i)).convert("P", palette=Image.Palette.ADAPTIVE),
            save_all=True,
            append_images=[Image.new("P", (8, 8))],
        ),
        by_pillow,
    ),
    "formats": Case(
        "files of several formats",
        lambda folder: (
            [save(folder / f"{i:02}.{('png', 'bmp', 'tif')[i % 3]}", disc(i)) for i in range(COUNT)]
            and folder
        ),
        always(DISCS),
    ),
    "gray": Case("gray", files("{i:02}.png", lambda i: disc(i)[..., 0]), always(GRAY)),
    "gray_as_rgb": Case(
        "gray, saved as RGB",
        files("{i:02}.png", lambda i: np.repeat(disc(i)[..., :1], 3, axis=2)),
        always(GRAY),
    ),
    "one_gray": Case(
        "one gray image among RGB",
        files("{i:02}.png", lambda i: disc(i)[..., 0] if i == 7 else disc(i)),
        by_pillow,
    ),
    "gray_16_bit": Case(
        "gray of 16 bits",
        files("{i:02}.png", lambda i: disc(i)[..., 0].astype(np.uint16) * 257),
        always(GRAY),
    ),
    "one_bit": Case(
        "black and white of 1 bit",
        files("{i:02}.png", lambda i: Image.fromarray(disc(i)[..., 0] > 128)),
        always(np.where(GRAY > 128, 255, 0).astype(np.uint8)),
    ),
    "modes": Case(
        "palettes, RGBA and gray with alpha",
        files("{i:02}.png", lambda i: Image.fromarray(disc(i)).convert(("P", "RGBA", "LA")[i % 3])),
        by_pillow,
    ),
    "cmyk": Case(
        "one CMYK image among RGB",
        files(
            "{i:02}.jpg", lambda i: Image.fromarray(disc(i)).convert("CMYK" if i == 7 else "RGB")
        ),
        by_pillow,
    ),
    "transparent": Case(
        "transparent, with noise below: composited on white",
        files("{i:02}.png", hidden_color),
        by_pillow,
    ),
    "transparent_4": Case(
        "the same with --channels 4: alpha is kept",
        files("{i:02}.png", hidden_color),
        lambda path: np.stack(
            [
                np.where(np.asarray(hidden_color(i))[..., 3:] > 0, np.asarray(hidden_color(i)), 255)
                * np.array([1, 1, 1, 0], np.uint8)
                + np.asarray(hidden_color(i)) * np.array([0, 0, 0, 1], np.uint8)
                for i in range(COUNT)
            ]
        ),
        {"channels": "4"},
    ),
    "exif": Case(
        "turned, with the orientation in EXIF",
        turned,
        always(np.stack([disc(i, 8, 12) for i in range(COUNT)])),
    ),
    "sizes": Case(
        "several sizes",
        files("{i:02}.png", mixed_size),
        r"of 8x8, .* Choose one: --image-size 16, with --resize crop, pad or stretch\.$",
    ),
    "sizes_cropped": Case(
        "the same with --image-size 16",
        files("{i:02}.png", mixed_size),
        resized(16, 16),
        {"image_size": "16"},
    ),
    "wide": Case(
        "20x12 pixels",
        files("{i:02}.png", lambda i: disc(i, 12, 20)),
        always(np.stack([disc(i, 12, 20) for i in range(COUNT)])),
    ),
    "photos": Case(
        "photos of more than 512 pixels a side",
        files("{i:02}.png", lambda i: Image.new("L", (600, 400), i)),
        r"Received: 00\.png of 600x400 in .* Choose a size, such as --image-size 64\.$",
    ),
    "photos_cropped": Case(
        "the same with --image-size 32x20",
        files("{i:02}.jpg", lambda i: Image.fromarray(disc(i, 500, 800))),
        resized(32, 20),
        {"image_size": "32x20"},
    ),
    "empty_file": Case(
        "one file is empty",
        with_file(RGB, "11.png", b""),
        r"Received: 1 of 24 files of .* such as 11\.png: .*--skip-corrupt\.$",
    ),
    "html": Case(
        "one file is a web page with the suffix .jpg",
        with_file(RGB, "xx.jpg", b"<html>404</html>"),
        r"Received: 1 of 25 files of .* such as xx\.jpg: it is not an image.*--skip-corrupt\.$",
    ),
    "classes": Case(
        "sub-folders: classes", in_classes("{kind}/{i:02}.png"), always(SORTED_BY_CLASS)
    ),
    "links": Case("links to folders of classes", linked_classes, always(SORTED_BY_CLASS)),
    "parts": Case(
        "train/ and val/ with classes: trained on and held out",
        in_classes("{part}/{kind}/{i:02}.png"),
        always(DISCS[PARTS]),
    ),
    "cover": Case(
        "sub-folders and one image outside of them",
        with_file(in_classes("{kind}/{i:02}.png"), "cover.png", encoded(disc(9))),
        r"Received: 24 in sub-folders of .* and 1 outside of them, such as cover\.png\. Move",
    ),
    "mac": Case(
        "__MACOSX next to the folder",
        with_file(files("photos/{i:02}.png", disc), "__MACOSX/photos/._00.png", b"\0\5\x16\7"),
        always(DISCS),
    ),
    "checkpoints": Case(
        ".ipynb_checkpoints within the folder",
        with_file(RGB, ".ipynb_checkpoints/00-checkpoint.png", encoded(disc(0))),
        always(DISCS),
    ),
    "names": Case(
        "names with spaces and accents", files("ünï cöde/é {i:02}.png", disc), always(DISCS)
    ),
    "table": Case(
        "labels.csv next to the images", with_file(RGB, "labels.csv", TABLE.encode()), always(DISCS)
    ),
    "zip": Case("a .zip file", archive("photos/{i:02}.png"), always(DISCS)),
    "stylegan": Case(
        "StyleGAN's .zip with dataset.json",
        archive("0/{i:04}.png", dataset__json=STYLEGAN),
        always(DISCS),
    ),
    "climbing": Case(
        "a .zip that names a file outside of itself",
        archive("../../{i:02}.png"),
        r"Expected names within the archive\. Received: .*images\.zip with '\.\./\.\./00\.png'\.",
    ),
    "parquet": Case("a parquet file of Hugging Face", parquet, always(DISCS)),
    "channels_first": Case(
        ".npy with channels first",
        array("a.npy", images=DISCS.transpose(0, 3, 1, 2)),
        always(DISCS),
    ),
    "minus_1_to_1": Case(
        ".npy of floats from -1 to 1",
        array("a.npy", images=(DISCS / 127.5 - 1).astype(np.float32)),
        always(DISCS),
    ),
    "floats_to_255": Case(
        ".npy of floats from 0 to 255",
        array("a.npy", images=DISCS.astype(np.float32)),
        always(DISCS),
    ),
    "flat": Case(
        ".npy of flat rows",
        array("a.npy", images=GRAY.reshape(COUNT, -1)),
        r"of shape \(24, 64\)\. Give the rows a shape: .*images\.reshape\(-1, 8, 8\)\)\.$",
    ),
    "one_hot": Case(
        ".npz with one-hot labels",
        array("a.npz", x_train=DISCS, y_train=np.eye(10)[np.arange(COUNT) % 10]),
        always(DISCS),
    ),
    "class_names": Case(
        ".npz with names as labels",
        array("a.npz", images=DISCS, labels=np.array(CLASSES)[np.arange(COUNT) % 2]),
        always(DISCS),
    ),
    "idx": Case("a folder of IDX files", idx_folder, always(GRAY)),
    "sheet": Case(
        "a sheet of sprites",
        sheet,
        r"Received: .*sheet\.png, one image of 32x32\. Pass its folder. Cut a sheet of sprites",
    ),
}


def outcome(case: Case) -> str:
    """Returns the description or the error that `data.load_images` gives for a case."""
    from fashion_gan import data

    with tempfile.TemporaryDirectory() as folder:
        path = case.write(Path(folder))
        try:
            options = data.ImageOptions(**case.options)
            collection = data.load_images(path, options, use_cache=False)
        except ValueError as error:
            return f"error: {error}".replace(f"{folder}/", "").replace(folder, "FOLDER")
    return "; ".join(" ".join(line.split()) for line in collection.describe())


def main() -> None:
    """Writes the result of each case to docs/results/image-cases.json."""
    results = {case.text: outcome(case) for case in CASES.values()}
    path = Path(__file__).parent.parent / "docs/results/image-cases.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
