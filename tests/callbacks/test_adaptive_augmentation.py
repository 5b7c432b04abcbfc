"""Tests AdaptiveAugmentation: its measurements, its changes, and exact resume."""

import keras
import numpy as np
import pytest
from helpers import StopAt, assert_equal_states, read_state, tiny_networks

from fashion_gan import GAN, callbacks, data

RNG = np.random.default_rng(1)
TRAIN = RNG.random((32, 4, 4, 1), dtype="float32") ** 0.3  # brighter than the images held out
HELD_OUT = RNG.random((16, 4, 4, 1), dtype="float32") ** 0.7
SETTINGS = {
    "loss": "relativistic",
    "augmentations": ["mirror", {"name": "cutout", "p": 0.5}],
    "augment_p": {"name": "adaptive", "target": 0.3, "ramp_images": 400},
    "lecam": 0.1,
    "steps_per_execution": 2,
}


def prefer_bright_images(gan):
    for weight in gan.discriminator.weights:
        if len(weight.shape) == 2:
            weight.assign(np.full(weight.shape, 0.2))


def adaptive_augmentation(**arguments):
    return callbacks.AdaptiveAugmentation(
        TRAIN, HELD_OUT, batch_size=8, **{"interval": 3, "num_images": 12, **arguments}
    )


def test_adaptive_augmentation_measures_logits_of_held_out_images(make_gan):
    gan = make_gan(**{**SETTINGS, "augmentations": ()})
    gan.fit(data.make_dataset(TRAIN, 8), callbacks=adaptive_augmentation(num_images=99), verbose=0)
    probability = gan.augment_probability
    assert int(probability.adapted_at) == 4
    logits = keras.Model(gan.discriminator.inputs, gan.discriminator.layers[-1].output)

    def mean(images):
        share = logits.predict(images, verbose=0)
        return np.log(share / (1 - share)).mean()

    generated = gan.generator(gan.draw_latents(32, gan.steps * 2)).numpy()
    train, held_out, fake = mean(TRAIN), mean(HELD_OUT), mean(generated)
    expected = (train - held_out) / (train - fake) if train > fake else 0.0
    assert float(probability.overfitting) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("brightness", "end"), [(0.0, 1.0), pytest.param(1.0, 0.0, marks=pytest.mark.slow)]
)
def test_adaptive_augmentation_increases_the_probability_when_held_out_images_look_generated(
    make_gan, brightness, end
):
    gan = make_gan("sgd", keras.optimizers.SGD(0.0), **SETTINGS)
    prefer_bright_images(gan)
    bright, other = np.ones((16, 4, 4, 1), "float32"), np.full((16, 4, 4, 1), brightness, "float32")
    adapting = callbacks.AdaptiveAugmentation(bright, other, batch_size=8, interval=1)
    logs = gan.fit(data.make_dataset(TRAIN, 8), epochs=16, callbacks=adapting, verbose=0).history
    assert logs["augment_p"][0] == pytest.approx(end * 0.02)
    assert float(gan.augment_p) == pytest.approx(end, abs=1e-5)
    assert logs["d_overfit"][-1] > 0.9 if end else abs(logs["d_overfit"][-1]) < 0.1


def test_fit_warns_if_no_callback_adapts_the_probability(make_gan, recwarn):
    dataset = data.make_dataset(TRAIN, 8, steps_per_epoch=2)
    for settings in ({"augmentations": ()}, {"augment_p": 0.5}):
        make_gan(**{**SETTINGS, **settings}).fit(dataset, verbose=0)
    gan = make_gan(**SETTINGS)
    gan.fit(dataset, callbacks=[[adaptive_augmentation()]], verbose=0)
    assert not [warning for warning in recwarn if "augment_p" in str(warning.message)]
    for listed in (None, [], keras.callbacks.CallbackList([], model=gan)):
        with pytest.warns(UserWarning, match="augment_p stays at 0, since no callback adapts it"):
            gan.fit(dataset, callbacks=listed, verbose=0)


def train(folder, *extra):
    keras.utils.set_random_seed(4)
    gan = GAN(*tiny_networks(), seed=0)
    gan.compile("sgd", "sgd", **SETTINGS, jit_compile=False)
    prefer_bright_images(gan)
    logger = callbacks.JSONLogger(folder / "metrics.jsonl")
    backup = callbacks.BackupAndRestore(folder / "backup", save_interval=0.0)
    watching = [adaptive_augmentation(), *extra, logger, backup]
    gan.fit(data.make_dataset(TRAIN, 4), epochs=4, callbacks=watching, verbose=0)
    return gan


@pytest.mark.slow
def test_fit_with_adaptive_augmentation_resumes_bit_for_bit(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped here"):
        train(tmp_path / "stopped", StopAt(14))  # within the second epoch
    resumed = train(tmp_path / "stopped")
    assert resumed.steps == 32 and 0 < float(whole.augment_p) < 1
    assert float(whole.lecam.averages[0]) != 0
    assert_equal_states(read_state(whole), read_state(resumed))
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "stopped")]
    assert lines[0] == lines[1] and '"d_overfit"' in lines[0] and '"augment_p"' in lines[0]


@pytest.mark.slow
def test_load_model_restores_the_probability_and_averages(make_gan, tmp_path):
    gan = make_gan("sgd", "sgd", **SETTINGS)
    gan.fit(data.make_dataset(TRAIN, 8), epochs=4, callbacks=adaptive_augmentation(), verbose=0)
    gan.augment_probability.probability.assign(0.3)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert float(loaded.augment_p) == pytest.approx(0.3)
    assert loaded.augment_probability.get_config()["ramp_images"] == 400
    for one in (gan, loaded):
        one.fit(data.make_dataset(TRAIN, 8), epochs=2, callbacks=adaptive_augmentation(), verbose=0)
    assert_equal_states(read_state(gan), read_state(loaded))


def test_adaptive_augmentation_raises_for_a_gan_with_a_fixed_probability(make_gan):
    gan = make_gan(augment_p=0.5)
    with pytest.raises(ValueError, match="augment_p=0.5"):
        gan.fit(TRAIN, callbacks=adaptive_augmentation(), verbose=0)


@pytest.mark.parametrize("setting", [{"interval": 0}, {"num_images": 0}, {"batch_size": 0}])
def test_adaptive_augmentation_raises_for_a_number_below_one(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        callbacks.AdaptiveAugmentation(TRAIN, HELD_OUT, **{"batch_size": 8, **setting})
