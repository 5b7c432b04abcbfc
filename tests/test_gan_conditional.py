"""Tests conditional GANs: the labels of both networks, and saving."""

import keras
import numpy as np
import pytest

from fashion_gan import GAN, models

CLASSES = 3
LABELS = np.arange(32) % CLASSES


def make(**arguments):
    keras.utils.set_random_seed(0)
    pair = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=CLASSES)
    gan = GAN(*pair, seed=0)
    gan.compile(**{"jit_compile": False, **arguments})
    return gan


@pytest.fixture(scope="module")
def gan():
    """Returns a conditional GAN that no test changes."""
    return make()


@pytest.mark.parametrize("name", models.MODELS)
def test_build_networks_supports_labels_in_every_model(name):
    generator, discriminator = models.build_networks(name, latent_dim=5, num_classes=CLASSES)
    gan = GAN(generator, discriminator)
    assert (gan.latent_dim, gan.num_classes) == (5, CLASSES)
    images = gan.sample(4, seed=0)
    assert discriminator([images, np.arange(4) % CLASSES]).shape == (4, 1)


def test_fit_and_evaluate_accept_a_smaller_last_batch():
    images = np.random.default_rng(0).random((30, 4, 4, 1), dtype="float32")
    gan = make()
    gan.fit(images, LABELS[:30], batch_size=8, verbose=0)
    assert gan.steps == 4
    assert np.isfinite(gan.evaluate(images, LABELS[:30], batch_size=8, verbose=0)).all()


def test_networks_depend_on_labels(gan):
    latents = np.ones((CLASSES, 3))
    images = gan.sample(latents=latents, labels=[0, 1, 2])
    assert len(np.unique(images.reshape(CLASSES, -1), axis=0)) == CLASSES
    np.testing.assert_array_equal(gan.sample(latents=latents, labels=1)[0], images[1])
    np.testing.assert_array_equal(gan.sample(latents=latents), images)
    one = np.repeat(images[:1], CLASSES, axis=0)
    assert len(np.unique(gan.discriminator([one, np.arange(CLASSES)]))) == CLASSES


def test_discriminator_matches_the_projection_formula(gan):
    d = gan.discriminator
    images = np.random.default_rng(0).random((5, 4, 4, 1)).astype("float32")
    labels = np.array([0, 1, 2, 1, 0])
    features = d.get_layer("features")(images).numpy()
    kernel, bias = (w.numpy() for w in d.get_layer("any_class").weights)
    embedding = d.get_layer("judged_class").get_weights()[0]
    expected = features @ kernel[:, 0] + bias + (features * embedding[labels]).sum(axis=1)
    np.testing.assert_allclose(d([images, labels])[:, 0], expected, atol=1e-5)


def test_fit_depends_on_labels(tiny_images):
    one, other = make(), make()
    one.fit(tiny_images, LABELS, batch_size=8, shuffle=False, verbose=0)
    other.fit(tiny_images, LABELS[::-1].copy(), batch_size=8, shuffle=False, verbose=0)
    weights = [gan.discriminator.get_layer("judged_class").get_weights()[0] for gan in (one, other)]
    assert np.abs(weights[0] - weights[1]).max() > 1e-4


def test_load_model_restores_a_conditional_gan(tiny_images, tmp_path):
    gan = make(ema_decay=0.9, replay=64, d_steps=2)
    gan.fit(tiny_images, LABELS, batch_size=8, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.num_classes == CLASSES
    np.testing.assert_array_equal(loaded.sample(6, seed=1), gan.sample(6, seed=1))
    assert gan.evaluate(tiny_images, LABELS, batch_size=8, verbose=0) == pytest.approx(
        loaded.evaluate(tiny_images, LABELS, batch_size=8, verbose=0)
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "integer label for each image.*Received: no labels"),
        (np.full(32, CLASSES), f"labels from 0 to {CLASSES - 1}.*from 3 to 3"),
        (LABELS.astype("float32"), "labels of dtype float32"),
        (LABELS[:8], "shape \\(8,\\)"),
        (np.eye(CLASSES, dtype="int32")[LABELS], "shape \\(32, 3\\). For one-hot labels"),
    ],
)
def test_fit_raises_for_wrong_labels(gan, tiny_images, labels, message):
    with pytest.raises(ValueError, match=message):
        gan.fit(tiny_images, labels, batch_size=8, verbose=0)


def test_sample_raises_for_wrong_labels(gan):
    with pytest.raises(ValueError, match="labels from 0 to 2. Received: labels from 3 to 3"):
        gan.sample(2, labels=3)
    with pytest.raises(ValueError, match="integer for each of 2 images. .*shape \\(3,\\)"):
        gan.sample(2, labels=[0, 1, 2])
    with pytest.raises(ValueError, match="shape \\(2, 3\\). For one-hot labels"):
        gan.sample(2, labels=np.eye(CLASSES, dtype=int)[:2])
    plain = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1)))
    with pytest.raises(ValueError, match="takes none. Received: labels. Omit them"):
        plain.sample(2, labels=[0, 1])


def test_gan_raises_when_networks_differ_in_labels():
    with_labels = models.build_networks("dense", latent_dim=3, num_classes=CLASSES)
    without = models.build_networks("dense", latent_dim=3)
    with pytest.raises(ValueError, match="networks with 2 and 1 inputs"):
        GAN(with_labels[0], without[1])
    with pytest.raises(ValueError, match="take no labels. Received: num_classes=3"):
        GAN(*without, num_classes=3)
    with pytest.raises(ValueError, match="for 5 classes. Received: 'generator' for 3"):
        GAN(*with_labels, num_classes=5)


def test_evaluate_and_validation_raise_for_missing_labels(tiny_images):
    gan = make()
    with pytest.raises(ValueError, match="Expected an integer label"):
        gan.evaluate(tiny_images, verbose=0)
    with pytest.raises(ValueError, match="Expected an integer label"):
        gan.fit(tiny_images, LABELS, validation_data=(tiny_images,), verbose=0)
