"""Tests the checks of all data: every source of batches with every fault."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import GAN, data, models

RNG = np.random.default_rng(0)
GOOD = RNG.random((32, 4, 4, 1), dtype="float32")
LABELS = np.arange(32, dtype="int32") % 3

pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")


class Batches(keras.utils.PyDataset):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return len(self.parts[0]) // 8

    def __getitem__(self, i):
        return tuple(part[8 * i : 8 * i + 8] for part in self.parts)


def as_dataset(parts):
    return {"x": tf.data.Dataset.from_tensor_slices(tuple(parts)).batch(8)}


def as_dataset_of_unknown_length(parts):
    slices = tf.data.Dataset.from_tensor_slices(tuple(parts))
    return {"x": slices.filter(lambda *_: True).batch(8)}


def as_one_shot_dataset(parts):
    batches = iter(Batches(parts))
    spec = tuple(tf.TensorSpec((None, *part.shape[1:]), tf.as_dtype(part.dtype)) for part in parts)
    return {"x": tf.data.Dataset.from_generator(lambda: batches, output_signature=spec)}


def as_pydataset(parts):
    return {"x": Batches(parts)}


def as_generator(parts):
    return {"x": (batch for batch in Batches(parts))}


def as_arrays(parts):
    return {"x": parts[0], "y": parts[1] if len(parts) > 1 else None, "batch_size": 8}


def as_tensors(parts):
    return as_arrays([tf.constant(part) for part in parts])


SOURCES = [
    as_dataset,
    as_dataset_of_unknown_length,
    as_one_shot_dataset,
    as_pydataset,
    as_generator,
    as_arrays,
    as_tensors,
]


def make_gan(num_classes=None):
    pair = models.build_networks(
        "dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=num_classes
    )
    gan = GAN(*pair, seed=0)
    gan.compile("sgd", "sgd", jit_compile=False)
    return gan


@pytest.fixture(autouse=True)
def delete_iterators():
    """Deletes iterators of generators after each test, as many at once take half a minute."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def gan():
    """Returns a GAN that many tests share."""
    return make_gan()


@pytest.fixture(scope="module")
def conditional():
    """Returns a GAN of three classes."""
    return make_gan(num_classes=3)


def fit(gan, source):
    """Trains on a source, and returns how many steps that took."""
    before = gan.steps
    gan.fit(**source, verbose=0)
    return gan.steps - before


def assert_fit_raises(gan, source, message):
    """Checks that `fit` raises, and that no step is done."""
    before = gan.steps
    with pytest.raises(ValueError, match=message):
        gan.fit(**source, verbose=0)
    assert gan.steps == before


def as_evaluate(gan, source):
    gan.evaluate(**source, verbose=0)


def as_validation(gan, source):
    held_out = (source["x"], source["y"]) if source.get("y") is not None else source["x"]
    labels = LABELS if gan.num_classes else None
    size = source.get("batch_size")
    gan.fit(
        GOOD, labels, validation_data=held_out, batch_size=8, validation_batch_size=size, verbose=0
    )


WRONG_IMAGES = {
    "bytes": ((255 * GOOD).astype("uint8"), r"Expected images in \[0, 1\].*uint8"),
    "from -1 to 1": (2 * GOOD - 1, r"Expected images in \[0, 1\]"),
    "NaN": (np.full_like(GOOD, np.nan), r"in \[nan, nan\]"),
    "shape": (GOOD[:, :3], r"Expected images of shape \(4, 4, 1\).*\(3, 4, 1\)"),
    "channels": (np.repeat(GOOD, 3, axis=-1), r"Received: images of shape \(4, 4, 3\)"),
    "strings": (np.full(GOOD.shape, b"x"), "Expected images of floats or integers"),
    "complex": (GOOD.astype("complex64"), "Expected images of floats or integers"),
}
WRONG_LABELS = {
    "too high": (LABELS + 1, "Expected labels from 0 to 2. Received: labels from"),
    "negative": (LABELS - 1, "Expected labels from 0 to 2"),
    "too high later": (np.where(np.arange(32) < 24, LABELS, 7), "from 0 to 2.*7"),
    "floats": (LABELS.astype("float32"), "labels of dtype float32"),
    "one-hot": (np.eye(3, dtype="int32")[LABELS], r"pass labels.argmax\(-1\)"),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("wrong", WRONG_IMAGES)
def test_fit_raises_for_wrong_images_from_any_source(gan, source, wrong):
    images, message = WRONG_IMAGES[wrong]
    if wrong == "strings" and source is as_tensors:
        pytest.skip("Keras takes no tensors of strings")
    assert_fit_raises(gan, source([images]), message)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("wrong", WRONG_LABELS)
def test_fit_raises_for_wrong_labels_from_any_source(conditional, source, wrong):
    labels, message = WRONG_LABELS[wrong]
    with pytest.raises(ValueError, match=message):
        fit(conditional, source([GOOD, labels]))


@pytest.mark.parametrize("use", [as_evaluate, as_validation])
@pytest.mark.parametrize("source", SOURCES)
def test_evaluate_and_validation_check_data_from_any_source(gan, conditional, source, use):
    with pytest.raises(ValueError, match=r"Expected images in \[0, 1\]"):
        use(gan, source([2 * GOOD - 1]))
    with pytest.raises(ValueError, match="from 0 to 2.*7"):
        use(conditional, source([GOOD, WRONG_LABELS["too high later"][0]]))


@pytest.mark.parametrize("source", SOURCES)
def test_fit_raises_for_missing_labels_from_any_source(conditional, source):
    assert_fit_raises(conditional, source([GOOD]), "Expected an integer label for each image")


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
@pytest.mark.parametrize("source", SOURCES)
def test_fit_uses_all_batches_of_any_source(conditional, source, shape):
    assert fit(conditional, source([GOOD, LABELS.reshape(shape)])) == 4


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_sample_accepts_the_labels_of_fit(conditional, shape):
    assert conditional.sample(3, labels=np.array([0, 1, 2]).reshape(shape)).shape == (3, 4, 4, 1)


def test_fit_fills_a_shuffle_buffer_once(gan):
    drawn = []

    def count(x):
        tf.py_function(lambda: drawn.append(1), [], [])
        return x

    dataset = tf.data.Dataset.from_tensor_slices(GOOD).map(count).shuffle(32).batch(8)
    gan.fit(dataset, verbose=0)
    assert len(drawn) == 32


STRUCTURES = {
    "dict": (
        lambda: tf.data.Dataset.from_tensors({"image": GOOD, "label": LABELS}),
        r"map\(lambda",
    ),
    "nested": (lambda: tf.data.Dataset.from_tensors(((GOOD, GOOD), LABELS)), "Map them"),
    "four": (lambda: tf.data.Dataset.from_tensors((GOOD,) * 4), "a tuple of 4"),
    "dict of arrays": (lambda: {"image": GOOD}, r"keys \['image'\]"),
    "list": (lambda: [GOOD], "a list of 1"),
    "pair": (lambda: (GOOD, LABELS), r"fit\(images, labels\)"),
    "nothing": (lambda: None, "Received: None"),
    "single images": (
        lambda: tf.data.Dataset.from_tensor_slices(GOOD),
        r"which are single images. Call dataset.batch\(32\)",
    ),
    "generator of dicts": (lambda: ({"image": GOOD} for _ in range(2)), "Map them|map"),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_fit_raises_for_other_structures_with_a_remedy(gan, structure):
    make, message = STRUCTURES[structure]
    assert_fit_raises(gan, {"x": make()}, message)


@pytest.mark.parametrize("shape", [None, (None, None, 1), (None, None, None, 1), (8, None, 4, 1)])
def test_fit_accepts_images_of_unknown_static_shape(gan, shape):
    if shape is not None and len(shape) == 3:
        shape = (None, *shape)

    def decode(i):
        images = tf.numpy_function(lambda i: GOOD[8 * i : 8 * i + 8], [i], tf.float32)
        images.set_shape(shape)
        return images

    assert fit(gan, {"x": tf.data.Dataset.range(4).map(decode)}) == 4


def test_fit_raises_when_a_filter_leaves_nothing(gan):
    dataset = tf.data.Dataset.from_tensor_slices(GOOD).filter(lambda _: False).batch(8)
    assert_fit_raises(gan, {"x": dataset}, "Expected at least one batch")


def test_fit_raises_for_a_dataset_of_another_range_or_too_many_classes(gan, conditional):
    other_range = data.make_dataset(2 * GOOD - 1, 8, value_range=(-1, 1))
    assert_fit_raises(gan, {"x": other_range}, r"Expected images in \[0, 1\]")
    late = np.where(np.arange(32) < 24, LABELS, 7)
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        conditional.fit(data.make_dataset(GOOD, 8, labels=late), verbose=0)
