"""Tests own images: formats, splits, training, scores, and errors that name the file."""

import json

import numpy as np
import pytest

from fashion_gan import data
from fashion_gan.cli.main import main
from fashion_gan.images import write_png
from fashion_gan.runs import checkpoints

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (240, 8, 8, 1), dtype=np.uint8)
LABELS = (np.arange(240) % 3).astype(np.uint8)
SETTINGS = ["--batch-size", "20", "--steps-per-execution", "5", "--epochs", "2"]
SETTINGS += ["--eval-freq", "1", "--on-collapse", "off"]
SETTINGS += ["--preset", "dense", "--steps-per-epoch", "7"]


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def make(kind, folder):
    """Writes the images in a format, and returns the path and whether it has labels."""
    if kind == "idx":
        write_idx(folder / "my-labels-idx1-ubyte", LABELS)
        write_idx(folder / "my-images-idx3-ubyte", IMAGES[..., 0])
        return folder / "my-images-idx3-ubyte", True
    if kind == "npy":
        np.save(folder / "my.npy", IMAGES)
        return folder / "my.npy", False
    if kind == "npz":
        np.savez(folder / "my.npz", x_train=IMAGES[..., 0] / 255, y_train=LABELS[:, None])
        return folder / "my.npz", True
    for i, image in enumerate(IMAGES):
        place = folder / "my" / ("abc"[LABELS[i]] if kind == "classes" else "")
        place.mkdir(parents=True, exist_ok=True)
        write_png(place / f"{i:03d}.png", image)
    return folder / "my", kind == "classes"


@pytest.mark.parametrize("kind", ["idx", "npy", "npz", "folder", "classes"])
def test_load_images_returns_the_same_images_and_labels_from_every_format(kind, tmp_path):
    path, labeled = make(kind, tmp_path)
    found = data.load_images(path)
    order = np.argsort(LABELS, kind="stable") if kind == "classes" else np.arange(240)
    np.testing.assert_array_equal(found.images, IMAGES[order])
    assert (found.labels is not None) == (found.class_names is not None) == labeled
    if labeled:
        np.testing.assert_array_equal(found.labels, LABELS[order])
        assert found.class_names == (("a", "b", "c") if kind == "classes" else ("0", "1", "2"))


def test_load_images_renumbers_the_classes_present(tmp_path):
    np.savez(tmp_path / "my.npz", images=IMAGES, labels=10 * LABELS + 5)
    found = data.load_images(tmp_path / "my.npz")
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.class_names == ("5", "15", "25")


def torn(folder):
    path, _ = make("npz", folder)
    path.write_bytes(path.read_bytes()[:1000])
    return path


def array(name, **content):
    def write(folder):
        np.savez(folder / name, **content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (array("a.npz", pictures=IMAGES), r"one of \('images'.*\['pictures'\]"),
        (
            array("a.npz", images=IMAGES.astype("int64") * 9),
            "dtype=int64 and values from 0 to 2295",
        ),
        (array("a.npz", images=IMAGES / 200), "dtype=float64 and values from 0.0 to 1.275"),
        (array("a.npz", images=IMAGES // 128), "dtype=uint8 and values from 0 to 1"),
        (array("a.npz", images=np.where(IMAGES > 9, np.nan, 0)), "values from nan to nan"),
        (array("a.npz", images=IMAGES, labels=LABELS[:9]), r"shape \(9,\)"),
        (array("a.npz", images=np.zeros((3, 2, 2, 5), np.uint8)), r"of shape \(3, 2, 2, 5\)"),
        (array("a.npz", images=np.array([object()])), "a.npz cannot be read: Object"),
        (torn, "my.npz cannot be read: "),
    ],
    ids=range(9),
)
def test_load_images_raises_for_unreadable_arrays(write, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        data.load_images(write(tmp_path))


@pytest.mark.slow
def test_train_command_trains_on_a_folder_of_classes(tmp_path, capsys):
    path, _ = make("classes", tmp_path)
    folder = tmp_path / "run"
    train = ["train", "--data", str(path), "--conditional", "--run-dir", str(folder), *SETTINGS]
    assert main(train) == 0
    gan = checkpoints.load(folder)
    assert (gan.image_shape, gan.num_classes) == ((8, 8, 1), 3)
    scores = json.loads((folder / "scores.json").read_text())["scores"]["samples"]
    assert scores["pixel_frechet_distance"] > 0 and "frechet_distance" not in scores
    assert (
        main(["evaluate", str(folder), "--num-images", "100", "--out", str(tmp_path / "report")])
        == 0
    )
    out = capsys.readouterr().out
    assert "Comparing 100 samples with as many real images: held-out images." in out
    assert "pixel" in out and "Compared 100 images with 100 real images: held-out images" in out
    assert (tmp_path / "report/closest.png").exists()
    out = [str(tmp_path / f"{i}.npy") for i in range(2)]
    sample = ["sample", str(folder), "--num-images", "4"]
    for name, path_out in zip(("c", "2"), out, strict=True):
        assert main([*sample, "--class", name, "--out", path_out]) == 0
    np.testing.assert_array_equal(*map(np.load, out))
    assert main([*sample, "--class", "d"]) == 2
    assert "The names are: a, b, c." in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--baselines", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores)[1:3] == ["training images", "a class removed"]
    assert scores["training images"]["kernel_distance"] < scores["noise alone"]["kernel_distance"]
    longer = ["train", "--resume", "--run-dir", str(folder), "--epochs", "3"]
    assert main(longer) == 0
    assert checkpoints.load(folder).steps == 3 * 7
    (path / "a/000.png").unlink()
    assert main([*longer[:-1], "4"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "Expected the 240 images with which" in error
    assert "started. Received: 239 images" in error
    assert main(["evaluate", str(folder), "--num-images", "100"]) == 2


def test_train_command_raises_for_conditional_without_classes(tmp_path, capsys):
    path, _ = make("npy", tmp_path)
    train = ["train", "--data", str(path), "--conditional", "--run-dir", str(tmp_path / "run")]
    assert main([*train, *SETTINGS]) == 2
    assert "one sub-folder for each class" in capsys.readouterr().err
