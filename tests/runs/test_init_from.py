"""Runs that begin with the weights of a trained GAN."""

import dataclasses
import re

import numpy as np
import pytest

from fashion_gan import GAN, hub
from fashion_gan.cli.main import main
from fashion_gan.models import projected_discriminator
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import DatasetInfo, RunDirectory
from fashion_gan.runs.init_from import init_from
from fashion_gan.runs.presets import PRESETS
from fashion_gan.runs.train import check_configs, train_run

INFO = DatasetInfo((8, 8, 1), 140, None)
CONFIG = Config(
    batch_size=140,
    latent_dim=4,
    epochs=1,
    eval_freq=0,
    on_collapse="off",
    jit_compile=False,
    ema_decay=0.9,
)


def weights(network):
    return network.get_weights()


def assert_equal(ones, others, equal=True):
    pairs = zip(ones, others, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs) == equal


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a `.keras` file of a GAN with an average that differs from its generator."""
    path = tmp_path_factory.mktemp("init") / "trained.keras"
    gan = build_gan(dataclasses.replace(CONFIG, seed=1), INFO)
    for number, weight in enumerate(gan.ema_generator.weights):
        weight.assign_add(np.full(weight.shape, 0.01 * (number + 1)))
    images = np.random.default_rng(0).random((140, 8, 8, 1), dtype="float32")
    gan.fit(images, batch_size=140, verbose=0)
    gan.save(path)
    return path


def test_init_from_copies_both_networks_and_the_average(trained):
    source, gan = checkpoints.load(trained), build_gan(CONFIG, INFO)
    optimizers = [variable.numpy() for variable in gan.optimizer.variables]
    init_from(gan, str(trained))
    for name in ("generator", "discriminator", "ema_generator"):
        assert_equal(weights(getattr(gan, name)), weights(getattr(source, name)))
    assert_equal(weights(gan.generator), weights(gan.ema_generator), equal=False)
    assert (source.steps, gan.steps) == (1, 0)
    assert_equal([variable.numpy() for variable in gan.optimizer.variables], optimizers)


def test_init_from_starts_the_average_at_the_generator_without_a_source_average(tmp_path):
    source = build_gan(dataclasses.replace(CONFIG, seed=1, ema_decay=0.0), INFO)
    source.save(tmp_path / "plain.keras")
    gan = build_gan(CONFIG, INFO)
    init_from(gan, str(tmp_path / "plain.keras"))
    assert_equal(weights(gan.ema_generator), weights(source.generator))


def test_init_from_raises_for_a_generator_without_a_discriminator():
    gan, lines = build_gan(Config()), []
    before = weights(gan.discriminator)
    init_from(gan, "dense", lines.append)
    assert_equal(weights(gan.generator), weights(GAN.from_preset("dense").generator))
    assert_equal(weights(gan.discriminator), before)
    assert lines == ["dense has no such discriminator. The run starts with an untrained one."]


@pytest.mark.parametrize("projected", [True, False])
def test_init_from_emoji_copies_its_discriminator_if_it_fits(projected):
    config = dataclasses.replace(PRESETS["projected"], data="own", projected=projected)
    gan, lines = build_gan(config, DatasetInfo((32, 32, 3), 140, None)), []
    before = weights(gan.discriminator)
    init_from(gan, "emoji", lines.append)
    assert_equal(weights(gan.generator), weights(GAN.from_preset("emoji").generator))
    if projected:
        packed = hub.pretrained_weights("emoji", "discriminator")
        assert_equal(weights(gan.discriminator), [weight.astype("float32") for weight in packed])
        assert lines == []
    else:
        assert_equal(weights(gan.discriminator), before)
        assert "no such discriminator" in lines[0]


@pytest.mark.parametrize(
    ("settings", "size", "expected"),
    [
        ({}, 32, "weights of emoji"),
        ({}, 64, "weights of emoji"),
        ({"conditional": True}, 32, "weights of emoji"),
        ({}, 16, "weights of emoji"),
        ({}, 48, "weights of emoji"),
        ({"width": 32}, 16, "random weights"),
        ({"model": "convnet"}, 48, "random weights"),
        ({"width": 32}, 32, "random weights"),
    ],
)
def test_init_from_auto_copies_the_weights_of_emoji_if_they_fit(settings, size, expected):
    config = dataclasses.replace(PRESETS["projected"], data="own", **settings)
    gan, lines = build_gan(config, DatasetInfo((size, size, 3), 140, ("a", "b"))), []
    before = weights(gan.generator), weights(gan.discriminator)
    init_from(gan, config.init_from, lines.append)
    assert lines[0].startswith(f"start          {expected}")
    if expected == "random weights":
        assert_equal((*weights(gan.generator), *weights(gan.discriminator)), sum(before, []))
        return
    explicit = build_gan(config, DatasetInfo((size, size, 3), 140, ("a", "b")))
    init_from(explicit, "emoji")
    assert_equal(weights(gan.generator), weights(explicit.generator))
    assert_equal(weights(gan.discriminator), weights(explicit.discriminator))
    assert_equal(weights(gan.discriminator), before[1], equal=False)


def first_kernels(gan):
    """Returns the kernel of the layer of latents and one-hot labels, and its average."""
    names = [weight.path for weight in gan.generator.weights]
    index = next(i for i, name in enumerate(names) if "stage_1_dense/kernel" in name)
    return weights(gan.generator)[index], weights(gan.ema_generator)[index]


def test_init_from_copies_the_rows_for_latents_if_only_one_gan_has_classes(tmp_path):
    plain, lines = small(32, seed=1), []
    for weight in plain.ema_generator.weights:
        weight.assign_add(np.full(weight.shape, 0.01))
    plain.save(tmp_path / "plain.keras")
    classes = small(32, conditional=True)
    before = first_kernels(classes)[0]
    init_from(classes, str(tmp_path / "plain.keras"), lines.append)
    assert "generates images of 32x32 without classes" in lines[0]
    copied = plain.generator.count_params() / classes.generator.count_params()
    assert f"{copied:.0%} of the weights of the generator" in lines[0]
    for kernel, expected in zip(first_kernels(classes), first_kernels(plain), strict=True):
        np.testing.assert_array_equal(kernel, [*expected, *before[4:]])
    assert_equal(weights(classes.generator)[1:], weights(plain.generator)[1:])
    classes.save(tmp_path / "classes.keras")
    again = small(32, seed=2)
    init_from(again, str(tmp_path / "classes.keras"))
    for kernel, expected in zip(first_kernels(again), first_kernels(plain), strict=True):
        np.testing.assert_array_equal(kernel, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"latent_dim": 5},
            r"shape \(5, \d+\) for the layer \S*dense\S* of the generator. "
            r"Received: weights of shape \(4, \d+\) of the layer \S*dense\S* in .*trained.keras",
        ),
        ({"model": "convnet"}, r"of the generator. Received: weights of shape .* in .*trained"),
    ],
    ids=["latents", "model"],
)
def test_init_from_raises_with_the_first_differing_layer(trained, changes, message):
    gan = build_gan(dataclasses.replace(CONFIG, **changes), INFO)
    before = weights(gan.generator)
    with pytest.raises(ValueError, match=message):
        init_from(gan, str(trained))
    assert_equal(weights(gan.generator), before)


def small(size=16, **settings):
    """Returns a compiled GAN of the model fastgan, whose networks depend little on the size."""
    config = dataclasses.replace(CONFIG, data="own", model="fastgan", width=8, **settings)
    return build_gan(config, DatasetInfo((size, size, 3), 140, ("a", "b")))


def test_init_from_copies_the_layers_that_networks_of_another_size_have_in_common(tmp_path):
    trained = small(32, seed=1)
    for number, weight in enumerate(trained.ema_generator.weights):
        weight.assign_add(np.full(weight.shape, 0.01 * (number + 1)))
    trained.save(tmp_path / "trained.keras")
    gan, lines = small(64), []
    before = {layer.name: layer.get_weights() for layer in gan.generator.layers}
    d_before = weights(gan.discriminator)
    init_from(gan, str(tmp_path / "trained.keras"), lines.append)
    assert re.fullmatch(
        r"\S*trained.keras generates images of 32x32 without classes. It provides \d\d% of the "
        r"weights of the generator, and 0% of those of the discriminator.",
        lines[0],
    )
    old = {layer.name: layer for layer in trained.generator.layers}
    averages = dict(zip(map(id, gan.generator.weights), weights(gan.ema_generator), strict=True))
    trained_averages = dict(
        zip(map(id, trained.generator.weights), weights(trained.ema_generator), strict=True)
    )
    copied = set()
    for layer in filter(lambda layer: layer.weights, gan.generator.layers):
        if any(stage in layer.name for stage in ("stage_1", "stage_2", "stage_3")) or (
            layer.name in ("stage_4_conv", "stage_4_norm")
        ):
            copied.add(layer.name)
            assert_equal(layer.get_weights(), old[layer.name].get_weights())
            for weight, trained_weight in zip(layer.weights, old[layer.name].weights, strict=True):
                average, expected = averages[id(weight)], trained_averages[id(trained_weight)]
                np.testing.assert_array_equal(average, expected)
        elif "stage_5" in layer.name or "stage" not in layer.name:
            assert_equal(layer.get_weights(), before[layer.name])
    assert {"stage_1_dense", "stage_2_conv", "stage_3_norm"} <= copied
    assert_equal(weights(gan.discriminator), d_before)


def test_init_from_copies_the_heads_for_feature_maps_to_another_size():
    config = dataclasses.replace(PRESETS["projected"], data="own")
    gan, lines = build_gan(config, DatasetInfo((64, 64, 3), 140, None)), []
    init_from(gan, "emoji", lines.append)
    assert "emoji generates images of 32x32 without classes. It provides 9" in lines[0]
    packed = projected_discriminator((32, 32, 3))
    packed.set_weights(hub.pretrained_weights("emoji", "discriminator"))
    for layer in filter(lambda layer: layer.weights, packed.layers):
        if layer.name.startswith("map"):
            other = gan.discriminator.get_layer(layer.name)
            assert_equal(other.get_weights(), layer.get_weights())


def test_init_from_raises_for_another_size_without_the_needed_layers(tmp_path):
    message = r"28, 1. without classes, as dense generates.*without common layers.*size 28x28"
    with pytest.raises(ValueError, match=message):
        init_from(build_gan(CONFIG, INFO), "dense")
    gray = build_gan(
        dataclasses.replace(CONFIG, model="convnet"), DatasetInfo((32, 32, 1), 9, None)
    )
    with pytest.raises(ValueError, match=r"Received: .*32, 32, 1.*with --channels 3, or omit"):
        init_from(gray, "emoji")
    classes = build_gan(
        dataclasses.replace(CONFIG, model="convnet", conditional=True),
        DatasetInfo((32, 32, 3), 140, ("a", "b")),
    )
    with pytest.raises(ValueError, match=r"of 2 classes, .*Pass --no-conditional, or omit"):
        init_from(classes, "emoji")
    three = build_gan(
        dataclasses.replace(CONFIG, model="convnet", conditional=True),
        DatasetInfo((32, 32, 3), 140, ("a", "b", "c")),
    )
    classes.save(tmp_path / "classes.keras")
    with pytest.raises(ValueError, match=r"of 3 classes, .*Use images of 2 classes, or omit"):
        init_from(three, str(tmp_path / "classes.keras"))
    small(32).save(tmp_path / "trained.keras")
    gan = small(64, freeze_d=2)
    before = weights(gan.generator)
    with pytest.raises(ValueError, match="layer conv2d.*, which freeze_d keeps. Received: init"):
        init_from(gan, str(tmp_path / "trained.keras"))
    assert_equal(weights(gan.generator), before)


def test_freeze_d_keeps_the_first_layers_of_the_trained_discriminator(trained, tmp_path):
    config = dataclasses.replace(CONFIG, init_from=str(trained), freeze_d=2, epochs=2)
    gan = build_gan(config, INFO)
    init_from(gan, str(trained))
    before = [layer.get_weights() for layer in gan.discriminator.layers if layer.weights]
    images = np.random.default_rng(0).random((140, 8, 8, 1), dtype="float32")
    gan.fit(images, batch_size=140, epochs=2, verbose=0)
    after = [layer.get_weights() for layer in gan.discriminator.layers if layer.weights]
    assert len(before) == 3
    assert_equal(after[0] + after[1], before[0] + before[1])
    assert_equal(after[2], before[2], equal=False)
    gan.save(tmp_path / "frozen.keras")
    loaded = checkpoints.load(tmp_path / "frozen.keras")
    assert len(loaded.discriminator.trainable_weights) == 2  # kernel and bias of the last layer


def test_freeze_d_raises_for_all_layers_and_without_a_trained_discriminator():
    with pytest.raises(ValueError, match="fewer layers than the 3 of the discriminator. Received"):
        build_gan(dataclasses.replace(CONFIG, freeze_d=3), INFO)
    gan = build_gan(Config(freeze_d=1))
    before = weights(gan.generator)
    with pytest.raises(ValueError, match="'dense', which has none. Omit --freeze-d"):
        init_from(gan, "dense")
    assert_equal(weights(gan.generator), before)


def test_init_from_raises_for_an_untrained_gan(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((3, 8, 8, 1), np.uint8))
    gan = build_gan(CONFIG, INFO)
    with pytest.raises(ValueError, match="which holds images. Name a trained GAN"):
        init_from(gan, str(tmp_path / "images.npy"))
    with pytest.raises(FileNotFoundError, match="no pretrained generator of that name"):
        init_from(gan, str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="Did you mean 'emoji'"):
        init_from(gan, str(tmp_path / "emojis"))  # `train` makes paths absolute


@pytest.mark.slow
def test_train_records_init_from_and_resumes_without_the_source(
    trained, tmp_path, monkeypatch, capsys
):
    images = np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    source = tmp_path / "source.keras"
    source.write_bytes(trained.read_bytes())
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(CONFIG, data="images.npy", init_from="source.keras")
    run = RunDirectory(tmp_path / "run")
    dry = ["train", "--init-from", "source.keras", "--data", "images.npy", "--dry-run"]
    assert main([*dry, "--latent-dim", "9"]) == 2
    assert "Expected weights of shape (9, " in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"Expected weights of shape \(9, "):
        check_configs([dataclasses.replace(config, latent_dim=9)])
    train_run(config, run.path, verbose=0)
    assert run.read_config().init_from == str(source)
    begun = build_gan(config, INFO)
    init_from(begun, str(trained))
    gan = checkpoints.load(run.path)
    assert gan.steps == 1
    first, begun, untrained = (
        each.generator.get_weights()[0] for each in (gan, begun, build_gan(config, INFO))
    )
    change, other = np.abs(first - begun).max(), np.abs(first - untrained).max()
    assert 0 < change < 0.02 < other
    source.unlink()
    train_run(dataclasses.replace(config, epochs=2), run.path, resume=True, verbose=0)
    assert checkpoints.load(run.path).steps == 2
    resume = ["train", "--resume", "--run-dir", str(run.path), "--init-from", "other.keras"]
    assert main(resume) == 2
    assert "init_from was" in capsys.readouterr().err
