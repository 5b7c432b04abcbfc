"""Provides helpers for several test files: the repository's root and small networks."""

import dataclasses
import functools
import importlib.machinery
import math
import shutil
import sys
import types
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fashion_gan import data, evaluation

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(__file__).parent / "scripts"

SMALL_RUN = {"batch_size": 100, "steps_per_execution": 4, "jit_compile": False}
SMALL_RUN |= {"on_collapse": "off", "eval_freq": 1}
SMALL_RUN_FLAGS = ["--batch-size", "100", "--steps-per-execution", "4", "--jit-compile", "false"]
SMALL_RUN_FLAGS += ["--on-collapse", "off", "--eval-freq", "1"]
"""Settings of a run on `load_small_fashion_mnist`, whose epochs have 11 steps."""


def tiny_networks(latent_dim=3, image_shape=(4, 4, 1)):
    """Returns a pair of two dense layers each, which end in a sigmoid."""
    generator = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(8, activation="selu"),
            layers.Dense(math.prod(image_shape), activation="sigmoid"),
            layers.Reshape(image_shape),
        ],
        name="generator",
    )
    discriminator = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Flatten(),
            layers.Dense(8, activation="selu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="discriminator",
    )
    return generator, discriminator


def stateful_networks():
    """Returns a small pair with batch norm and dropout: every kind of state that layers have."""
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(8),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    return generator, discriminator


def linear_networks():
    """Returns a small pair whose discriminator is linear, so that its slope is its kernel."""
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    )
    discriminator = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    return generator, discriminator


def read_state(gan):
    """Returns all that training changes: weights, averages, random state and optimizer slots."""
    parts = (gan, gan.g_optimizer, gan.d_optimizer)
    return [variable.numpy() for part in parts for variable in part.variables]


def assert_equal_states(ours, theirs):
    """Checks that two lists of arrays are equal bit for bit."""
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def record_traces(gan):
    """Returns a list that grows with each trace of the train step."""
    traces, step = [], gan.train_step
    gan.train_step = lambda data: (traces.append(1), step(data))[1]
    return traces


class StopAt(keras.callbacks.Callback):
    """Raises `RuntimeError` when a number of steps is done."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps >= self.steps:
            raise RuntimeError("stopped here")


@functools.cache
def load_small_fashion_mnist():
    """Returns the first images of each part of Fashion-MNIST, 1,100 of them to train."""
    whole = data.load_fashion_mnist()
    sizes = {"train": 1100, "validation": 500, "test": 400}
    return dataclasses.replace(
        whole,
        **{
            f"{part}_{kind}": getattr(whole, f"{part}_{kind}")[:size]
            for part, size in sizes.items()
            for kind in ("images", "labels")
        },
    )


def use_small_fashion_mnist(patch):
    """Makes runs train on a part of Fashion-MNIST and evaluate on few images.

    Args:
        patch: A `pytest.MonkeyPatch`.
    """
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    split = load_small_fashion_mnist()
    patch.setattr(data, "load_fashion_mnist", lambda *_, **__: split)
    patch.setattr(evaluation, "QUICK", small)
    patch.setattr(evaluation, "FULL", dataclasses.replace(small, count=400, bins=5))


class Hub:
    """Mocks the APIs of huggingface_hub and kagglehub, with a folder for each model."""

    def __init__(self, root):
        self.root, self.calls = root, []

    def create_repo(self, repo_id, exist_ok):
        self.calls.append(("create", repo_id, exist_ok))

    def upload_folder(self, repo_id, folder_path):
        shutil.copytree(folder_path, self.root / repo_id)

    def snapshot_download(self, repo_id, allow_patterns):
        self.calls.append(("download", repo_id, tuple(allow_patterns)))
        return str(self.root / repo_id)

    def model_upload(self, handle, folder):
        self.upload_folder(handle, folder)

    def model_download(self, handle):
        return str(self.root / handle)


def stand_in_for_hub(patch, package, root):
    """Replaces the package `huggingface_hub` or `kagglehub` by a `Hub`, and returns it.

    Args:
        patch: A `pytest.MonkeyPatch`.
        package: Name of the package.
        root: Folder for the uploaded models.
    """
    stand_in, module = Hub(root), types.ModuleType(package)
    module.__spec__ = importlib.machinery.ModuleSpec(package, None)
    for name in dir(stand_in):
        if not name.startswith("_"):
            setattr(module, name, getattr(stand_in, name))
    patch.setitem(sys.modules, package, module)
    return stand_in
