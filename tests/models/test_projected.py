"""Tests the projected discriminator: the frozen features, the heads, and a training."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from helpers import assert_equal_states, read_state
from keras import layers

import fashion_gan
from fashion_gan import GAN, images, models, penalties
from fashion_gan.cli.generate import write_samples
from fashion_gan.models.efficientnet import LAYERS, WIDTHS, layer_outputs, load_imagenet_weights
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import DatasetInfo
from fashion_gan.training.validation import check_projector_output

NARROW = (4, 5, 6, 7)


@pytest.fixture(scope="module")
def weights():
    return load_imagenet_weights()


@pytest.fixture(scope="module")
def projector(weights):
    return models.imagenet_projector((20, 36, 3), widths=NARROW, weights=weights)


def random_images(shape=(3, 20, 36, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def enlarged(x):
    """Doubles height and width by bilinear interpolation between the centers of the pixels."""
    for axis in (1, 2):
        size = x.shape[axis]
        centers = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(centers).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = (centers - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = (1 - share) * np.take(x, low, axis) + share * np.take(x, high, axis)
    return x


def convolved(x, kernel):
    """Convolves with zero padding and stride 1, pixel by pixel of the kernel."""
    size = kernel.shape[0]
    padded = np.pad(x, [(0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)])
    height, width = x.shape[1:3]
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def test_projector_maps_match_numpy(projector, weights):
    pictures = random_images()
    inputs = keras.Input((64, 64, 3))
    network = keras.Model(inputs, list(layer_outputs(weights, inputs, LAYERS).values()))
    seen = layers.Resizing(64, 64, "bilinear")(pictures / 2 + 0.5) * 255 / 128 - 127 / 128
    found = dict(zip(WIDTHS, network(seen), strict=False))
    maps = [np.asarray(found[name], np.float64) for name in LAYERS]
    kernels = [
        np.asarray(layer.kernel, np.float64)
        for layer in projector.layers
        if isinstance(layer, layers.Conv2D) and not layer.use_bias
    ]
    single = {kernel.shape[2]: kernel for kernel in kernels if kernel.shape[0] == 1}
    wide = {kernel.shape[2:]: kernel for kernel in kernels if kernel.shape[0] == 3}
    mixed = [convolved(x, single[x.shape[3]]) for x in maps]
    for i in (2, 1, 0):
        below = convolved(enlarged(mixed[i + 1]), wide[NARROW[i + 1], NARROW[i]])
        mixed[i] = (mixed[i] + below) / np.sqrt(2)
    scaled = [x / rms for x, rms in zip(mixed, (8.7, 8.1, 6.0, 3.7), strict=True)]
    expected = np.concatenate([x.reshape(3, -1) for x in [*scaled, pictures]], axis=1)
    result = np.asarray(projector(pictures))
    assert result.shape == (3, 16 * 16 * 4 + 8 * 8 * 5 + 4 * 4 * 6 + 2 * 2 * 7 + 20 * 36 * 3)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
    assert 0.2 < result.std() < 3


def test_projector_is_frozen_and_depends_only_on_its_seed(projector, weights):
    images = random_images()
    assert not projector.trainable_variables
    for seed, equal in ((0, True), (1, False)):
        keras.utils.set_random_seed(seed + 5)
        other = models.imagenet_projector((20, 36, 3), widths=NARROW, weights=weights, seed=seed)
        assert np.array_equal(other(images), projector(images)) == equal


def test_projector_accepts_gray_images_and_other_ranges(projector, weights):
    gray = random_images((3, 20, 36, 1))
    arguments = {"widths": NARROW, "weights": weights}
    maps = np.asarray(projector(np.repeat(gray, 3, axis=-1)))[:, : -20 * 36 * 3]
    expected = np.concatenate([maps, gray.reshape(3, -1)], axis=1)
    result = models.imagenet_projector((20, 36, 1), **arguments)(gray)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    positive = models.imagenet_projector((20, 36, 1), (0.0, 1.0), **arguments)(gray / 2 + 0.5)
    np.testing.assert_allclose(positive, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(20, 36, 4\)"):
        models.imagenet_projector((20, 36, 4), **arguments)


@pytest.mark.parametrize("image_shape", [(16, 16, 1), (20, 36, 3), (96, 128, 3)])
def test_heads_depend_only_on_their_own_feature_map(image_shape):
    discriminator = models.projected_discriminator(image_shape, NARROW, width=4)
    height, width = (max(64, -(-side // 32) * 32) for side in image_shape[:2])
    sizes = [height * width * n // 4**i for i, n in enumerate(NARROW, start=2)]
    sizes.append(math.prod(image_shape))
    features = np.random.default_rng(0).normal(size=(4, sum(sizes))).astype("float32")
    before = np.asarray(discriminator(features))
    assert before.shape == (4, 5)
    for head, end in enumerate(np.cumsum(sizes)):
        changed = features.copy()
        changed[:, end - sizes[head] : end] += 1
        differs = np.any(np.asarray(discriminator(changed)) != before, axis=0)
        np.testing.assert_array_equal(differs, np.arange(5) == head)


def make_gan(heads=2, **arguments):
    """Returns a GAN whose projector computes 5 products of the pixels and whose heads are linear.

    A projector so small is compiled in a second.
    """
    keras.utils.set_random_seed(3)
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="tanh"), layers.Reshape((4, 4, 1))]
    )
    inputs = keras.Input((4, 4, 1))
    projector = keras.Model(inputs, layers.Dense(5, activation="tanh")(layers.Flatten()(inputs)))
    discriminator = keras.Sequential([layers.Input((5,)), layers.Dense(heads)])
    gan = GAN(generator, discriminator, projector=projector, seed=2)
    gan.compile(**{"jit_compile": False, **arguments})
    return gan


def still():
    return keras.optimizers.SGD(0.0)


def test_train_step_with_a_projector_matches_numpy():
    gan = make_gan(
        g_optimizer=still(),
        d_optimizer=keras.optimizers.SGD(0.1),
        loss="relativistic",
        penalties=[penalties.R1(0.6), penalties.R2(0.2)],
    )
    real = random_images((8, 4, 4, 1))
    kernel, bias = (np.asarray(w, np.float64) for w in gan.discriminator.get_weights())
    projected = [
        np.asarray(gan.projector(images), np.float64)
        for images in (real, gan(gan.draw_latents(8, 0)), gan(gan.draw_latents(8, 1)))
    ]
    reals, fakes, _ = (of @ kernel + bias for of in projected)
    logs = gan.fit(real, batch_size=8, shuffle=False, verbose=0).history
    assert logs["d_loss"][0] == pytest.approx(np.log1p(np.exp(fakes - reals)).mean(), rel=1e-5)
    # The gradient of the sum of the logits is the sum of the kernel's columns.
    norm_squared = np.square(kernel.sum(axis=1)).sum()
    assert logs["d_penalty"][0] == pytest.approx((0.6 + 0.2) / 2 * norm_squared, rel=1e-5)
    slope = -1 / (1 + np.exp(reals - fakes)) / reals.size
    gradient = projected[0].T @ slope - projected[1].T @ slope
    gradient += (0.6 + 0.2) * kernel.sum(axis=1, keepdims=True)
    kernel = kernel - 0.1 * gradient
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], kernel, atol=1e-6)
    bias = gan.discriminator.get_weights()[1]
    reals, _, fakes = (of @ kernel + bias for of in projected)
    assert logs["g_loss"][0] == pytest.approx(np.log1p(np.exp(reals - fakes)).mean(), rel=1e-5)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fit_does_not_train_the_projector(jit_compile):
    gan = make_gan(
        penalties=[penalties.WGANGP(1.0), penalties.DRAGAN(1.0, interval=2)],
        loss="hinge",
        jit_compile=jit_compile,
        augmentations=["translation"],
    )
    networks = (gan.generator, gan.discriminator, gan.projector)
    before = [network.get_weights()[0] for network in networks]
    data = random_images((32, 4, 4, 1))
    logs = gan.fit(data, batch_size=8, validation_data=(data,), verbose=0).history
    changed = [
        not np.array_equal(network.get_weights()[0], old)
        for network, old in zip(networks, before, strict=True)
    ]
    assert changed == [True, True, False]
    assert all(np.isfinite(values).all() for values in logs.values())
    assert "val_d_loss" in logs


def test_load_model_with_a_projector_resumes_bit_for_bit(tmp_path):
    data = random_images((32, 4, 4, 1))
    arguments = {"ema_decay": 0.9, "penalties": [penalties.R1(0.1)]}
    whole, half = make_gan(**arguments), make_gan(**arguments)
    whole.fit(data, batch_size=8, epochs=2, shuffle=False, verbose=0)
    half.fit(data, batch_size=8, epochs=1, shuffle=False, verbose=0)
    half.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(loaded.projector(data), half.projector(data))
    loaded.fit(data, batch_size=8, epochs=1, shuffle=False, verbose=0)
    assert_equal_states(read_state(loaded), read_state(whole))


def test_sample_keeps_the_images_with_the_largest_mean_logits_of_the_heads(tmp_path):
    gan = make_gan()
    gan.fit(random_images((8, 4, 4, 1)), batch_size=8, verbose=0)
    samples = images.to_uint8(gan.sample(10, seed=4), gan.value_range)
    kernel, bias = gan.discriminator.get_weights()
    logits = np.asarray(gan.projector(gan.sample(10, seed=4))) @ kernel + bias
    best = np.argsort(-logits.mean(axis=1))[:3]
    write_samples(gan, tmp_path / "kept.npy", 10, seed=4, keep=0.3)
    kept = {image.tobytes() for image in np.load(tmp_path / "kept.npy")}
    assert kept == {image.tobytes() for image in samples[best]}


def test_gan_raises_for_an_incompatible_projector():
    generator, _ = models.build_networks("dense")
    with pytest.raises(ValueError, match="Expected a Keras model as projector. Received: 'x'"):
        GAN(generator, keras.Sequential([layers.Dense(1)]), projector="x")
    gan = make_gan()
    with pytest.raises(ValueError, match=r"of a fixed size. Received: .*\(None, None, 3\)"):
        check_projector_output(gan.projector, (None, None, 3))
    other = keras.Sequential([layers.Input((6,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"shape \(5,\).*\(6,\)"):
        GAN(gan.generator, other, projector=gan.projector)
    several = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"one output \(batch, 1\)"):
        GAN(gan.generator, several)


def test_build_gan_builds_a_projected_discriminator_that_saves_its_features(tmp_path):
    config = Config(model="convnet", projected=True, width=4, latent_dim=8, jit_compile=False)
    info = DatasetInfo((16, 16, 3), 100, None)
    gan = build_gan(config, info)
    gan.save(tmp_path / "gan.keras")
    loaded = fashion_gan.load(tmp_path / "gan.keras")
    images = random_images((4, 16, 16, 3))
    np.testing.assert_array_equal(loaded.projector(images), gan.projector(images))


def test_heads_add_the_inner_product_of_features_and_class_embedding():
    discriminator = models.projected_discriminator((16, 16, 1), NARROW, width=4, num_classes=3)
    heads = [discriminator.get_layer(f"any_class_{i}") for i in range(5)]
    features = keras.Model(discriminator.inputs[0], [head.input for head in heads])
    inputs = np.random.default_rng(0).normal(size=(4, discriminator.input_shape[0][1]))
    labels = np.array([2, 0, 1, 2], "int32")
    result = discriminator([inputs, labels])
    expected = []
    for i, (head, x) in enumerate(zip(heads, features(inputs), strict=True)):
        kernel, bias = head.get_weights()
        (embeddings,) = discriminator.get_layer(f"judged_class_{i}").get_weights()
        x = np.asarray(x, np.float64)
        expected.append(x @ kernel[:, 0] + bias + (x * embeddings[labels]).sum(axis=1))
    np.testing.assert_allclose(result, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_fit_and_load_model_support_a_conditional_projected_discriminator(tmp_path):
    config = Config(model="convnet", projected=True, conditional=True, width=4, latent_dim=8)
    config = dataclasses.replace(config, jit_compile=False, r1=0.1, r2=0.1)
    gan = build_gan(config, DatasetInfo((16, 16, 1), 100, ("cats", "dogs")))
    data = random_images((8, 16, 16, 1)), np.arange(8, dtype="int32") % 2
    logs = gan.fit(*data, batch_size=8, verbose=0).history
    assert np.isfinite(logs["d_loss"][0]) and np.isfinite(logs["d_penalty"][0])
    gan.save(tmp_path / "gan.keras")
    loaded = fashion_gan.load(tmp_path / "gan.keras")
    assert loaded.num_classes == 2
    np.testing.assert_array_equal(loaded.sample(4, seed=1), gan.sample(4, seed=1))
