"""Tests the convolutional pairs for images of many sizes: depth, parameters and training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, models
from fashion_gan.models.blocks import image_stages

CONVOLUTIONAL = ("convnet", "fastgan", "resnet", "dcgan")
SHAPES = [
    (16, 16, 1),
    (16, 128, 3),
    (20, 32, 4),
    (28, 28, 1),
    (28, 28, 3),
    (28, 28, 4),
    (32, 20, 3),
    (36, 52, 1),
    (48, 64, 4),
    (64, 64, 3),
    (100, 60, 1),
    (128, 28, 3),
    (124, 116, 3),
    (128, 128, 4),
]
LARGEST_DENSE_LAYER = 1_000_000


def named(shape):
    return "x".join(map(str, shape))


@pytest.mark.parametrize("shape", SHAPES, ids=named)
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_build_networks_avoids_large_dense_layers_at_each_size(name, shape):
    generator, discriminator = models.build_networks(name, image_shape=shape)
    assert generator.output_shape == (None, *shape)
    assert discriminator.input_shape == (None, *shape)
    assert discriminator.output_shape == (None, 1)
    for layer in (*generator.layers, *discriminator.layers):
        if isinstance(layer, layers.Dense):
            assert np.prod(layer.kernel.shape) <= LARGEST_DENSE_LAYER, layer.name


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_build_networks_adds_a_stage_for_each_doubling(name):
    for size, stages in ((8, 2), (16, 2), (32, 3), (64, 4), (128, 5)):
        pair = models.build_networks(name, image_shape=(size, size, 1), width=4)
        doubling = (layers.Conv2DTranspose, layers.UpSampling2D)
        assert sum(isinstance(layer, doubling) for layer in pair[0].layers) == stages
        halving = [
            layer
            for layer in pair[1].layers
            if isinstance(layer, layers.AveragePooling2D)
            or (isinstance(layer, layers.Conv2D) and layer.strides == (2, 2))
        ]
        assert len(halving) == stages


@pytest.mark.parametrize(
    ("shape", "stages"),
    [
        ((4, 4, 1), [(2, 2, 8), (1, 1, 16)]),
        ((8, 8, 1), [(4, 4, 8), (2, 2, 16)]),
        ((28, 28, 1), [(14, 14, 8), (7, 7, 16)]),
        ((32, 20, 3), [(16, 10, 8), (8, 5, 16)]),
        ((36, 52, 1), [(18, 26, 8), (9, 13, 16), (5, 7, 32)]),
        ((64, 64, 3), [(32, 32, 8), (16, 16, 16), (8, 8, 32), (4, 4, 32)]),
        ((128, 128, 3), [(64, 64, 4), (32, 32, 8), (16, 16, 16), (8, 8, 32), (4, 4, 32)]),
    ],
)
def test_image_stages_halves_until_the_smaller_side_is_below_eight(shape, stages):
    assert image_stages(shape, 8) == stages


def test_convnet_keeps_its_weights_for_images_of_28_pixels():
    block = [(3, 3, 8, 8), (8,)] * 2
    half = [(3, 3, 4, 4), (4,)] * 2
    mapping = [(64, 256), (256,), (256, 256), (256,)]
    generator, discriminator = models.build_networks("convnet", width=4)
    assert [tuple(weight.shape) for weight in generator.weights] == [
        *mapping,
        *[(256, 392), (392,)],
        *(2 * block),
        *[(4, 4, 4, 8), (4,)],
        *(2 * half),
        *[(6, 6, 1, 4), (1,)],
    ]
    assert [tuple(weight.shape) for weight in discriminator.weights] == [
        *[(6, 6, 1, 4), (4,)],
        *[(4, 4, 4, 8), (8,)],
        *(2 * block),
        *[(441, 1), (1,)],
    ]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30, 30, 1), "which is 30x30. Resize .* --image-size 28 or 32."),
        ((30, 28, 3), "which is 28x30. Resize .* --image-size 28 or 28x32."),
        ((50, 20, 4), "which is 20x50. Resize .* --image-size 20x48 or 20x52."),
        ((2, 9, 1), "which is 9x2. Resize .* --image-size 8x4 or 12x4."),
        ((3, 3, 1), "which is 3x3. Resize .* --image-size 4."),
    ],
)
@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "infogan"])
def test_build_networks_raises_with_the_nearest_sizes_for_an_indivisible_side(name, shape, message):
    with pytest.raises(ValueError, match=f"multiples of 4. Received: .*{message}"):
        models.build_networks(name, image_shape=shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("convnet", (32, 20, 3)),
        ("resnet", (36, 52, 4)),
        ("fastgan", (48, 64, 1)),
        ("convnet", (128, 128, 4)),
    ],
    ids=str,
)
def test_fit_resumes_and_export_matches_at_each_size(name, shape, tmp_path):
    pair = models.build_networks(name, latent_dim=4, image_shape=shape, width=4, d_blocks=1)
    gan = GAN(*pair, seed=0)
    penalties = [{"name": name, "weight": 0.5} for name in ("r1", "r2")]
    gan.compile("adam", "adam", "relativistic", penalties=penalties, jit_compile=False)
    images = np.random.default_rng(0).uniform(-1, 1, (8, *shape)).astype("float32")
    history = gan.fit(images, batch_size=4, shuffle=False, verbose=0).history
    assert np.isfinite([values[-1] for values in history.values()]).all()
    gan.save(tmp_path / "gan.keras")
    resumed = keras.saving.load_model(tmp_path / "gan.keras")
    for model in (gan, resumed):
        model.fit(images, batch_size=4, shuffle=False, epochs=2, initial_epoch=1, verbose=0)
    assert gan.steps == resumed.steps == 4
    samples = gan.sample(2, seed=1)
    np.testing.assert_array_equal(resumed.sample(2, seed=1), samples)
    assert samples.shape == (2, *shape)
    gan.export(tmp_path / "model")
    latents = np.random.default_rng(1).standard_normal((2, 4)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(latents), gan.sample(latents=latents), atol=1e-5)
