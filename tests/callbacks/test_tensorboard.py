"""Tests TensorBoard: the steps of its scalars, also after interruptions."""

import re

import pytest
from helpers import ROOT, tiny_networks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fashion_gan import GAN
from fashion_gan.callbacks import ImageGrid, TensorBoard
from fashion_gan.callbacks.tensorboard import CHARTS


def steps(folder):
    accumulator = EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return {
        tag: sorted(event.step for event in accumulator.Tensors(tag))
        for tag in accumulator.Tags()["tensors"]
    }


@pytest.fixture(scope="module")
def gan():
    """Returns a GAN that several tests train."""
    gan = GAN(*tiny_networks(), seed=0)
    gan.compile("sgd", "sgd", jit_compile=False)
    return gan


def train(gan, images, folder, **arguments):
    callbacks = [TensorBoard(folder), ImageGrid(folder, num_images=4)]
    gan.fit(images, callbacks=callbacks, validation_data=(images,), verbose=0, **arguments)


def test_tensorboard_and_image_grid_write_each_step_once_when_epochs_are_repeated(
    gan, tiny_images, tmp_path
):
    train(gan, tiny_images, tmp_path, epochs=3)
    for part in ("train", "validation"):
        assert steps(tmp_path / part)["epoch_d_loss"] == [1, 2, 3]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2, 3]
    train(gan, tiny_images, tmp_path, initial_epoch=1, epochs=4)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2, 3, 4]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2, 3, 4]
    train(gan, tiny_images, tmp_path, epochs=2)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2]


def test_tensorboard_keeps_values_up_to_the_step_of_the_resumed_run(gan, tiny_images, tmp_path):
    arguments = {"batch_size": 8}  # 4 steps an epoch
    gan._random_state.assign([0, 0])
    for epochs in (2, 4):
        train(gan, tiny_images, tmp_path, initial_epoch=epochs - 2, epochs=epochs, **arguments)
    assert steps(tmp_path / "validation")["evaluation_d_loss_vs_iterations"] == [4, 8, 12, 16]
    gan._random_state.assign([0, 12])  # as a backup after the third epoch has it
    train(gan, tiny_images, tmp_path, initial_epoch=3, epochs=4, **arguments)
    assert steps(tmp_path / "validation")["evaluation_d_loss_vs_iterations"] == [4, 8, 12, 16]


def test_tensorboard_drops_a_truncated_event_and_keeps_earlier_ones(gan, tiny_images, tmp_path):
    train(gan, tiny_images, tmp_path, epochs=3)
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    train(gan, tiny_images, tmp_path, initial_epoch=2, epochs=3)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2, 3]


@pytest.mark.parametrize("pattern", [p for patterns in CHARTS.values() for p in patterns])
def test_custom_charts_match_logged_metrics(pattern):
    logged = re.findall(r"`(\w+)…?`", (ROOT / "docs/logs.md").read_text())
    tags = [f"epoch_{prefix}{name}" for name in logged for prefix in ("", "pixel_")]
    assert any(re.fullmatch(pattern, tag) for tag in tags)
