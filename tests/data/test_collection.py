"""Tests collections of images: each format, layout and range is read, or raises an error."""

import dataclasses
import json
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from image_cases import CASES, CLASSES, COUNT, DISCS, archive, disc, files, outcome, with_file
from PIL import Image

from fashion_gan import data
from fashion_gan.data import collection, decoding, image_cache
from fashion_gan.runs.config import Config

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Returns an empty folder for the cache."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home / "fashion_gan/images"


def load(path, **options):
    return data.load_images(path, data.ImageOptions(**options))


@pytest.mark.parametrize("name", CASES)
def test_load_images_reads_each_case_or_raises_a_one_line_error(name, tmp_path):
    _, write, expected, options = CASES[name]
    path = write(tmp_path)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected) as caught:
            load(path, **options)
        assert "\n" not in str(caught.value)
        assert sorted(tmp_path.parent.glob("*.png")) == []
        return
    wanted = expected(path)
    for images in (load(path, **options).images, load(path, **options).images):
        difference = np.abs(images.astype(int) - wanted.astype(int))
        assert images.shape == wanted.shape and images.dtype == np.uint8
        assert difference.max() <= (2 if "photos" in name else 0)


def test_image_cases_match_the_committed_results():
    results = json.loads((ROOT / "docs/results/image-cases.json").read_text())
    assert results == {case.text: outcome(case) for case in CASES.values()}


def test_load_images_returns_classes_of_folders_and_tables(tmp_path):
    labels = np.arange(COUNT) % 2
    for name in ("table", "stylegan", "parquet", "class_names"):
        (tmp_path / name).mkdir()
        found = load(CASES[name].write(tmp_path / name))
        np.testing.assert_array_equal(found.labels, labels, err_msg=name)
        assert found.class_names == (("0", "1") if name == "stylegan" else CLASSES), name
    for name in ("classes", "links"):
        (tmp_path / name).mkdir()
        found = load(CASES[name].write(tmp_path / name))
        np.testing.assert_array_equal(found.labels, np.sort(labels), err_msg=name)
    (tmp_path / "rgb").mkdir()
    assert load(CASES["rgb"].write(tmp_path / "rgb")).labels is None


def test_load_images_orders_numeric_classes_by_number(tmp_path):
    labels = np.array([10, 9, 2])[np.arange(COUNT) % 3]
    np.savez(tmp_path / "a.npz", images=DISCS, labels=labels)
    found = load(tmp_path / "a.npz")
    assert found.class_names == ("2", "9", "10")
    np.testing.assert_array_equal(np.array([2, 9, 10])[found.labels], labels)


def test_describe_counts_skipped_and_converted_files(tmp_path):
    write = with_file(CASES["transparent"].write, "notes.txt", b"x")
    path = with_file(write, ".hidden/a.png", b"x")(tmp_path)
    os.symlink("nowhere.png", path / "dangling.png")
    os.symlink(".", path / "loop")
    Image.fromarray(np.asarray(Image.open(path / "00.png"))).save(path / "zz.png")
    lines = "\n".join(load(path).describe())
    for text in (
        "images         25 of 8x8, RGB",
        "skipped        hidden files and folders: .hidden",
        "skipped        files that end in .txt: notes.txt",
        "skipped        links that lead nowhere: dangling.png",
        "skipped        links to a folder above: loop",
        "25 images: transparency composited on white",
        "duplicates     1 image equal to an earlier one",
    ):
        assert text in lines
    assert "\x1b" not in lines


@pytest.mark.parametrize("as_array", [False, True], ids=["files", "array"])
def test_describe_names_the_original_sizes_of_resized_images(tmp_path, as_array):
    path = tmp_path / "images"
    if as_array:
        path = path.with_suffix(".npy")
        np.save(path, np.zeros((5, 8, 8), np.uint8))
        expected = {"resized from 8x8 to 16x16": 5}
    else:
        path.mkdir()
        for index, shape in enumerate([(16, 16), (8, 8), (20, 4), (40, 30), (8, 8)]):
            Image.fromarray(np.zeros(shape, np.uint8)).save(path / f"{index}.png")
        expected = {"resized from 3 sizes, 8x8 to 30x40, to 16x16 (pad)": 4}
    assert load(path, image_size="16", resize="pad").changes == expected


@pytest.mark.parametrize(("resize", "corner"), [("crop", 200), ("pad", 0), ("stretch", 200)])
def test_load_images_resizes_to_image_size(tmp_path, resize, corner):
    for index in range(2):
        Image.fromarray(np.full((16, 32), 200, np.uint8)).save(tmp_path / f"{index}.png")
    images = load(tmp_path, image_size="16", resize=resize, background="#000000").images
    assert images.shape == (2, 16, 16, 1)
    assert images[0, 0, 0, 0] == corner and images[0, 8, 8, 0] == 200


def test_resize_crops_to_the_center_or_stretches_the_whole_image(tmp_path):
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert load(tmp_path, image_size="8", resample="nearest").images.min() == 255
    stretched = load(tmp_path, image_size="8", resize="stretch", resample="nearest").images
    assert 0.2 < (stretched == 255).mean() < 0.5


def test_resize_adds_no_colors_with_nearest(tmp_path):
    files("{i:02}.png", disc)(tmp_path)
    colors = {tuple(color) for color in DISCS.reshape(-1, 3)}

    def new_colors(resample):
        images = load(tmp_path, image_size="16", resample=resample).images
        return {tuple(color) for color in images.reshape(-1, 3)} - colors

    assert not new_colors("nearest") and new_colors("lanczos")


def test_load_images_composites_transparent_pixels_onto_the_background(tmp_path):
    path = CASES["transparent"].write(tmp_path)
    images = load(path, background="#0000ff").images
    assert (images[:, :4] == (0, 0, 255)).all()
    np.testing.assert_array_equal(images[:, 4:], DISCS[:, 4:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": "big"}, "such as 64 or WIDTHxHEIGHT .*Received: image_size='big'"),
        ({"image_size": "0x8"}, "Received: image_size='0x8'"),
        ({"background": "wite"}, "Expected a color.* Received: background='wite'"),
        ({"channels": "2"}, "Expected one of .*Received: channels='2'"),
        ({"resize": "zoom"}, "Expected one of .*Received: resize='zoom'"),
    ],
)
def test_image_options_raise_for_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        data.ImageOptions(**options)


def test_image_options_match_the_choices_of_the_config():
    fields = {field.name: field for field in dataclasses.fields(Config)}
    for field in dataclasses.fields(data.ImageOptions):
        assert fields[field.name].default == field.default
    for name, choices in (
        ("resize", decoding.RESIZES),
        ("resample", decoding.RESAMPLES),
        ("channels", decoding.CHANNELS),
    ):
        assert fields[name].metadata["choices"] == choices


@pytest.mark.parametrize(
    "settings", [{"image_size": "x"}, {"background": "wite"}, {"held_out": "-1"}]
)
def test_config_raises_for_wrong_image_options(settings):
    with pytest.raises(ValueError, match="Expected "):
        Config(data="images", **settings)


def test_load_images_skips_corrupt_files_on_request(tmp_path):
    path = with_file(files("{i:02}.png", disc), "05.png", b"\x89PNG\r\n\x1a\n")(tmp_path)
    for _ in range(2):  # decoded, and from the cache
        with pytest.warns(UserWarning, match="cannot be read: 05.png"):
            found = data.load_images(path, skip_corrupt=True)
        np.testing.assert_array_equal(found.images, np.delete(DISCS, 5, axis=0))
        assert (found.found, found.skipped) == (24, {"files that cannot be read": ["05.png"]})
    with pytest.raises(ValueError, match="1 of 24 files"):
        data.load_images(path)


def test_load_images_decodes_once_until_a_file_changes(tmp_path, cache, monkeypatch):
    path = files("{i:02}.png", disc)(tmp_path)
    first = load(path)
    assert isinstance(first.images, np.memmap)
    monkeypatch.setattr(collection, "_decoded_chunks", lambda *_: pytest.fail("decoded again"))
    again = load(path)
    np.testing.assert_array_equal(again.images, first.images)
    assert again.describe and list(again.describe()) == list(first.describe())
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(cache.parent.parent))
    Image.fromarray(disc(99)).save(path / "03.png")
    np.testing.assert_array_equal(load(path).images[3], disc(99))
    assert len(list(cache.iterdir())) == 2
    load(path, image_size="16")
    assert len(list(cache.iterdir())) == 3


def test_load_images_decodes_again_when_the_cache_is_damaged(tmp_path, cache):
    path = files("{i:02}.png", disc)(tmp_path)
    load(path)
    (entry,) = cache.iterdir()
    for name, content in (("pixels.bin", b"x"), ("record.json", b"{"), ("record.json", b"[]")):
        (entry / name).write_bytes(content)
        np.testing.assert_array_equal(load(path).images, DISCS)


def test_load_images_works_without_a_writable_cache(tmp_path, cache):
    path = files("{i:02}.png", disc)(tmp_path)
    cache.parent.write_text("a file, no folder")
    with pytest.warns(UserWarning, match="cannot be cached in .*KERAS_HOME"):
        np.testing.assert_array_equal(load(path).images, DISCS)


def test_cache_removes_entries_unused_for_a_month(tmp_path, cache):
    files("{i:02}.png", disc)(tmp_path)
    old = cache / "old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    load(tmp_path)
    assert not old.exists()


def test_load_images_leaves_no_cache_files_after_an_error(tmp_path, cache):
    with pytest.raises(ValueError, match="Expected images of one size"):
        load(CASES["sizes"].write(tmp_path))
    assert list(cache.iterdir()) == []


def test_pixel_writer_drops_images_and_channels(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 2, 3), np.uint8)
    keep = np.flatnonzero(np.arange(50) % 3)
    monkeypatch.setattr(image_cache, "_BLOCK_BYTES", 18 * 4)
    for path in (None, tmp_path / "pixels"):
        with image_cache.PixelWriter(path, 50, (3, 2, 3)) as writer:
            for index in np.random.default_rng(1).permutation(50):
                writer.write(index, images[index : index + 1])
            np.testing.assert_array_equal(writer.finish(keep, 1), images[keep][..., :1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file_name,label\n00.png,a\n", "none for 23 of 24 images .*such as 01.png"),
        ('file_name,label\n"00.png', "labels.csv in .* cannot be read: "),
    ],
    ids=["missing", "damaged"],
)
def test_load_images_raises_for_a_table_that_lacks_images(tmp_path, labels, message):
    path = with_file(files("{i:02}.png", disc), "labels.csv", labels.encode())(tmp_path)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_load_images_reports_tables_without_labels(tmp_path):
    path = with_file(files("{i:02}.png", disc), "metadata.csv", b"file_name,text\n")(tmp_path)
    found = load(path)
    assert found.labels is None
    assert found.skipped == {"tables without a column of labels": ["metadata.csv"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "dataset.json in .* cannot be read"),
        (b'{"labels":' + b"[" * 100_000, "dataset.json in .* cannot be read"),
        (b'{"labels": [["0/0000.png", [0.5]]]}', "its labels are not integers"),
        (b'{"labels": [1]}', "not pairs of a name and a class"),
    ],
    ids=range(4),
)
def test_load_images_raises_for_a_damaged_dataset_json(tmp_path, content, message):
    path = archive("0/{i:04}.png", dataset__json=content)(tmp_path)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_load_images_raises_for_a_damaged_or_unsupported_archive(tmp_path):
    path = archive("{i:02}.png")(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    with pytest.raises(ValueError, match="images.zip cannot be read: .*Download it again"):
        load(path)
    path.write_bytes(whole.replace(b"IHDR", b"IHDX", 1))
    with pytest.raises(ValueError, match="1 of 24 files of .* such as 00.png: "):
        load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("a.png", b"")
    with pytest.raises(ValueError, match="'a.png' is compressed by another method"):
        load(path)


def test_load_images_raises_with_the_contents_of_a_folder_without_images(tmp_path):
    (tmp_path / "a.heic").touch()
    with pytest.raises(ValueError, match=r"Received: 1 files that end in \.heic\. Name the folder"):
        load(tmp_path)
    with pytest.raises(ValueError, match="Expected a folder of images, or a .zip, .*Unpack or"):
        load(tmp_path / "a.heic")
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        load(tmp_path / "none")


def test_load_images_skips_pipes_and_devices(tmp_path):
    path = files("{i:02}.png", disc)(tmp_path)
    os.mkfifo(path / "pipe.png")
    assert load(path).skipped == {"pipes, sockets and devices": ["pipe.png"]}


def test_load_images_restores_the_limit_of_pillow(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    load(files("{i:02}.png", disc)(tmp_path))
    assert before is not None and before == Image.MAX_IMAGE_PIXELS


def test_load_images_raises_for_formats_that_start_programs(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(ValueError, match="it is not an image of a known format"):
        load(tmp_path)


def test_split_holds_out_a_tenth_and_uses_each_image_once():
    images = np.arange(3_000, dtype=np.uint16).view(np.uint8).reshape(3_000, 2, 1, 1)
    split = data.split_images(data.Collection(images))
    assert (len(split.train_images), len(split.validation_images), split.held_out) == (
        *(2_700, 300),
        300,
    )
    together = np.concatenate([split.train_images, split.validation_images])
    assert len(np.unique(together, axis=0)) == 3_000


@pytest.mark.parametrize(
    ("count", "held_out", "expected"),
    [(200, "auto", 100), (199, "auto", 0), (100_000, "auto", 5_000), (50, "0", 0), (50, "7", 7)]
    + [(50, "0.1", 5), (50, "30", 30)],
)
def test_split_holds_out_the_given_number(count, held_out, expected):
    images = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 4, 1, 1)
    split = data.split_images(data.Collection(images), held_out)
    assert split.held_out == expected
    assert len(split.train_images) == count - expected
    assert len(split.test_images) == (expected or count)
    assert split.test_images is split.validation_images  # not a copy
    assert (split.validation_images is split.train_images) == (expected == 0)


@pytest.mark.parametrize(
    ("count", "held_out", "message"),
    [
        (19, "auto", "at least 20 images. Received: 19"),
        (50, "31", "at least 20 images to train on. Received: held_out=31 of 50"),
        (50, "-1", "Received: held_out='-1'"),
        (50, "1.5", "Received: held_out='1.5'"),
        (50, "nan", "Received: held_out='nan'"),
        (50, "some", "Received: held_out='some'"),
    ],
)
def test_split_raises_for_too_few_images_or_wrong_numbers(count, held_out, message):
    with pytest.raises(ValueError, match=message):
        data.split_images(data.Collection(np.zeros((count, 2, 2, 1), np.uint8)), held_out)


def test_split_uses_existing_train_and_test_folders():
    images = np.arange(90, dtype=np.uint8).reshape(90, 1, 1, 1)
    parts = ("train",) * 60 + ("validation",) * 20 + ("test",) * 10
    split = data.split_images(data.Collection(images, parts=parts))
    np.testing.assert_array_equal(split.train_images, images[:60])
    np.testing.assert_array_equal(split.validation_images, images[60:80])
    np.testing.assert_array_equal(split.test_images, images[80:])
    with pytest.raises(ValueError, match="held_out='0.5'. Name the folder of one part"):
        data.split_images(data.Collection(images, parts=parts), "0.5")


def test_load_images_raises_only_documented_errors_for_damaged_images(tmp_path):
    """Bytes of images of every format are changed, removed and repeated at random."""
    rng = np.random.default_rng(0)
    originals = []
    for suffix in ("png", "jpg", "gif", "bmp", "webp", "tif", "avif", "ppm"):
        Image.fromarray(disc(1, 16, 16)).save(tmp_path / f"a.{suffix}")
        originals.append((suffix, (tmp_path / f"a.{suffix}").read_bytes()))
    folder = tmp_path / "damaged"
    folder.mkdir()
    for index in range(400):
        suffix, content = originals[index % len(originals)]
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 8)):
            at = int(rng.integers(len(damaged)))
            kind = rng.integers(3)
            if kind == 0:
                damaged[at] = rng.integers(256)
            elif kind == 1 and len(damaged) > 20:
                del damaged[at : at + int(rng.integers(1, 20))]
            else:
                damaged[at:at] = damaged[at : at + 8]
        (folder / f"{index:03}.{suffix}").write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = data.ImageOptions(image_size="16")
        found = data.load_images(folder, options, skip_corrupt=True, max_bytes=2**24)
    broken = len(found.skipped["files that cannot be read"])
    assert 20 < broken < 380 and len(found.images) == 400 - broken


@pytest.mark.slow
def test_load_images_uses_no_more_memory_than_the_array_for_photos(tmp_path):
    """Photos of 12 million pixels are decoded within the array and 500 MB."""
    photo = np.zeros((3_000, 4_000, 3), np.uint8)
    photo[500:2_000, 1_000:3_000] = (200, 30, 60)
    Image.fromarray(photo).save(tmp_path / "00.png")
    for index in range(1, 24):
        os.link(tmp_path / "00.png", tmp_path / f"{index:02}.png")
    script = """
import json, resource, sys
from fashion_gan import data
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images = data.load_images(sys.argv[1], data.ImageOptions(image_size="64")).images
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, images.nbytes]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    taken, size = json.loads(out.stdout)
    assert 1024 * taken < size + 500e6
