"""What `compile` composes: losses, penalties, precision, XLA, steps, and gradient norms."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, losses, models, penalties

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def pytest_generate_tests(metafunc):
    """Each penalty meets each loss; XLA meets each of them and each policy; or all meet all."""
    if metafunc.function is not test_three_steps_end_without_nan_and_with_one_trace:
        return
    sets = [list(losses.LOSSES), list(penalties.PENALTIES), list(POLICIES), [False, True]]
    if metafunc.config.getoption("all_combinations"):
        met = list(itertools.product(*sets))
    else:
        met = [
            (loss, penalty, POLICIES[(i + j) % len(POLICIES)], i % len(sets[1]) == j)
            for i, loss in enumerate(sets[0])
            for j, penalty in enumerate(sets[1])
        ]
    metafunc.parametrize(("loss", "penalty", "policy", "xla"), met)


def test_three_steps_end_without_nan_and_with_one_trace(tiny_images, loss, penalty, policy, xla):
    keras.config.set_dtype_policy(policy)
    try:
        generator, discriminator = models.build_networks(
            "dense", latent_dim=3, image_shape=(4, 4, 1)
        )
        gan = GAN(generator, discriminator, seed=0)
        weight = {"name": penalty, "weight": 0.5, "interval": 1 if penalty in ("r1", "r2") else 2}
        gan.compile(loss=loss, penalties=[weight], ema_decay=0.9, jit_compile=xla)
        traces, step = [], gan.train_step
        gan.train_step = lambda data: (traces.append(1), step(data))[1]
        logs = gan.fit(tiny_images[:24], batch_size=8, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert gan.steps == 3
    assert len(traces) == 1
    assert logs["d_penalty"][0] > 0
    assert all(np.isfinite(value).all() for value in logs.values())
    assert all(np.isfinite(variable).all() for variable in gan.variables)


def linear_pair():
    """A discriminator whose slope is its kernel, which makes R1 the weight decay of the kernel."""
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    )
    discriminator = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    return generator, discriminator


@pytest.mark.parametrize("interval", [1, 3])
def test_the_penalty_pulls_at_the_discriminator_as_its_formula_says(tiny_images, interval):
    gans = []
    for weight in (0.0, 0.5):
        keras.utils.set_random_seed(1)
        gan = GAN(*linear_pair(), seed=0)
        sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))
        gan.compile(*sgd, penalties=[penalties.R1(weight, interval)], jit_compile=False)
        before = gan.discriminator.layers[-1].kernel.numpy()
        logs = gan.fit(tiny_images[:8], batch_size=8, verbose=0).history
        gans.append(gan)
    without, with_penalty = (gan.discriminator.layers[-1].kernel.numpy() for gan in gans)
    np.testing.assert_allclose(with_penalty, without - 0.1 * 0.5 * interval * before, atol=1e-6)
    assert logs["d_penalty"][0] == pytest.approx(interval * 0.25 * (before**2).sum(), rel=1e-5)
    second = gans[1].fit(tiny_images[:8], batch_size=8, verbose=0).history["d_penalty"][0]
    assert (second == 0) == (interval == 3), "a lazy penalty rests in the second step"


class Counter(layers.Layer):
    """Counts how often it is run through."""

    runs = 0

    def call(self, x):
        self.runs += 1
        return x


class R1OfItsOwn(penalties.R1):
    def sample_points(self, real, fake, uniform):
        return tf.identity(real)


class R2OfItsOwn(penalties.R2):
    def sample_points(self, real, fake, uniform):
        return tf.identity(fake)


@pytest.mark.parametrize(("norm", "passes"), [(layers.LayerNormalization, 2), (None, 4)])
def test_r1_and_r2_come_from_the_pass_behind_the_loss_and_are_the_same(tiny_images, norm, passes):
    made = []
    for both in ([penalties.R1(3.0), penalties.R2(2.0)], [R1OfItsOwn(3.0), R2OfItsOwn(2.0)]):
        keras.utils.set_random_seed(1)
        generator, _ = linear_pair()
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


def test_a_relativistic_generator_sees_the_reals_of_its_step(tiny_images):
    gan = GAN(*linear_pair(), seed=0)
    sgd = (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    gan.compile(*sgd, loss="relativistic", jit_compile=False)
    logs = gan.fit(tiny_images[:8], batch_size=8, shuffle=False, verbose=0).history
    real = gan.discriminator(tiny_images[:8]).numpy()
    first, second = (gan.discriminator(gan(gan.draw_latents(8, i))).numpy() for i in (0, 1))
    assert logs["d_loss"][0] == pytest.approx(np.log1p(np.exp(first - real)).mean(), rel=1e-5)
    assert logs["g_loss"][0] == pytest.approx(np.log1p(np.exp(real - second)).mean(), rel=1e-5)


def test_d_steps_are_as_many_updates_on_parts_of_the_batch(tiny_images):
    gan, single = (GAN(*linear_pair(), seed=0) for _ in range(2))
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


def test_batches_that_do_not_divide_into_d_steps_are_refused(make_gan, tiny_images):
    with pytest.raises(ValueError, match="d_steps=3 updates .* a batch of 8"):
        make_gan(d_steps=3).fit(tiny_images, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="d_steps=0"):
        make_gan(d_steps=0)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_gradient_norms_and_update_ratios_are_those_of_the_step(tiny_images, policy):
    keras.config.set_dtype_policy(policy)
    try:
        gan = GAN(*linear_pair(), seed=0)
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
    ("name", "num_classes", "policy"),
    [
        ("resnet", None, "float32"),
        ("resnet", None, "mixed_float16"),
        ("resnet", 3, "mixed_bfloat16"),
        ("infogan", 3, "mixed_float16"),
    ],
)
def test_the_convolutional_pairs_take_steps_in_half_precision_too(name, num_classes, policy):
    keras.config.set_dtype_policy(policy)
    try:
        size = {"width": 4, "g_blocks": 1, "d_blocks": 1} if name == "resnet" else {}
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


def test_a_lazy_penalty_takes_images_without_a_channels_axis(tiny_images):
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4))]
    )
    discriminator = keras.Sequential([layers.Input((4, 4)), layers.Flatten(), layers.Dense(1)])
    gan = GAN(generator, discriminator)
    gan.compile(penalties=[penalties.R1(0.5, interval=2)], jit_compile=False)
    gan.fit(tiny_images[..., 0], batch_size=8, verbose=0)
    assert gan.steps == 4


def test_batches_that_do_not_divide_into_the_groups_of_a_statistic_are_refused(tiny_images):
    pair = models.build_networks("resnet", latent_dim=3, image_shape=(4, 4, 1), width=2)
    gan = GAN(*pair, value_range=(0, 1))
    gan.compile(d_steps=2, jit_compile=False)
    with pytest.raises(ValueError, match="multiple of 8, .*groups of 4. Received: a batch of 12"):
        gan.fit(tiny_images[:24], batch_size=12, verbose=0)


def test_compile_drops_what_the_call_before_has_set(make_gan, tiny_images):
    gan = make_gan(replay=64)
    assert any("replay" in weight.path for weight in gan.weights)
    gan.compile(jit_compile=False, replay=None, penalties=None)
    assert not [weight.path for weight in gan.weights if "replay" in weight.path]
    gan.fit(tiny_images, batch_size=8, verbose=0)


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "sgd", "nadam"])
def test_every_optimizer_of_keras_can_be_named(optimizer):
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.config import Config

    gan = build_gan(Config(g_optimizer=optimizer, d_optimizer=optimizer))
    assert gan.g_optimizer.iterations == 0
