"""Networks and images small enough that a test spends its time on what it tests."""

import gc

import numpy as np
import pytest


def pytest_addoption(parser):
    """Adds the options that run whole sweeps of what is tested in part."""
    parser.addoption(
        "--all-combinations",
        action="store_true",
        help="every loss with every penalty in every precision, with XLA and without",
    )
    parser.addoption(
        "--all-writes", action="store_true", help="faults at every write of a training, not at some"
    )


def pytest_sessionstart(session):
    """Imports TensorFlow where tests run, before a test file does."""
    config = session.config
    distributes = getattr(config.option, "dist", "no") != "no"
    if hasattr(config, "workerinput") or not distributes:
        from fashion_gan.runtime import load_tensorflow

        load_tensorflow()


SLOW = (
    "test_replicas",
    "test_kill_a_worker",
    "test_kill_and_resume",
    "test_tensorboard_page",
    "test_demo",
    "test_demo_security",
    "test_memory",
    "test_peers",
    "test_distributed",
    "test_sweep",
    "test_storage",
)
"""Files that start workers, wait for locks, drive a browser or compare with other libraries."""
LONG = (
    *SLOW,
    "test_environment",
    "test_fault_injection",
    "test_executor",
    "test_gan_compile",
    "test_gan",
    "test_evaluator",
    "test_inputs",
    "test_mode_collapse",
    "test_backup_and_restore",
)
"""Files that take longest. They come first, so that no process waits for another at the end."""


def pytest_collection_modifyitems(items):
    """Marks slow files, and puts long files first."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish():
    """Lets the garbage collector skip modules, which it would scan at each trace."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="module")
def small_fashion_mnist():
    """Replaces Fashion-MNIST by few images for a test file."""
    from helpers import use_small_fashion_mnist

    with pytest.MonkeyPatch.context() as patch:
        use_small_fashion_mnist(patch)
        yield


@pytest.fixture(autouse=True)
def _fixed_seed():
    import keras

    keras.utils.set_random_seed(42)


@pytest.fixture(autouse=True)
def _auto_is_off(request, monkeypatch):
    """Turns XLA off for `jit_compile="auto"`, to save seconds of compiling in each test.

    Tests that ask for XLA get it. So do tests of "auto", with the marker `auto_xla`.
    """
    from fashion_gan.training import xla

    if request.node.get_closest_marker("auto_xla") is None:
        decide = xla._decide
        monkeypatch.setattr(
            xla, "_decide", lambda requested, *rest: decide(requested is True, *rest)
        )


@pytest.fixture
def make_gan():
    """Returns a function that compiles a GAN of tiny images with arguments of `compile`."""
    from helpers import tiny_networks

    from fashion_gan import GAN

    def make(*optimizers, image_shape=(4, 4, 1), latent_dim=3, seed=0, **compile_arguments):
        gan = GAN(*tiny_networks(latent_dim, image_shape), seed=seed)
        gan.compile(*optimizers, **{"jit_compile": False, **compile_arguments})
        return gan

    return make


@pytest.fixture
def tiny_images():
    """Returns 32 random images in [0, 1], of shape (32, 4, 4, 1)."""
    return np.random.default_rng(1).random((32, 4, 4, 1), dtype="float32")
