"""Tests the evaluate command: its inputs, table, JSON and pictures."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from helpers import SMALL_RUN_FLAGS

from fashion_gan import data
from fashion_gan.cli.main import main
from fashion_gan.evaluation.report import score_tables

pytestmark = pytest.mark.usefixtures("small_fashion_mnist")

COUNT = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a run of one epoch of the dense preset."""
    folder = tmp_path_factory.mktemp("logs") / "run"
    flags = ["--epochs", "1", "--eval-freq", "0", *SMALL_RUN_FLAGS]
    assert main(["train", "--run-dir", str(folder), *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Writes 300 training images without sandals as a .npy file."""
    fashion = data.load_fashion_mnist()
    kept = fashion.train_images[fashion.train_labels != 5][:COUNT]
    path = tmp_path_factory.mktemp("images") / "real.npy"
    np.save(path, kept)
    return path


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments), "--num-images", str(COUNT)])


@pytest.mark.slow
def test_evaluate_compares_a_run_with_its_baselines(folder, capsys):
    assert evaluate(folder, "--baselines", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    names = list(result["scores"])
    assert names[0] == str(folder)
    assert {"training images", "a class removed", "noise alone", "untrained generator"} < set(names)
    distance = {name: scores["frechet_distance"] for name, scores in result["scores"].items()}
    assert distance["training images"] < distance["a class removed"] < distance["noise alone"]
    assert result["protocol"]["count"] == COUNT
    assert len(result["classifier"]) == 64
    assert {"tensorflow", "keras", "numpy"} < set(result["versions"])


def test_evaluate_scores_equal_images_equally_in_every_format(real, tmp_path, capsys):
    pictures = np.load(real)
    for channels, name in ((1, "gray"), (3, "rgb")):
        (tmp_path / name).mkdir()
        for index, picture in enumerate(pictures):
            encoded = tf.io.encode_png(np.repeat(picture, channels, axis=-1)).numpy()
            (tmp_path / name / f"{index:03d}.png").write_bytes(encoded)
    results = []
    for source in (real, tmp_path / "gray", tmp_path / "rgb"):
        assert evaluate(source, "--json") == 0
        (scores,) = json.loads(capsys.readouterr().out)["scores"].values()
        results.append(scores)
    assert results[0] == results[1] == results[2]
    assert results[0]["missing_classes"] == ["Sandal"]
    assert results[0]["class_shares"]["Sandal"] < 0.01


def test_evaluate_prints_scores_and_class_fractions_and_writes_images(real, tmp_path, capsys):
    assert evaluate(real, "--out", tmp_path / "report") == 0
    out = capsys.readouterr().out
    for words in ("frechet_distance", "share of", "Sandal", "0.0 %", "300 images"):
        assert words in out
    record = json.loads((tmp_path / "report/scores.json").read_text())
    assert record["scores"][str(real)]["missing_classes"] == ["Sandal"]
    classes = tf.io.decode_png((tmp_path / "report/classes.png").read_bytes()).numpy()
    assert classes.shape == (10 * 29 - 1, 25 * 29 - 1, 1)
    right = classes[:28, 13 * 29 : 14 * 29 - 1]
    assert len(np.unique(right)) == 1, "the rarest class comes first, and no sandal was generated"
    closest = tf.io.decode_png((tmp_path / "report/closest.png").read_bytes()).numpy()
    assert closest.shape == (4 * 29 - 1, 12 * 29 - 1, 1)
    # These are training images, so each stands above itself.
    np.testing.assert_array_equal(closest[:28], closest[29 : 29 + 28])
    page = (tmp_path / "report/index.html").read_text()
    for name in ("classes.png", "closest.png"):
        encoded = base64.b64encode((tmp_path / "report" / name).read_bytes()).decode()
        assert encoded in page, "the page holds its images"
    assert str(real) in page and "Best and worst samples" in page
    assert "<th>Classes</th>" in page and "<td>Sandal</td>" in page


def archive(path):
    with path.open("wb") as file:
        np.savez(file, images=np.zeros((300, 28, 28), "uint8"), y=np.zeros(300))


def write(path, name, content=b"none"):
    path.mkdir(exist_ok=True)
    (path / name).write_bytes(content)


def sizes(path):
    for name, size in (("a.png", 4), ("b.png", 5)):
        write(path, name, tf.io.encode_png(np.zeros((size, 4, 1), np.uint8)).numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path,
            "images.npy, and no pretrained generator of that name",
        ),
        (
            lambda path: np.save(path, np.zeros((5, 28, 28), "uint8")),
            "Expected 300 images, as the protocol requires. Received: 5",
        ),
        (lambda path: np.save(path, np.full((300, 28, 28), 1.5)), "values from 1.5 to 1.5"),
        (archive, "Expected a class for each of 300 images"),
        (lambda path: (path / "a").mkdir(parents=True), "Received: an empty folder."),
        (lambda path: write(path, "a.png"), "1 of 1 files of "),
        (lambda path: write(path, "a.txt"), "1 files that end in .txt"),
        (sizes, "1 of 4x4, 1 of 4x5"),
        (lambda path: np.save(path, np.zeros((300, 32, 32), "uint8")), "Expected images of shape"),
    ],
    ids=["nothing", "few", "floats", "archive", "folders", "broken", "text", "sizes", "size"],
)
def test_evaluate_prints_one_line_for_unusable_images(make, message, tmp_path, capsys):
    path = tmp_path / "images.npy"
    make(path)
    assert evaluate(path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_evaluate_checks_the_given_images_before_it_reads_the_real_ones(monkeypatch, capsys):
    monkeypatch.setattr(data, "load_fashion_mnist", lambda *_: pytest.fail("read the real images"))
    assert evaluate(__file__) == 2
    assert "Expected a folder of images" in capsys.readouterr().err


def test_score_tables_have_distinct_column_names():
    scores = {"frechet_distance": 1.0, "precision": 1.0, "recall": 1.0, "coverage": 1.0}
    pixels = {f"pixel_{name}": score for name, score in scores.items()}
    for measured in (scores | pixels, pixels):
        table, _ = score_tables({"scores": {"samples": measured}})
        names = [column.header for column in table.columns]
        assert len(set(names)) == len(names) and "pixel Fréchet distance" in names
