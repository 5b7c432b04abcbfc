"""Tests images on disk: views of them, and training from them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan.data import ImageView, image_view, make_dataset

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 3, 1), dtype=np.uint8)
INDICES = np.random.default_rng(1).permutation(50)[:40]


@pytest.fixture
def mapped(tmp_path):
    """Returns IMAGES as a memory map."""
    np.save(tmp_path / "images.npy", IMAGES)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


@pytest.fixture
def on_disk(monkeypatch):
    """Sets the limit such that no memory map is read as a whole."""
    monkeypatch.setattr(image_view, "MAX_IN_MEMORY", 0)


@pytest.mark.parametrize(
    "key",
    [0, -1, np.int64(3), slice(None), slice(4, 30, 3), slice(9, 0, -1), np.array([5, 1, 1, 39])]
    + [[2, 0], np.arange(40) % 3 == 0, np.array([], int)],
    ids=str,
)
def test_view_indexes_like_an_array(mapped, key):
    expected = IMAGES[INDICES][key]
    found = ImageView(mapped, INDICES)[key]
    np.testing.assert_array_equal(found, expected, strict=True)
    assert type(found) is np.ndarray
    assert found.flags.writeable


def test_view_has_the_attributes_of_an_array(mapped):
    view, expected = ImageView(mapped, INDICES), IMAGES[INDICES]
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(view, name) == getattr(expected, name), name
    assert len(view) == 40
    np.testing.assert_array_equal(np.asarray(view), expected, strict=True)
    np.testing.assert_array_equal(np.asarray(view, np.float32), expected.astype(np.float32))
    np.testing.assert_array_equal(list(view), expected)
    np.testing.assert_array_equal(ImageView(mapped), IMAGES)
    with pytest.raises(IndexError):
        view[40]
    with pytest.raises(ValueError, match="Expected a copy"):
        view.__array__(copy=False)


def test_view_reads_images_in_file_order():
    class Recording(np.ndarray):
        def __getitem__(self, rows):
            read.append(np.array(rows))
            return super().__getitem__(rows)

    read = []
    view = ImageView(IMAGES.view(Recording), INDICES)
    view[np.array([7, 3, 30, 3])]
    (rows,) = read
    np.testing.assert_array_equal(rows, np.sort(INDICES[[7, 3, 30, 3]]))


def test_view_reads_in_chunks(monkeypatch, mapped):
    monkeypatch.setattr(image_view, "_CHUNK", 7)
    view = ImageView(mapped, INDICES)
    np.testing.assert_array_equal(view[:], IMAGES[INDICES])
    parts = list(image_view.iter_chunks(view))
    assert [len(part) for part in parts] == [7, 7, 7, 7, 7, 5]
    np.testing.assert_array_equal(np.concatenate(parts), IMAGES[INDICES])


def test_sample_in_memory_returns_the_first_images_that_fit(monkeypatch, mapped):
    view = ImageView(mapped, INDICES)
    np.testing.assert_array_equal(image_view.sample_in_memory(view), IMAGES[INDICES])
    monkeypatch.setattr(image_view, "MAX_IN_MEMORY", 12 * 9 + 11)
    np.testing.assert_array_equal(image_view.sample_in_memory(view), IMAGES[INDICES][:9])
    np.testing.assert_array_equal(image_view.sample_in_memory(mapped), IMAGES[:9])
    np.testing.assert_array_equal(image_view.sample_in_memory(IMAGES), IMAGES)


CASES = {
    "bytes": {},
    "epochs of steps": {"steps_per_epoch": 5},
    "mirrored": {"mirror": True, "steps_per_epoch": 7},
    "remainder": {"drop_remainder": False},
    "labels in another range": {"labels": np.arange(40) % 3, "value_range": (-1.0, 1.0)},
}


@pytest.mark.parametrize("case", CASES)
def test_make_dataset_gives_equal_batches_from_disk_and_memory(mapped, on_disk, case):
    expected = make_dataset(IMAGES[INDICES], 6, **CASES[case])
    dataset = make_dataset(ImageView(mapped, INDICES), 6, **CASES[case])
    assert dataset.indexed_images is None
    assert dataset.element_spec == expected.element_spec
    for ours, theirs in ((dataset, expected),) * 3:
        for batch, wanted in zip(ours, theirs, strict=True):
            for a, b in zip(tf.nest.flatten(batch), tf.nest.flatten(wanted), strict=True):
                np.testing.assert_array_equal(a, b, strict=True)
    dataset.epoch.assign(1)
    dataset.skip_batches.assign(2)
    expected.epoch.assign(1)
    resumed, whole = list(dataset), list(expected)
    if case == "bytes":
        assert not np.concatenate(resumed[:2]).any()
        np.testing.assert_array_equal(np.concatenate(resumed[2:]), np.concatenate(whole[2:]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_make_dataset_checks_and_casts_floats_on_disk(tmp_path, on_disk, dtype):
    images = np.random.default_rng(0).uniform(-1, 1, (9, 3, 2)).astype(dtype)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    (batch,) = make_dataset(mapped, 9, value_range=(-1, 1), shuffle=False)
    np.testing.assert_array_equal(batch[..., 0], images.astype(np.float32), strict=True)
    with pytest.raises(ValueError, match=r"value_range=\(0, 1\). Received: values from -"):
        make_dataset(mapped, 9, value_range=(0, 1))


def test_make_dataset_loads_a_memory_map_below_the_limit(mapped):
    for images in (mapped, ImageView(mapped, INDICES), ImageView(IMAGES, INDICES)):
        assert make_dataset(images, 6).indexed_images is not None


def test_make_dataset_loads_a_view_of_an_array_above_the_limit(on_disk):
    assert make_dataset(ImageView(IMAGES, INDICES), 6).indexed_images is not None


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fit_is_bit_for_bit_equal_from_disk_and_memory(make_gan, mapped, on_disk, jit_compile):
    def train(images):
        keras.utils.set_random_seed(0)
        gan = make_gan(image_shape=(4, 3, 1), jit_compile=jit_compile, steps_per_execution=5)
        gan.fit(make_dataset(images, 6, steps_per_epoch=10), epochs=2, verbose=0)
        return gan.get_weights()

    for a, b in zip(train(ImageView(mapped, INDICES)), train(IMAGES[INDICES]), strict=True):
        np.testing.assert_array_equal(a, b)
