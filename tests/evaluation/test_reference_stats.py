"""Tests the cache of reference statistics."""

import dataclasses

import numpy as np
import pytest

from fashion_gan import evaluation, files

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (150, 9, 9, 1), np.uint8)
TRAIN = RNG.integers(0, 256, (300, 9, 9, 1), np.uint8)
PROTOCOL = evaluation.EvalConfig(count=150, kernel_subsets=2, kernel_size=50, bins=5)


class Brightness:
    """Features that count the images of which they are asked for."""

    sha256 = "brightness"

    def __init__(self):
        self.asked = 0

    def __call__(self, images):
        self.asked += len(images)
        return images.reshape(len(images), -1)[:, :7].astype(float)


def evaluator(folder, features, real=REAL, train=TRAIN, **changes):
    protocol = dataclasses.replace(PROTOCOL, **changes)
    return evaluation.Evaluator(real, train, features, protocol=protocol, cache=folder)


def test_reference_stats_are_cached_for_the_next_evaluator(tmp_path):
    first, second = Brightness(), Brightness()
    scores = evaluator(tmp_path, first)(TRAIN[:150])
    again = evaluator(tmp_path, second)(TRAIN[:150])
    assert again == scores
    assert {"ndb", "memorization_ratio"} < set(scores)
    assert (first.asked, second.asked) == (1 + 150 + 150, 1 + 150)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"real": np.flip(REAL, 0).copy()},
        {"train": TRAIN[:299]},
        {"bins": 6},
        {"bins": 0},
        {"seed": 1},
    ],
    ids=["real", "train", "bins", "no bins", "seed"],
)
def test_reference_stats_file_depends_on_each_setting(tmp_path, change):
    _ = evaluator(tmp_path, Brightness()).reference_stats
    _ = evaluator(tmp_path, Brightness(), **change).reference_stats
    assert len(list(tmp_path.iterdir())) == 2


def test_reference_stats_file_depends_on_the_network_hash(tmp_path):
    other = Brightness()
    other.sha256 = "other"
    for features in (Brightness(), other, lambda images: Brightness()(images)):
        _ = evaluator(tmp_path, features).reference_stats
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("keep", [0, 1, 1000])
def test_reference_stats_replace_a_truncated_file(tmp_path, keep):
    scores = evaluator(tmp_path, Brightness())(TRAIN[:150])
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert evaluator(tmp_path, Brightness())(TRAIN[:150]) == scores
    assert file.stat().st_size == len(whole)


def test_reference_stats_work_without_a_writable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert evaluator(tmp_path / "file/folder", Brightness())(TRAIN[:150])


def test_cache_dir_is_in_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert files.cache_dir() == tmp_path / "fashion_gan"
