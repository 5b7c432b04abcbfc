"""Tests the monitor's advice: remedies, their numbers, and what a training already uses."""

import pytest

from fashion_gan import GAN, losses, models, penalties
from fashion_gan.callbacks.mode_collapse import _recipe
from fashion_gan.monitor import Recipe, advise

FULL = Recipe(True, 0.5, True, True, True, 1e-3, 4e-4, 20_000)


@pytest.mark.parametrize(
    ("kind", "recipe", "text"),
    [
        ("missing", FULL, "weights of 1 for R1 and R2 or learning rates of 0.0005 and 0.0002"),
        ("rotating", FULL, "learning rates of 0.0005 and 0.0002 or weights of 1 for R1 and R2"),
        (
            "discriminator saturated",
            FULL,
            "a learning rate of the discriminator of 0.0002 or weights of 1 for R1 and R2",
        ),
        (
            "discriminator at chance level",
            FULL,
            "a learning rate of the discriminator of 0.0008, penalty weights of 0.25 or a "
            "discriminator with more layers",
        ),
        (
            "oscillating",
            Recipe(),
            "lower learning rates, R1 and R2 of weight 0.5 or an EMA of the generator "
            "(ema_decay=0.999)",
        ),
    ],
)
def test_advice_gives_values_and_omits_enabled_settings(kind, recipe, text):
    assert advise(kind, recipe) == text


def test_advice_suggests_more_steps_to_a_short_training():
    assert "1,718 more steps" in advise("missing", Recipe(steps=1718))
    assert "more steps" not in advise("missing", FULL)


def test_recipe_contains_the_compile_arguments_of_a_gan():
    generator, discriminator = models.build_networks("convnet", image_shape=(16, 16, 1), width=2)
    gan = GAN(generator, discriminator, latent_dim=64)
    gan.compile("adam", "rmsprop", losses.Relativistic(), penalties=[penalties.R2(0.25)], replay=8)
    expected = Recipe(True, 0.25, False, True, True, 0.001, 0.001, 0)
    found = _recipe(gan)
    assert found.g_learning_rate == pytest.approx(0.001)
    assert found.d_learning_rate == pytest.approx(0.001)
    rates = {"g_learning_rate": 0.001, "d_learning_rate": 0.001}
    assert Recipe(**{**vars(found), **rates}) == expected


def test_recipe_is_empty_for_other_models():
    assert _recipe(object()) == Recipe()
