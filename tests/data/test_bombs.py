"""Tests small files that declare huge sizes: errors by the header, before memory is allocated.

The bombs are read in one child process, which may take a GiB beyond what it holds when it starts.
"""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fashion_gan import data
from fashion_gan.cli.main import main
from fashion_gan.images import animate

GIB = 2**30
DEFAULT = 8 * GIB
ZEROS = 16 * 2**20  # bytes of zeros in a piece that is compressed once and repeated

CHILD = """
import json, resource, sys, warnings
from fashion_gan.runtime import load_tensorflow
tf = load_tensorflow() or sys.modules["tensorflow"]
import numpy as np
from fashion_gan import data
from fashion_gan.images import animate

small = data.ImageOptions(image_size="16")
read = {"images": data.load_images, "idx": data.read_idx}
read["resized"] = lambda path: data.load_images(path, small)
read["film"] = lambda path: animate(path, path + "/film.gif")
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin:
    reader, path = json.loads(line)
    try:
        answer = f"None: {type(read[reader](path)).__name__}"
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
"""


def npy_header(shape, kind="|u1"):
    text = repr({"descr": kind, "fortran_order": False, "shape": shape})
    text = text.replace(" ", "").encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def deflated_zeros(head, pieces):
    """Returns a raw deflate stream of `head` and many pieces of zeros."""
    stream = zlib.compressobj(wbits=-15)
    start = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    piece = stream.compress(bytes(ZEROS)) + stream.flush(zlib.Z_FULL_FLUSH)
    return start + pieces * piece + stream.flush()


def zip_of(path, content, size, crc=0, name=b"images.npy"):
    """Returns an archive of one deflated entry whose directory declares `size`."""
    extra = struct.pack("<HHQ", 1, 8, size)  # ZIP64: the size does not fit in four bytes
    fields = struct.pack("<HHHHHIII", 45, 0, 8, 0, 33, crc, len(content), 2**32 - 1)
    fields += struct.pack("<HH", len(name), len(extra))
    local = b"PK\3\4" + fields + name + extra + content
    central = b"PK\1\2\x2d\0" + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + extra
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + b"PK\5\6" + end)
    return path


def deflate(content):
    return zlib.compress(content, wbits=-15)


def npz_of_zeros(folder):
    head, pieces = npy_header((9 * GIB // 64, 8, 8)), 9 * GIB // ZEROS
    return zip_of(folder / "a.npz", deflated_zeros(head, pieces), len(head) + 9 * GIB)


def npz_of_two_entries(folder):
    """Returns an archive whose two entries exceed the limit together."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images", "labels"):
            archive.writestr(f"{name}.npy", npy_header((5 * GIB,)))
    return folder / "a.npz"


def npz_whose_array_declares_more(folder):
    content = npy_header((10**6, 1000, 1000))
    return zip_of(folder / "a.npz", deflate(content), len(content), zlib.crc32(content))


def npz_whose_directory_declares_more(folder):
    content = npy_header((1, 8, 8)) + bytes(64)
    return zip_of(folder / "a.npz", deflate(content), 128 + 10**12, zlib.crc32(content))


def npz_with_a_long_header(folder):
    head = b"\x93NUMPY\2\0" + struct.pack("<I", 3 * GIB)
    return zip_of(folder / "a.npz", deflated_zeros(head, 3 * GIB // ZEROS), len(head) + 3 * GIB)


def npy(*shape, kind="|u1"):
    def write(folder):
        (folder / "a.npy").write_bytes(npy_header(shape, kind))
        return folder / "a.npy"

    return write


def idx(*shape):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def plain_idx(folder):
    (folder / "a-idx3").write_bytes(idx(2**32 - 1, 2**32 - 1, 2**32 - 1))
    return folder / "a-idx3"


def gzipped_idx(folder):
    (folder / "a-idx3.gz").write_bytes(gzip.compress(idx(10**6, 1000, 1000)))
    return folder / "a-idx3.gz"


def endless_idx(folder):
    zeros = gzip.compress(bytes(ZEROS))
    (folder / "a-idx3.gz").write_bytes(gzip.compress(idx(4, 8, 8)) + 4 * GIB // ZEROS * zeros)
    return folder / "a-idx3.gz"


def chunk(kind, content):
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png(width, height, color=0, pixels=b""):
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(width, height):
    encoded = tf.io.encode_jpeg(np.zeros((8, 8, 3), np.uint8)).numpy()
    at = encoded.index(b"\xff\xc0") + 5
    return encoded[:at] + struct.pack(">HH", height, width) + encoded[at + 4 :]


def gif(canvas, frames):
    header = b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    image = b"".join(
        b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x44\1\0" for frame in frames
    )
    return header + image + b";"


def bmp(width, height):
    fields = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + fields


def folder_of(**files):
    def write(folder):
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        return folder

    return write


def many_pngs(folder):
    """Writes 150 readable files of 64 million black pixels each."""
    (folder / "000.png").write_bytes(png(8000, 8000, pixels=bytes(8000 * 8001)))
    for index in range(1, 150):
        os.link(folder / "000.png", folder / f"{index:03d}.png")
    return folder


def film(folder):
    for epoch in range(2):
        (folder / f"epoch_{epoch:04d}.png").write_bytes(png(50_000, 50_000))
    return folder


def zip_of_images(folder):
    return zip_of(folder / "images.zip", deflate(b"x"), 9 * GIB, name=b"a.png")


SIDE = "Expected images of at most 512 pixels a side, or --image-size. Received: .* Choose a size"
NONE_LEFT = (
    f"files of .* that cannot be read, such as a.*: Expected at most {DEFAULT} bytes of pixels. "
    r"Received: .*, which declares \d{11,}\."
)
FOUR = {f"{name}_png": png(50_000, 50_000) for name in "abcd"}
"""Within the limit alone, since 50,000 x 50,000 gray pixels are 2.5 GB."""

BOMBS = {
    "npz": ("images", npz_of_zeros, "a.npz", 9 * GIB),
    "npz sum": ("images", npz_of_two_entries, "a.npz", 10 * GIB),
    "npz array": ("images", npz_whose_array_declares_more, "a.npz", 10**12),
    "npz directory": ("images", npz_whose_directory_declares_more, "a.npz", 10**12),
    "npz long header": ("images", npz_with_a_long_header, "a.npz", "EOF: reading array header"),
    "npy": ("images", npy(10**12, 1000, 1000), "a.npy", 10**18),
    "npy of long items": ("images", npy(5, kind="|S2000000000"), "a.npy", 10**10),
    "npy of zeros": ("images", npy(6 * GIB, 1, 1), "a.npy", f"{6 * GIB} bytes, and 0 follow"),
    "npy of 64-bit limits": ("images", npy(2**32, 2**32, 1), "a.npy", 2**64),
    "npy of no size": ("images", npy(-1, 8, 8), "a.npy", "an impossible shape"),
    "npy of many axes": ("images", npy(*[9] * 4900), "a.npy", "an impossible shape"),
    "idx": ("images", plain_idx, "a-idx3", (2**32 - 1) ** 3),
    "idx gzipped": ("idx", gzipped_idx, "a-idx3.gz", 10**12),
    "idx endless": ("idx", endless_idx, "a-idx3.gz", "expected 256 bytes.*Received: more"),
    "png": ("images", folder_of(a_png=png(50_000, 50_000, 6)), "a.png", SIDE),
    "png resized": ("resized", folder_of(a_png=png(50_000, 50_000, 6)), "a.png", NONE_LEFT),
    "png with others": ("resized", folder_of(**FOUR), "a.png", NONE_LEFT),
    "png readable": ("images", many_pngs, "000.png", SIDE),
    "jpeg": ("resized", folder_of(a_jpg=jpeg(65_500, 65_500)), "a.jpg", NONE_LEFT),
    "bmp": ("resized", folder_of(a_bmp=bmp(2**31 - 1, -(2**31))), "a.bmp", NONE_LEFT),
    "gif": ("resized", folder_of(a_gif=gif((4, 4), [(65_535, 65_535)])), "a.gif", NONE_LEFT),
    "zip": ("images", zip_of_images, "images.zip", 9 * GIB),
    "film": ("film", film, "epoch_0000.png", "at most 268,435,456 pixels.*2,500,000,000. Remove"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Returns the path and the output of the child process, by name."""
    root = tmp_path_factory.mktemp("bombs")
    lines, paths = [], {}
    for name, (reader, write, _, _) in BOMBS.items():
        (root / name).mkdir()
        paths[name] = write(root / name)
        stats = {stat.st_ino: stat for stat in map(os.stat, (root / name).iterdir())}
        assert sum(stat.st_blocks * 512 for stat in stats.values()) < 16 * 2**20
        lines.append(json.dumps([reader, str(paths[name])]))
    environment = {k: v for k, v in os.environ.items() if k != "FASHION_GAN_MAX_BYTES"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    said += [f"ended with status {done.returncode}"] * (len(BOMBS) - len(said))
    return {name: (paths[name], answer) for name, answer in zip(BOMBS, said, strict=True)}


@pytest.mark.parametrize("name", BOMBS)
def test_reader_raises_from_the_header_when_a_size_is_too_large(answers, name):
    path, answer = answers[name]
    _, _, where, expected = BOMBS[name]
    assert answer.startswith("ValueError: ") and str(path) in answer
    assert "\n" not in answer
    if not isinstance(expected, str):
        number = r"\d+" if expected is None else expected
        expected = (
            rf"Expected at most {DEFAULT} bytes of pixels\. Received: \S*.*{re.escape(where)}, "
            rf"which declares ({number})\. Raise the limit with FASHION_GAN_MAX_BYTES=\1 if this "
            r"is right\.$"
        )
    assert where in answer and re.search(expected, answer), answer


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(3)


def save(folder, kind):
    """Writes valid images of a kind, and returns their path and declared bytes."""
    path = folder / f"a.{kind}"
    if kind == "npy":
        np.save(path, IMAGES)
    elif kind == "npz":
        np.savez_compressed(path, images=IMAGES, labels=LABELS)
    elif kind == "idx":
        path.write_bytes(idx(3, 8, 8) + IMAGES.tobytes())
    elif kind == "gz":
        path.write_bytes(gzip.compress(idx(3, 8, 8) + IMAGES.tobytes()))
    else:
        path.mkdir()
        for index, image in enumerate(IMAGES):
            Image.fromarray(image[..., 0]).save(path / f"{index}.{kind}")
    size = IMAGES.nbytes + (LABELS.nbytes if kind == "npz" else 0)
    return path, size


CASES = [("images", kind) for kind in ("npy", "npz", "idx", "gz", "png", "jpg", "bmp")]
CASES += [("idx", "idx"), ("idx", "gz")]
READERS = {
    "images": lambda path, **limit: data.load_images(str(path), **limit).images,
    "idx": data.read_idx,
}


@pytest.mark.parametrize("way", ["argument", "environment"])
@pytest.mark.parametrize(("reader", "kind"), CASES)
def test_reader_accepts_files_at_the_limit_and_raises_above(
    reader, kind, way, tmp_path, monkeypatch
):
    path, size = save(tmp_path, kind)
    monkeypatch.delenv("FASHION_GAN_MAX_BYTES", raising=False)

    def read(limit):
        if way == "argument":
            return READERS[reader](path, max_bytes=limit)
        monkeypatch.setenv("FASHION_GAN_MAX_BYTES", str(limit))
        return READERS[reader](path)

    whole = READERS[reader](path)
    assert len(whole) == 3
    np.testing.assert_array_equal(read(size), whole, strict=True)
    message = f"^Expected at most {size - 1} bytes of pixels. Received: {path}.* declares {size}. "
    with pytest.raises(ValueError, match=message):
        read(size - 1)


def test_load_images_prefers_max_bytes_to_the_environment(tmp_path, monkeypatch):
    path, size = save(tmp_path, "npy")
    monkeypatch.setenv("FASHION_GAN_MAX_BYTES", "1")
    assert len(data.load_images(path, max_bytes=size).images) == 3
    monkeypatch.setenv("FASHION_GAN_MAX_BYTES", "")  # as good as unset
    assert len(data.load_images(path).images) == 3


@pytest.mark.parametrize("text", ["8 GiB", "-1", "1e9", "²", "9" * 5000])
def test_reader_raises_when_the_environment_limit_is_not_a_number(text, tmp_path, monkeypatch):
    path, _ = save(tmp_path, "npy")
    monkeypatch.setenv("FASHION_GAN_MAX_BYTES", text)
    with pytest.raises(ValueError, match="^Expected FASHION_GAN_MAX_BYTES as a whole number"):
        data.load_images(path)


def test_command_reads_the_limit_from_the_environment(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((300, 8, 8), np.uint8))
    train = ["train", "--data", str(path), "--preset", "images", "--batch-size", "20", "--dry-run"]
    monkeypatch.setenv("FASHION_GAN_MAX_BYTES", "19199")
    assert main(train) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Received: {path}, which declares 19200. " in line
    (name, value) = re.search(r"Raise the limit with (\w+)=(\d+) if this is right", line).groups()
    monkeypatch.setenv(name, value)
    assert main(train) == 0


def test_default_limit_is_8_gib():
    assert data.MAX_BYTES == DEFAULT


def test_load_images_raises_when_an_entry_differs_from_its_declared_size(tmp_path):
    content = npy_header((1, 8, 8)) + bytes(64)
    longer = deflate(content + bytes(1000))
    path = zip_of(tmp_path / "a.npz", longer, 1192, zlib.crc32(content + bytes(1000)))
    with pytest.raises(ValueError, match="a.npz cannot be read: its header .* 64 bytes, and 1064"):
        data.load_images(str(path))
    crc = zlib.crc32(content[:191])
    for size, message in ((191, "64 bytes, and 63 follow"), (192, "Bad CRC-32")):
        zip_of(path, longer, size, crc)
        with pytest.raises(ValueError, match=f"^{path} cannot be read: .*{message}.*$"):
            data.load_images(str(path))
    zip_of(path, deflate(content[:150]), 192, zlib.crc32(content))
    with pytest.raises(ValueError, match=f"^{path} cannot be read: .*$"):
        data.load_images(str(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_load_images_raises_when_zipfile_cannot_limit_a_method(tmp_path, method):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("images.npy", npy_header((1, 8, 8)) + bytes(64))
    with pytest.raises(ValueError, match="a.npz cannot be read: images.npy is neither stored nor"):
        data.load_images(str(path))


def test_load_images_does_not_read_other_entries(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy_header((1, 8, 8)) + bytes(64))
        archive.writestr("more.npy", npy_header((10**12, 8, 8)))
    assert data.load_images(str(path)).images.shape == (1, 8, 8, 1)


@pytest.mark.parametrize("content", [b"", b"GIF89a", png(8, 8)[:20]])
def test_animate_raises_when_a_file_is_not_a_png(tmp_path, content):
    for epoch in range(2):
        (tmp_path / f"epoch_{epoch:04d}.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"epoch_0000.png cannot be read as a PNG \(.*Remove it"):
        animate(tmp_path, tmp_path / "film.gif")


def test_animate_raises_when_no_scale_is_small_enough(tmp_path):
    for epoch in range(2):
        (tmp_path / f"epoch_{epoch:04d}.png").write_bytes(png(16_000, 16_000))
    with pytest.raises(ValueError, match="which makes 512,000,000. Remove some images"):
        animate(tmp_path, tmp_path / "film.gif", scale=1)


def test_load_images_raises_for_a_large_photo_from_its_header(tmp_path, monkeypatch):
    Image.new("L", (600, 520)).save(tmp_path / "a.png")
    decoded = []
    load = PngImageFile.load
    monkeypatch.setattr(PngImageFile, "load", lambda image: decoded.append(1) or load(image))
    with pytest.raises(ValueError, match="at most 512 pixels a side.* a.png of 600x520"):
        data.load_images(tmp_path)
    assert not decoded
    assert data.load_images(tmp_path, data.ImageOptions(image_size="16")).images.shape[0] == 1
    assert decoded
