"""Tests GAN.compile: losses, penalties, precision, XLA, steps and gradient norms together."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import linear_networks, record_traces, tiny_networks
from keras import layers

from fashion_gan import GAN, losses, models, penalties

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def pytest_generate_tests(metafunc):
    """Uses each loss, penalty and policy, and all penalties with XLA; or combines all of them."""
    if metafunc.function is not test_fit_keeps_weights_finite_and_traces_once:
        return
    names, kinds = list(losses.LOSSES), list(penalties.PENALTIES)
    if metafunc.config.getoption("all_combinations"):
        singles = [[kind] for kind in kinds]
        cases = list(itertools.product(names, singles, POLICIES, [False, True]))
    else:
        cases = [
            (name, [kinds[(i + i // 4) % 4]], POLICIES[i % 3], False)
            for i, name in enumerate(names)
        ]
        cases += [
            ("relativistic", kinds, "mixed_float16", True),
            ("wasserstein", ["wgan_gp"], "mixed_bfloat16", True),
        ]
    ids = ["-".join([loss, *some, policy, "xla" * xla]) for loss, some, policy, xla in cases]
    cases[-2:] = [pytest.param(*case, marks=pytest.mark.slow) for case in cases[-2:]]
    metafunc.parametrize(("loss", "kinds", "policy", "xla"), cases, ids=ids)


def test_fit_keeps_weights_finite_and_traces_once(tiny_images, loss, kinds, policy, xla):
    keras.config.set_dtype_policy(policy)
    try:
        gan = GAN(*tiny_networks(), seed=0)
        weights = [
            {"name": kind, "weight": 0.5, "interval": 1 if kind in ("r1", "r2") else 2}
            for kind in kinds
        ]
        gan.compile(loss=loss, penalties=weights, ema_decay=0.9, jit_compile=xla)
        traces = record_traces(gan)
        logs = gan.fit(tiny_images[:24], batch_size=8, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert gan.steps == 3
    assert len(traces) == 1
    assert logs["d_penalty"][0] > 0
    assert all(np.isfinite(value).all() for value in logs.values())
    assert all(np.isfinite(variable).all() for variable in gan.variables)


def test_fit_applies_the_gradient_of_a_penalty(tiny_images):
    # R1 of a linear discriminator is the weight decay of its kernel.
    kernels = {}
    for weight, interval in ((0.0, 1), (0.5, 1), (0.5, 3)):
        keras.utils.set_random_seed(1)
        gan = GAN(*linear_networks(), seed=0)
        sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))
        gan.compile(*sgd, penalties=[penalties.R1(weight, interval)], jit_compile=False)
        before = gan.discriminator.layers[-1].kernel.numpy()
        logs = gan.fit(tiny_images[:8], batch_size=8, verbose=0).history
        kernels[weight, interval] = gan.discriminator.layers[-1].kernel.numpy()
        if weight:
            decayed = kernels[0.0, 1] - 0.1 * weight * interval * before
            np.testing.assert_allclose(kernels[weight, interval], decayed, atol=1e-6)
            penalty = pytest.approx(interval * weight / 2 * (before**2).sum(), rel=1e-5)
            assert logs["d_penalty"][0] == penalty
            second = gan.fit(tiny_images[:8], batch_size=8, verbose=0).history["d_penalty"][0]
            assert (second == 0) == (interval == 3), "a lazy penalty rests in the second step"


class Counter(layers.Layer):
    """Counts how often it is run through."""

    runs = 0

    def call(self, x):
        self.runs += 1
        return x


class OwnR1(penalties.R1):
    def sample_points(self, real, fake, uniform):
        return tf.identity(real)


class OwnR2(penalties.R2):
    def sample_points(self, real, fake, uniform):
        return tf.identity(fake)


@pytest.mark.parametrize(("norm", "passes"), [(layers.LayerNormalization, 2), (None, 4)])
def test_fit_computes_r1_and_r2_in_the_pass_of_the_loss(tiny_images, norm, passes):
    made = []
    for both in ([penalties.R1(3.0), penalties.R2(2.0)], [OwnR1(3.0), OwnR2(2.0)]):
        keras.utils.set_random_seed(1)
        generator, _ = linear_networks()
        hidden = [layers.Flatten(), layers.Dense(12, activation="tanh"), counter := Counter()]
        hidden += [norm() if norm else layers.BatchNormalization(), models.MinibatchStdDev()]
        discriminator = keras.Sequential([layers.Input((4, 4, 1)), *hidden, layers.Dense(1)])
        gan = GAN(generator, discriminator, seed=0)
        gan.compile("adam", "adam", penalties=both, run_eagerly=True)
        counter.runs = 0
        logs = gan.fit(tiny_images[:8], batch_size=8, verbose=0).history
        made.append((logs["d_penalty"][0], discriminator.get_weights(), counter.runs))
    (shared, weights, runs), (apart, same, more) = made
    assert (runs, more) == (passes, 4), "two phases, and two penalties unless they share the first"
    assert shared == pytest.approx(apart, rel=1e-6)
    for a, b in zip(weights, same, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", [penalties.R1, OwnR1], ids=["shared pass", "own pass"])
def test_fit_follows_the_schedule_of_a_penalty_weight(kind, tiny_images, tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(0.8, 4, alpha=0.25)
    gan = GAN(*linear_networks(), seed=0)
    sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    gan.compile(*sgd, penalties=[kind(schedule)], jit_compile=False)
    logs = gan.fit(tiny_images[:8], batch_size=8, epochs=4, verbose=0).history
    if kind is penalties.R1:  # the other class is not registered
        gan.save(tmp_path / "gan.keras")
        gan = keras.saving.load_model(tmp_path / "gan.keras")
    more = gan.fit(tiny_images[:8], batch_size=8, epochs=2, verbose=0).history
    progress = np.minimum(np.arange(6), 4) / 4
    weights = 0.8 * (0.75 * (1 + np.cos(np.pi * progress)) / 2 + 0.25)
    norm_squared = (gan.discriminator.layers[-1].kernel.numpy() ** 2).sum()
    np.testing.assert_allclose(
        logs["d_penalty"] + more["d_penalty"], weights / 2 * norm_squared, rtol=1e-5
    )


def test_relativistic_losses_match_numpy(tiny_images):
    gan = GAN(*linear_networks(), seed=0)
    sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    gan.compile(*sgd, loss="relativistic", jit_compile=False)
    logs = gan.fit(tiny_images[:8], batch_size=8, shuffle=False, verbose=0).history
    real = gan.discriminator(tiny_images[:8]).numpy()
    first, second = (gan.discriminator(gan(gan.draw_latents(8, i))).numpy() for i in (0, 1))
    assert logs["d_loss"][0] == pytest.approx(np.log1p(np.exp(first - real)).mean(), rel=1e-5)
    assert logs["g_loss"][0] == pytest.approx(np.log1p(np.exp(real - second)).mean(), rel=1e-5)


def test_fit_updates_the_discriminator_d_steps_times_on_parts_of_the_batch(tiny_images):
    gan, single = (GAN(*linear_networks(), seed=0) for _ in range(2))
    for network in ("generator", "discriminator"):
        getattr(single, network).set_weights(getattr(gan, network).get_weights())
    still, sgd = keras.optimizers.SGD, lambda: keras.optimizers.SGD(0.1)
    gan.compile(still(0.0), sgd(), d_steps=4, jit_compile=False)
    single.compile(still(0.0), sgd(), jit_compile=False)
    gan.fit(tiny_images, batch_size=32, shuffle=False, verbose=0)
    latents = [gan.draw_latents(8, index) for index in range(4)]
    single.draw_latents = lambda size, index: tf.gather(tf.stack(latents), index // 2)
    single.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
    assert (gan.steps, single.steps) == (1, 4)
    assert int(gan.d_optimizer.iterations) == int(single.d_optimizer.iterations) == 4
    assert int(gan.g_optimizer.iterations) == 1
    for a, b in zip(gan.discriminator.weights, single.discriminator.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fit_raises_when_a_batch_does_not_divide_into_d_steps(make_gan, tiny_images):
    with pytest.raises(ValueError, match="d_steps=3 updates .* a batch of 8"):
        make_gan(d_steps=3).fit(tiny_images, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="d_steps=0"):
        make_gan(d_steps=0)


@pytest.mark.parametrize("d_steps", [1, 2])
def test_fit_with_accumulated_gradients_equals_the_whole_batch(tiny_images, d_steps):
    def trained(accumulate):
        keras.utils.set_random_seed(1)
        gan = GAN(*linear_networks(), seed=0)
        gan.compile(
            keras.optimizers.SGD(0.2),
            keras.optimizers.SGD(0.1),
            "relativistic",
            penalties=[penalties.R1(0.5), penalties.R2(0.5)],
            d_steps=d_steps,
            accumulate=accumulate,
            log_gradients=True,
            run_eagerly=True,
        )
        whole, calls = gan.draw_latents, itertools.count()

        def draw_latents(size, index):
            next(calls)
            update, part = divmod(int(index), accumulate)
            return whole(size * accumulate, update)[part * size :][:size]

        gan.draw_latents = draw_latents
        logs = gan.fit(tiny_images, batch_size=16, epochs=2, shuffle=False, verbose=0).history
        return gan, logs, next(calls)

    (gan, logs, draws), (single, expected, single_draws) = trained(4), trained(1)
    assert gan.steps == single.steps == len(tiny_images) // 16 * 2
    assert draws == 4 * single_draws, "each part has latents of its own"
    assert int(gan.d_optimizer.iterations) == int(single.d_optimizer.iterations)
    for a, b in zip(gan.weights, single.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    by_batch = ("d_accuracy_real", "d_accuracy_fake")  # their threshold is a mean over a part
    for name in set(expected) - set(by_batch):
        values = expected[name]
        np.testing.assert_allclose(logs[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_fit_draws_new_random_numbers_for_each_accumulated_part(tiny_images):
    gan = GAN(*linear_networks(), seed=0)
    gan.compile(accumulate=4, run_eagerly=True)
    drawn, draw = [], gan.draw_latents

    def record(size, index):
        drawn.append(draw(size, index).numpy())
        return drawn[-1]

    gan.draw_latents = record
    gan.fit(tiny_images[:16], batch_size=16, verbose=0)
    assert [len(latents) for latents in drawn] == [4] * 8
    assert len({latents.tobytes() for latents in drawn}) == 8


def test_fit_raises_when_a_batch_does_not_divide_into_accumulated_parts(make_gan, tiny_images):
    with pytest.raises(ValueError, match="accumulate=3 equal parts .* a batch of 8"):
        make_gan(accumulate=3).fit(tiny_images, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="accumulate=0"):
        make_gan(accumulate=0)


@pytest.mark.slow
def test_fit_with_accumulated_gradients_uses_less_memory():
    program = """
import re, sys
from pathlib import Path
import numpy as np
from fashion_gan import GAN, models
def peak():  # getrusage() begins with the peak of the parent process
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
gan = GAN(*models.convnet(16, (32, 32, 1)), seed=0)
gan.compile("sgd", "sgd", accumulate=int(sys.argv[1]), jit_compile=False)
before = peak()
gan.fit(np.zeros((1024, 32, 32, 1), "float32"), batch_size=1024, verbose=0)
print(peak() - before)
"""
    kilobytes = [
        int(
            subprocess.run(
                [sys.executable, "-c", program, str(parts)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for parts in (1, 4)
    ]
    assert kilobytes[1] < 0.6 * kilobytes[0], kilobytes


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_fit_logs_the_gradient_norms_and_update_ratios_of_the_step(tiny_images, policy):
    keras.config.set_dtype_policy(policy)
    try:
        gan = GAN(*linear_networks(), seed=0)
        sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))
        gan.compile(*sgd, log_gradients=True, jit_compile=False)
        before = [w.numpy() for w in gan.discriminator.trainable_weights]
        data = (tiny_images[:8],)
        logs = gan.fit(*data, batch_size=8, validation_data=data, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    after = [w.numpy() for w in gan.discriminator.trainable_weights]
    step = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(after, before, strict=True)))
    size = np.sqrt(sum((b**2).sum() for b in before))
    tolerance = 1e-3 if policy == "float32" else 2e-2
    assert logs["d_gradient_norm"][0] == pytest.approx(step / 0.1, rel=tolerance)
    assert logs["d_update_ratio"][0] == pytest.approx(step / size, rel=tolerance)
    assert logs["g_gradient_norm"][0] > 0
    assert logs["g_update_ratio"][0] == 0
    assert not [name for name in logs if name.startswith("val_") and "gradient" in name]


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [
        pytest.param("resnet", 3, id="resnet", marks=pytest.mark.slow),
        pytest.param("fastgan", 3, id="fastgan", marks=pytest.mark.slow),
        pytest.param("infogan", None, id="infogan", marks=pytest.mark.slow),
    ],
)
def test_fit_trains_convolutions_in_half_precision(name, num_classes):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        size = {} if name == "infogan" else {"width": 4, "d_blocks": 1}
        pair = models.build_networks(
            name, latent_dim=3, image_shape=(8, 8, 1), num_classes=num_classes, **size
        )
        gan = GAN(*pair, seed=0)
        weights = [{"name": penalty, "weight": 0.5} for penalty in ("r1", "r2")]
        gan.compile("adam", "adam", "relativistic", penalties=weights, ema_decay=0.9)
        images = np.zeros((16, 8, 8, 1), "float32")  # as alike as real images are at their edges
        images[:, 2:6, 2:6] = np.random.default_rng(0).random((16, 4, 4, 1))
        low, high = gan.value_range
        images = low + (high - low) * images
        before = gan.discriminator.get_weights()
        labels = None if num_classes is None else np.arange(16) % 3
        logs = gan.fit(images, labels, batch_size=8, epochs=2, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(np.isfinite(value).all() for value in logs.values())
    after = gan.discriminator.get_weights()
    moved = [np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True)]
    assert sum(moved) > 0.8 * len(moved)


def test_fit_applies_a_lazy_penalty_to_images_without_a_channels_axis(tiny_images):
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4))]
    )
    discriminator = keras.Sequential([layers.Input((4, 4)), layers.Flatten(), layers.Dense(1)])
    gan = GAN(generator, discriminator)
    gan.compile(penalties=[penalties.R1(0.5, interval=2)], jit_compile=False)
    gan.fit(tiny_images[..., 0], batch_size=8, verbose=0)
    assert gan.steps == 4


def test_fit_raises_when_a_batch_does_not_divide_into_groups_of_a_statistic(tiny_images):
    pair = models.build_networks("resnet", latent_dim=3, image_shape=(4, 4, 1), width=2)
    gan = GAN(*pair, value_range=(0, 1))
    gan.compile(d_steps=2, jit_compile=False)
    with pytest.raises(ValueError, match="multiple of 8, .*groups of 4. Received: a batch of 12"):
        gan.fit(tiny_images[:24], batch_size=12, verbose=0)


def test_compile_resets_the_settings_of_an_earlier_call(make_gan, tiny_images):
    gan = make_gan(replay=64)
    assert any("replay" in weight.path for weight in gan.weights)
    gan.compile(jit_compile=False, replay=None, penalties=None)
    assert not [weight.path for weight in gan.weights if "replay" in weight.path]
    gan.fit(tiny_images, batch_size=8, verbose=0)


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "sgd", "nadam"])
def test_build_gan_accepts_every_keras_optimizer_by_name(optimizer):
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.config import Config

    gan = build_gan(Config(g_optimizer=optimizer, d_optimizer=optimizer))
    assert gan.g_optimizer.iterations == 0
