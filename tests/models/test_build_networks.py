"""Tests the pairs of networks: the book's architectures, and other image sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, models


def test_dcgan_has_the_layers_of_the_book():
    generator, discriminator = models.build_networks("dcgan")
    frozen = sum(int(np.prod(w.shape)) for w in generator.non_trainable_weights)
    assert (generator.count_params(), frozen) == (840_705, 384)
    assert discriminator.count_params() == 212_865
    kinds = [type(layer) for layer in generator.layers]
    assert kinds == [
        layers.Dense,
        layers.Reshape,
        layers.BatchNormalization,
        layers.Conv2DTranspose,
        layers.BatchNormalization,
        layers.Conv2DTranspose,
    ]
    first, last = (layer for layer in generator.layers if "Conv" in type(layer).__name__)
    assert (first.activation.__name__, last.activation.__name__) == ("selu", "tanh")
    assert [layer.rate for layer in discriminator.layers if hasattr(layer, "rate")] == [0.4, 0.4]


@pytest.mark.parametrize("name", models.MODELS)
def test_build_networks_accepts_images_of_other_shapes(name):
    shape = (32, 24, 3)
    generator, discriminator = models.build_networks(name, latent_dim=5, image_shape=shape)
    images = generator(np.zeros((2, 5), "float32"))
    assert images.shape == (2, *shape)
    assert discriminator(images).shape == (2, 1)
    assert GAN(generator, discriminator).image_shape == shape


@pytest.mark.parametrize("name", ["dcgan", "infogan", "convnet", "fastgan", "resnet"])
def test_build_networks_raises_for_indivisible_sizes(name):
    with pytest.raises(ValueError, match=r"multiples of 4. Received: image_shape=\(30, 28, 1\)"):
        models.build_networks(name, image_shape=(30, 28, 1))


def test_build_networks_raises_for_unknown_names_and_arguments():
    with pytest.raises(ValueError, match="'dense' takes .*'latent_dim'.*Received: width"):
        models.build_networks("dense", width=64)
    with pytest.raises(ValueError, match="Did you mean 'resnet'"):
        models.build_networks("resnets")


def test_infogan_has_the_documented_sizes():
    generator, discriminator = models.build_networks("infogan")
    assert generator.layers[0].units == 1024
    assert generator.layers[3].units == 7 * 7 * 128
    kernels = [layer.kernel.shape for layer in discriminator.layers if hasattr(layer, "kernel")]
    assert kernels == [(4, 4, 1, 64), (4, 4, 64, 128), (7 * 7 * 128, 1024), (1024, 1)]


@pytest.mark.parametrize(
    ("shape", "small"),
    [((28, 28, 1), (7, 7)), ((32, 32, 3), (4, 4)), ((64, 48, 3), (8, 6))],
)
def test_resnet_downsamples_to_a_small_image(shape, small):
    generator, discriminator = models.build_networks(
        "resnet", image_shape=shape, width=8, g_blocks=2, d_blocks=2
    )
    reshaped = next(layer for layer in generator.layers if isinstance(layer, layers.Reshape))
    assert reshaped.target_shape == (*small, 8)
    last = next(la for la in discriminator.layers if isinstance(la, layers.DepthwiseConv2D))
    assert last.kernel_size == small


def test_fastgan_normalizes_each_stage_and_gates_the_two_largest():
    generator, _ = models.build_networks("fastgan", image_shape=(32, 32, 3), width=8)
    norms = [la for la in generator.layers if isinstance(la, layers.BatchNormalization)]
    assert [norm.gamma.shape[0] for norm in norms] == [64, 32, 16, 8]  # twice the channels
    assert all(norm.synchronized for norm in norms)
    gated = [la for la in generator.layers if isinstance(la, layers.Multiply)]
    assert [gate.output.shape[1:] for gate in gated] == [(16, 16, 8), (32, 32, 4)]
    latents = np.random.default_rng(0).normal(size=(4, 64)).astype("float32")
    before = generator(latents).numpy()
    for layer in generator.layers:
        if isinstance(layer, layers.Conv2D) and layer.activation is keras.activations.sigmoid:
            layer.bias.assign(layer.bias - 100)  # closes the gates
    closed = generator(latents).numpy()
    assert before.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(closed, np.broadcast_to(closed[:1, :1, :1], closed.shape))


@pytest.mark.parametrize(
    ("size", "channels"),
    [
        ((16, 16), [32, 16, 8]),
        ((32, 32), [32, 16, 8, 4]),
        ((64, 64), [32, 16, 8, 4, 2]),
        ((128, 64), [32, 16, 8, 4, 2]),
        ((128, 128), [32, 16, 8, 4, 2, 2]),
    ],
)
def test_fastgan_halves_the_channels_of_each_larger_stage(size, channels):
    generator, _ = models.build_networks("fastgan", image_shape=(*size, 3), width=8)
    norms = [la for la in generator.layers if isinstance(la, layers.BatchNormalization)]
    assert [norm.gamma.shape[0] // 2 for norm in norms] == channels


def test_fastgan_pools_long_features_before_its_gates():
    generator, _ = models.build_networks("fastgan", image_shape=(128, 28, 3), width=8)
    kernels = [la.kernel_size for la in generator.layers if isinstance(la, layers.Conv2D)]
    assert max(kernels) == (4, 7), "the smallest features are 32 x 7"


@pytest.mark.parametrize("name", ["convnet", "resnet"])
def test_residual_branches_start_at_zero(name):
    _, discriminator = models.build_networks(name, width=4)
    images = np.random.default_rng(0).random((4, 28, 28, 1)).astype("float32")
    before = discriminator(images).numpy()
    first, second = [
        la
        for la in discriminator.layers
        if la.__class__ is layers.Conv2D and la.kernel_size == (3, 3)
    ][:2]
    first.kernel.assign(first.kernel * 5)
    np.testing.assert_array_equal(discriminator(images), before)
    second.kernel.assign(second.kernel + 0.1)
    assert np.abs(discriminator(images) - before).max() > 1e-3


def test_minibatch_stddev_matches_the_deviation_of_its_groups():
    x = np.random.default_rng(0).random((8, 3, 2, 5)).astype("float32")
    y = models.MinibatchStdDev(4)(x).numpy()
    np.testing.assert_array_equal(y[..., :5], x)
    for group in (slice(0, 4), slice(4, 8)):
        deviation = x[group].std(axis=0).mean()
        np.testing.assert_allclose(y[group][..., 5], deviation, rtol=1e-4)
    alike = models.MinibatchStdDev(4)(np.repeat(x[:1], 4, axis=0)).numpy()
    assert alike[..., 5].max() < 1e-3 < y[..., 5].min()
    with pytest.raises(ValueError, match="multiple of 4. Received: 6"):
        models.MinibatchStdDev(4)(x[:6])
    with pytest.raises(ValueError, match="group_size=1"):
        models.MinibatchStdDev(1)


def test_convnet_uses_kernels_divisible_by_strides_and_no_normalization():
    pair = models.build_networks("convnet", width=4)
    for network in pair:
        for layer in network.layers:
            assert not isinstance(layer, layers.BatchNormalization | layers.Dropout)
            for size, stride in zip(
                getattr(layer, "kernel_size", ()), getattr(layer, "strides", ()), strict=True
            ):
                assert size % stride == 0, layer.name
    assert any(isinstance(layer, models.MinibatchStdDev) for layer in pair[1].layers)
    reshaped = next(layer for layer in pair[0].layers if isinstance(layer, layers.Reshape))
    assert reshaped.target_shape == (7, 7, 8)


def test_convnet_maps_latents_and_reaches_both_ends_of_its_range():
    generator, discriminator = models.build_networks("convnet", width=4, mapping=3)
    dense = [layer for layer in generator.layers if isinstance(layer, layers.Dense)]
    assert [layer.units for layer in dense] == [256, 256, 256, 7 * 7 * 8]
    assert GAN(generator, discriminator).value_range == (-1, 1)
    latents, last = np.random.default_rng(0).normal(size=(4, 64)), generator.layers[-1]
    last.kernel.assign(last.kernel / 1000)
    small = generator(latents).numpy()
    last.kernel.assign(last.kernel * 3 / min(small.max(), -small.min()))
    images = generator(latents).numpy()
    assert (images.min(), images.max()) == (-1, 1), "a tanh of 3 is 0.995"


def test_inward_hard_tanh_keeps_the_gradients_that_lead_into_the_range():
    x = np.array([-3.0, -3.0, -1.0, -0.5, 0.5, 1.0, 3.0, 3.0], "float32")
    upstream = np.array([2.0, -2.0, 2.0, -2.0, 2.0, -2.0, 2.0, -2.0], "float32")

    @tf.function(autograph=False)
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = models.inward_hard_tanh(x)
            loss = tf.reduce_sum(y * upstream)
        return y, tape.gradient(loss, x)

    y, gradient = compute(x)
    np.testing.assert_array_equal(y, np.clip(x, -1, 1))
    step = x - 0.1 * upstream  # leaves a limit only towards the range
    expected = np.where((np.abs(x) > 1) & (np.abs(step) > np.abs(x)), 0, upstream)
    assert (expected == 0).sum() == 2
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize(
    ("output", "learns"),
    [pytest.param("hard_tanh", False, marks=pytest.mark.slow), ("inward_hard_tanh", True)],
)
def test_generator_leaves_white_images_only_with_inward_gradients(output, learns):
    activation = getattr(models, output, output)
    generator, _ = models.build_networks(
        "convnet", latent_dim=2, image_shape=(16, 16, 1), width=4, output=activation
    )
    generator.layers[-1].bias.assign([9.0])
    latents = np.random.default_rng(0).standard_normal((4, 2)).astype("float32")
    assert (generator(latents).numpy() == 1).all()
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(30):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(generator(latents))
        optimizer.apply(
            tape.gradient(loss, generator.trainable_weights), generator.trainable_weights
        )
    assert (generator(latents).numpy() < 0.5).any() == learns
