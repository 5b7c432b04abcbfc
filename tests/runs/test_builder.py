"""Tests build_gan."""

import dataclasses

import keras
import numpy as np
import pytest

from fashion_gan import data, models
from fashion_gan.runs.builder import build_gan, prepare
from fashion_gan.runs.config import Config


def test_build_gan_decays_learning_rates_along_a_cosine():
    config = Config(
        lr_decay_epochs=2, lr_final_scale=0.5, d_steps=2, g_optimizer="adam", beta_1=0.1
    )
    nothing = np.zeros((1000, 28, 28, 1), np.uint8)
    split = data.Split(nothing, None, nothing, None, nothing, None)
    gan = build_gan(dataclasses.replace(config, batch_size=50), split)
    later = build_gan(dataclasses.replace(config, batch_size=50, lr_decay_start=3), split)
    for optimizer, after, steps in (
        (gan.g_optimizer, 0, 20),
        (gan.d_optimizer, 0, 40),
        (later.g_optimizer, 30, 20),
        (later.d_optimizer, 60, 40),
    ):
        schedule = optimizer._learning_rate
        moments = (0, after, after + steps // 2, after + steps, 10 * steps)
        rates = [float(schedule(step)) for step in moments]
        np.testing.assert_allclose(rates, [1e-3, 1e-3, 7.5e-4, 5e-4, 5e-4], rtol=1e-5)
    assert (gan.g_optimizer.beta_1, gan.d_optimizer.name) == (0.1, "d_optimizer")


def test_build_gan_reads_augmentations_replay_and_label_flips_from_the_config():
    config = Config(
        replay_size=512,
        label_flip_rate=0.1,
        instance_noise=0.2,
        noise_epochs=3,
        cutout=0.3,
        batch_size=50,
    )
    nothing = np.zeros((1000, 28, 28, 1), np.uint8)
    gan = build_gan(config, data.Split(nothing, None, nothing, None, nothing, None))
    noise, cutout = gan.augmentations
    assert (gan.replay.capacity, gan.loss_function.label_flip_rate, cutout.strength) == (
        512,
        0.1,
        0.3,
    )
    assert (noise.stddev, noise.steps) == (0.2, 3 * 20)


def test_build_gan_reads_every_augmentation_and_the_probability_from_the_config():
    names = ("scale", "rotation", "translation", "cutout", "brightness", "contrast")
    strengths = dict.fromkeys((*names, "saturation", "hue"), 0.2)
    config = Config(augment_mirror=True, augment_p=0.7, lecam=0.1, **strengths)
    gan = build_gan(config)
    built = [type(augmentation).__name__.lower() for augmentation in gan.augmentations]
    assert built == ["mirror", *strengths]
    assert {augmentation.strength for augmentation in gan.augmentations[1:]} == {0.2}
    assert (gan.augment_p, gan.lecam.weight) == (0.7, 0.1)
    adaptive = dataclasses.replace(
        config, adaptive_augmentation=True, overfit_target=0.4, augment_ramp=900
    )
    found = build_gan(adaptive).augment_probability.get_config()
    assert (found["target"], found["ramp_images"], found["maximum"]) == (0.4, 900, 0.7)


def test_prepare_raises_when_adaptive_augmentation_has_no_held_out_images():
    nothing = np.zeros((100, 28, 28, 1), np.uint8)
    split = data.Split(nothing, None, nothing, None, nothing, None, held_out=0)
    config = Config(translation=0.1, adaptive_augmentation=True)
    with pytest.raises(ValueError, match="Expected held-out images.*--held-out"):
        prepare(config, split=split)


def test_build_gan_applies_weight_decay_without_a_gradient():
    config = Config(g_optimizer="adam", d_optimizer="adam", weight_decay=0.5)
    gan = build_gan(config)
    weight = gan.generator.trainable_variables[0]
    before = weight.numpy()
    gan.g_optimizer.apply([np.zeros_like(v) for v in gan.generator.trainable_variables])
    np.testing.assert_allclose(weight, (1 - 1e-3 * 0.5) * before, rtol=1e-5)


@pytest.mark.parametrize("model", ["convnet", "fastgan", "resnet"])
def test_build_gan_keeps_pixels_learning_at_their_limits_for_own_images(model):
    def output(config):
        return build_gan(config).generator.layers[-1].activation

    config = Config(model=model, width=4)
    assert output(config) is keras.activations.hard_tanh
    own = dataclasses.replace(config, data="images.npz")
    assert output(own) is models.inward_hard_tanh


def test_build_gan_decays_the_weights_of_penalties_along_a_cosine():
    config = Config(r1=0.5, dragan=2.0, penalty_decay_epochs=3, batch_size=50)
    nothing = np.zeros((1000, 28, 28, 1), np.uint8)
    gan = build_gan(config, data.Split(nothing, None, nothing, None, nothing, None))
    for penalty, weight in zip(gan.penalties, (0.5, 2.0), strict=True):
        weights = [float(penalty.weight_at(step)) for step in (0, 30, 60, 600)]
        np.testing.assert_allclose(weights, weight * np.array([1, 0.55, 0.1, 0.1]), rtol=1e-5)
