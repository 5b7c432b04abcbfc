"""Networks and images small enough that a test spends its time on what it tests."""

from fashion_gan.runtime import import_tensorflow_quietly

import_tensorflow_quietly()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from fashion_gan import GAN, models  # noqa: E402


def pytest_addoption(parser):
    """One flag more."""
    parser.addoption(
        "--all-combinations",
        action="store_true",
        help="every loss with every penalty in every precision, with XLA and without",
    )
    parser.addoption(
        "--all-writes", action="store_true", help="faults at every write of a training, not at some"
    )


LONG = ("test_replicas", "test_kill_a_worker", "test_kill_and_resume", "test_tensorboard_page")
SLOW = (
    *LONG,
    "test_explore",
    "test_explore_security",
    "test_memory",
    "test_peers",
    "test_replica_bytes",
    "test_sweep",
)
"""Files that start workers, kill processes, drive a browser or compare with other libraries."""


def pytest_collection_modifyitems(items):
    """Marks slow files; those of a few long tests come first, so that no process waits for them."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True)
def _fixed_seed():
    keras.utils.set_random_seed(42)


@pytest.fixture
def images():
    """64 random images in [0, 1], shape (64, 28, 28, 1)."""
    return np.random.default_rng(1).random((64, 28, 28, 1), dtype="float32")


@pytest.fixture
def make_gan():
    """A function to a compiled GAN on tiny images; arguments are those of `compile`."""

    def make(*optimizers, image_shape=(4, 4, 1), latent_dim=3, seed=0, **compile_arguments):
        generator, discriminator = models.build_networks(
            "dense", latent_dim=latent_dim, image_shape=image_shape
        )
        gan = GAN(generator, discriminator, seed=seed)
        gan.compile(*optimizers, **{"jit_compile": False, **compile_arguments})
        return gan

    return make


@pytest.fixture
def tiny_images():
    """32 random images in [0, 1], shape (32, 4, 4, 1)."""
    return np.random.default_rng(1).random((32, 4, 4, 1), dtype="float32")
