"""Tests mixed precision: a loss scale for each network, and float32 where it counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_networks

from fashion_gan import GAN, models


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


mixed = pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
half = pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)


@mixed
def test_mixed_policy_computes_layers_in_16_bits_and_outputs_and_logs_in_32(policy, tiny_images):
    gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1)))
    gan.compile(jit_compile=False)
    computed = {
        layer.compute_dtype for n in (gan.generator, gan.discriminator) for layer in n.layers
    }
    assert computed == {policy.removeprefix("mixed_"), "float32"}
    assert {w.dtype for w in (*gan.generator.weights, *gan.discriminator.weights)} == {"float32"}
    latents = tf.zeros((2, 3))
    assert gan.generator(latents).dtype == tf.float32
    assert gan.discriminator(tf.zeros((2, 4, 4, 1))).dtype == tf.float32
    assert gan._logits(tf.zeros((2, 4, 4, 1)), training=False).dtype == tf.float32
    logs = gan.train_step(tf.constant(tiny_images))
    assert {value.dtype for value in logs.values()} == {tf.float32}
    assert gan.sample(2, seed=0).dtype == np.float32


@mixed
def test_compile_scales_the_loss_of_each_network_only_in_float16(policy, make_gan):
    gan = make_gan()
    wrapped = [
        isinstance(o, keras.optimizers.LossScaleOptimizer)
        for o in (gan.g_optimizer, gan.d_optimizer)
    ]
    assert wrapped == [policy == "mixed_float16"] * 2
    assert gan.g_optimizer is not gan.d_optimizer


@half
def test_compile_keeps_a_loss_scale_optimizer(policy, make_gan):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=8)
    gan = make_gan(d_optimizer=optimizer)
    assert gan.d_optimizer is optimizer
    assert float(gan.g_optimizer.dynamic_scale) == 2**15


@pytest.mark.parametrize(
    ("overflowing", "jit_compile"),
    [
        ("discriminator", False),
        ("generator", False),
        pytest.param("generator", True, marks=pytest.mark.slow),
    ],
)
@half
def test_fit_skips_only_the_update_of_an_overflowing_network(
    policy, make_gan, tiny_images, overflowing, jit_compile
):
    def optimizer(network):
        scale = 1e38 if network == overflowing else 8.0
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=scale)

    gan = make_gan(
        g_optimizer=optimizer("generator"),
        d_optimizer=optimizer("discriminator"),
        jit_compile=jit_compile,
    )
    before = {
        name: [w.numpy() for w in getattr(gan, name).weights]
        for name in ("generator", "discriminator")
    }
    logs = gan.fit(tiny_images, batch_size=32, verbose=0).history
    for name, optimizer in (
        ("generator", gan.g_optimizer),
        ("discriminator", gan.d_optimizer),
    ):
        unchanged = [
            np.array_equal(a, b)
            for a, b in zip(before[name], getattr(gan, name).weights, strict=True)
        ]
        if name == overflowing:
            assert all(unchanged)
            assert float(optimizer.dynamic_scale) == pytest.approx(0.5e38)
            assert int(optimizer.iterations) == 0
        else:
            assert not any(unchanged)
            assert float(optimizer.dynamic_scale) == 8
            assert int(optimizer.iterations) == 1
    assert np.isfinite(logs["d_loss"] + logs["g_loss"]).all()
    assert gan.steps == 1


@half
def test_loss_scale_keeps_gradients_too_small_for_float16(policy, tiny_images):
    def move(scale):
        keras.utils.set_random_seed(0)
        gan = GAN(*tiny_networks(), seed=0)
        gan.discriminator.layers[-1].kernel.assign(1e-7 * gan.discriminator.layers[-1].kernel)
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1e6), initial_scale=scale
        )
        gan.compile("sgd", optimizer, jit_compile=False)
        first = gan.discriminator.layers[1].kernel
        before = first.numpy()
        gan.fit(tiny_images, batch_size=32, verbose=0)
        return np.abs(first.numpy() - before).max()

    assert move(2.0**15) > 100 * move(1.0)


@mixed
def test_mixed_policy_logs_match_float32_up_to_rounding(policy, make_gan, tiny_images):
    gan = make_gan()
    keras.config.set_dtype_policy("float32")
    exact = make_gan()
    exact.generator.set_weights(gan.generator.get_weights())
    exact.discriminator.set_weights(gan.discriminator.get_weights())
    logs, wanted = (g.fit(tiny_images, batch_size=32, verbose=0).history for g in (gan, exact))
    # Eight bits of mantissa; processors differ in how they sum in bfloat16.
    assert logs["d_loss"] == pytest.approx(wanted["d_loss"], rel=0.03)
    assert logs["g_loss"] == pytest.approx(wanted["g_loss"], rel=0.03)


@half
def test_load_model_resumes_a_mixed_model_bit_for_bit(policy, make_gan, tiny_images, tmp_path):
    gan = make_gan()
    gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    for model in (gan, loaded):
        model.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(gan.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(gan.d_optimizer.variables, loaded.d_optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
