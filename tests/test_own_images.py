"""Images of one's own: every format, split, trained and measured; and errors that name the file."""

import json

import numpy as np
import pytest
import tensorflow as tf

from fashion_gan.cli.main import main
from fashion_gan.data import image_folder
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
    """The images in a file or folder of a kind; its path, and whether it has labels."""
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
def test_every_format_gives_the_same_images_and_labels(kind, tmp_path):
    path, labeled = make(kind, tmp_path)
    images, labels, names = image_folder.load_images(str(path))
    order = np.argsort(LABELS, kind="stable") if kind == "classes" else np.arange(240)
    np.testing.assert_array_equal(images, IMAGES[order])
    assert (labels is not None) == (names is not None) == labeled
    if labeled:
        np.testing.assert_array_equal(labels, LABELS[order])
        assert names == (("a", "b", "c") if kind == "classes" else ("0", "1", "2"))


def test_colors_and_transparency(tmp_path):
    for i in range(3):
        image = RNG.integers(0, 256, (4, 4, 4), dtype=np.uint8)
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    assert image_folder.load_images(str(tmp_path)).images.shape == (3, 4, 4, 3)


def test_a_tenth_is_held_out_and_nothing_is_lost_or_doubled():
    images = np.arange(3_000, dtype=np.uint16).view(np.uint8).reshape(3_000, 2, 1, 1)
    made = image_folder.split_images(image_folder.Collection(images, None, None))
    assert (len(made.train_images), len(made.validation_images)) == (2_700, 300)
    together = np.concatenate([made.train_images, made.validation_images])
    assert len(np.unique(together, axis=0)) == 3_000
    with pytest.raises(ValueError, match="at least 200 images, since 100 are .*Received: 199"):
        image_folder.split_images(image_folder.Collection(images[:199], None, None))


def test_classes_that_do_not_occur_are_no_classes(tmp_path):
    np.savez(tmp_path / "my.npz", images=IMAGES, labels=10 * LABELS + 5)
    _, labels, names = image_folder.load_images(str(tmp_path / "my.npz"))
    np.testing.assert_array_equal(labels, LABELS)
    assert names == ("5", "15", "25")


def torn(folder):
    path, _ = make("npz", folder)
    path.write_bytes(path.read_bytes()[:1000])
    return path


def broken(folder):
    path, _ = make("folder", folder)
    (path / "100.png").write_bytes((path / "100.png").read_bytes()[:40])
    return path


def test_a_broken_image_is_named_and_left_out_on_request(tmp_path):
    path = broken(tmp_path)
    with pytest.raises(ValueError, match="1 of 240 files .*100.png.*--skip-corrupt"):
        image_folder.load_images(str(path))
    with pytest.warns(UserWarning, match="Left out: .*100.png"):
        assert len(image_folder.load_images(str(path), skip_corrupt=True).images) == 239


def other_size(folder):
    path, _ = make("folder", folder)
    write_png(path / "x.png", np.zeros((9, 8, 1), np.uint8))
    return path


def beside_classes(folder):
    path, _ = make("classes", folder)
    write_png(path / "x.png", IMAGES[0])
    return path


def array(name, **content):
    def write(folder):
        np.savez(folder / name, **content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda folder: folder / "none", FileNotFoundError, "it does not exist"),
        (lambda folder: folder, ValueError, "Found none"),
        (other_size, ValueError, r"000.png of shape \(8, 8, 1\), and .*x.png of shape \(9, 8, 1\)"),
        (beside_classes, ValueError, "Received: 1 beside them"),
        (array("a.npz", pictures=IMAGES), ValueError, r"one of \('images'.*\['pictures'\]"),
        (array("a.npz", images=IMAGES.astype("int64")), ValueError, "int64 of shape"),
        (array("a.npz", images=IMAGES, labels=LABELS[:9]), ValueError, r"shape \(9,\)"),
        (array("a.npz", images=np.zeros((3, 2, 2, 5), np.uint8)), ValueError, "Received: images"),
        (array("a.npz", images=np.array([object()])), ValueError, "a.npz cannot be read: Object"),
        (lambda folder: torn(folder), ValueError, "my.npz cannot be read: "),
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_named(write, error, message, tmp_path):
    with pytest.raises(error, match=message):
        image_folder.load_images(str(write(tmp_path)))


@pytest.mark.slow
def test_a_training_on_a_folder_of_classes_from_the_command_line(tmp_path, capsys):
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
    assert "Measuring 100 samples against as many real images: held-out images." in out
    assert "pixel" in out and "100 images against as many: held-out images" in out
    assert (tmp_path / "report/closest.png").exists()
    assert main(["sample", str(folder), "--class", "2", "--num-images", "4"]) == 0
    assert main(["evaluate", str(folder), "--baselines"]) == 2
    assert "for Fashion-MNIST alone" in capsys.readouterr().err
    longer = ["train", "--resume", "--run-dir", str(folder), "--epochs", "3"]
    assert main(longer) == 0
    assert checkpoints.load(folder).steps == 3 * 7
    (path / "a/000.png").unlink()
    assert main([*longer[:-1], "4"]) == 2
    assert "began with, 240 of them. Received: 239 images" in " ".join(
        capsys.readouterr().err.split()
    )
    assert main(["evaluate", str(folder), "--num-images", "100"]) == 2


def test_a_conditional_training_needs_classes(tmp_path, capsys):
    path, _ = make("npy", tmp_path)
    train = ["train", "--data", str(path), "--conditional", "--run-dir", str(tmp_path / "run")]
    assert main([*train, *SETTINGS]) == 2
    assert "one sub-folder for each class" in capsys.readouterr().err
