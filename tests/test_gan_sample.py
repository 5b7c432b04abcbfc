"""Tests that `sample()` and the average follow changes of the network."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from fashion_gan import GAN

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a `quantize` method")

LATENTS = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")


class Scale(layers.Layer):
    """Has a setting that no config tells."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def call(self, x):
        return x * self.by


class Shift(layers.Layer):
    """Has a weight, and no config: it cannot be cloned."""

    def __init__(self, start):
        super().__init__()
        self.shift = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(start), name="shift"
        )

    def call(self, x):
        return x + self.shift


class Subclassed(keras.Model):
    def __init__(self, unit):
        super().__init__()
        self.inner = Shift(unit)
        self.dense = layers.Dense(16)
        self.end = layers.Reshape((4, 4, 1))

    def call(self, x):
        return self.end(ops.sigmoid(self.dense(self.inner(x))))


class Counter(layers.Layer):
    """Counts its calls in training, in an integer weight that it uses."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.count.assign(self.count + 1)
        return x * ops.cast(self.count, x.dtype)


class Noise(layers.Layer):
    """Adds noise in inference too."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seeds)


def discriminator():
    return keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])


def sequential(*inner):
    return keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(16),
            *inner,
            layers.Activation("sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )


def make(generator, **arguments):
    gan = GAN(generator, discriminator(), latent_dim=3, seed=0)
    gan.compile("adam", "adam", jit_compile=False, **arguments)
    return gan


def add_lora(network):
    network.layers[0].enable_lora(2)
    network.layers[0].lora_kernel_b.assign(np.ones((2, 16)))


def change_weights(network):
    network.set_weights([weight + 0.5 for weight in network.get_weights()])


CHANGES = {
    "weights": change_weights,
    "LoRA": add_lora,
    "int8": lambda network: network.quantize("int8"),
    "activation": lambda network: setattr(network.layers[2], "activation", ops.tanh),
    "number": lambda network: setattr(network.layers[1], "by", 3.0),
    "NumPy number": lambda network: setattr(network.layers[1], "by", np.float32(3.0)),
    "array": lambda network: setattr(network.layers[1], "by", np.full(16, 3.0, "float32")),
    "removed layers": lambda network: [network.pop(), network.pop(), network.add(REST)],
}
REST = layers.Reshape((4, 4, 1))


@pytest.mark.parametrize("change", CHANGES)
def test_sample_uses_the_current_weights(change):
    generator = sequential(Scale(0.5))
    gan = make(generator)
    before = gan.sample(latents=LATENTS)
    CHANGES[change](generator)
    after = gan.sample(latents=LATENTS)
    np.testing.assert_allclose(after, generator(LATENTS, training=False), atol=1e-5)
    assert np.abs(after - before).max() > 1e-4


def test_sample_compiles_once_for_an_unchanged_network(tiny_images):
    gan = make(sequential(), ema_decay=0.9)
    samplers = []
    for _ in range(3):
        gan.fit(tiny_images, batch_size=8, verbose=0)
        gan.sample(2), gan.sample(700, use_ema=False)
        samplers.append([id(sampler) for _, sampler in gan._samplers.values()])
    assert samplers[1] == samplers[2] and len(samplers[0]) == 2


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_gan_raises_when_a_network_is_replaced(network):
    gan = make(sequential())
    with pytest.raises(AttributeError, match=f"keep its {network}.*Build a new GAN"):
        setattr(gan, network, sequential())
    setattr(gan, network, getattr(gan, network))


@pytest.mark.parametrize("change", ["LoRA", "int8"])
def test_sample_and_save_raise_when_the_average_has_another_structure(change, tmp_path):
    gan = make(sequential(Scale(0.5)), ema_decay=0.9)
    CHANGES[change](gan.generator)
    for use in (
        lambda: gan.sample(2),
        lambda: gan.save(tmp_path / "gan.keras"),
        lambda: gan.export(tmp_path / "folder"),
    ):
        with pytest.raises(ValueError, match=r"Call compile\(\) again"):
            use()
    assert not list(tmp_path.iterdir())
    if change == "LoRA":
        gan.compile("adam", "adam", ema_decay=0.9)
        np.testing.assert_allclose(
            gan.sample(latents=LATENTS), gan.generator(LATENTS, training=False), atol=1e-5
        )


def test_fit_trains_lora_of_a_sigmoid_head(tiny_images):
    head = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    gan = GAN(sequential(), head, seed=0)
    gan.compile("adam", "adam", jit_compile=False)
    gan.fit(tiny_images, verbose=0)
    head.layers[-1].enable_lora(2)
    with pytest.raises(ValueError, match=r"Call compile\(\) again"):
        gan.fit(tiny_images, verbose=0)
    gan.compile("adam", keras.optimizers.Adam(0.05), jit_compile=False)
    gan.fit(tiny_images, verbose=0)
    assert np.abs(head.layers[-1].lora_kernel_b.numpy()).max() > 0


UNCLONABLE = {
    "Lambda": lambda: sequential(layers.Lambda(lambda x: 0.5 * x)),
    "no config": lambda: sequential(Shift(0.5)),
    "nested": lambda: sequential(keras.Sequential([layers.Input((16,)), Shift(0.5)])),
    "subclass": lambda: Subclassed(0.5),
}


@pytest.mark.parametrize("kind", UNCLONABLE)
def test_compile_averages_every_kind_of_network(kind, tiny_images):
    gan = make(UNCLONABLE[kind](), ema_decay=0.5)
    expected = [weight.astype("float64") for weight in gan.generator.get_weights()]
    for step in range(3):
        gan.fit(tiny_images[:8], batch_size=8, verbose=0)
        keep = min(0.5, (1 + step) / (10 + step))
        weights = gan.generator.get_weights()
        expected = [keep * a + (1 - keep) * b for a, b in zip(expected, weights, strict=True)]
    for ours, theirs in zip(gan.ema_generator.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    averaged = gan.sample(latents=LATENTS)
    kept = gan.generator.get_weights()
    gan.ema_generator.copy_to(gan.generator)
    np.testing.assert_allclose(averaged, gan.sample(latents=LATENTS, use_ema=False), atol=1e-6)
    gan.generator.set_weights(kept)


def test_average_copies_counters_and_draws_new_noise(tiny_images):
    gan = make(sequential(Counter(), Noise()), ema_decay=0.9)
    gan.fit(tiny_images, batch_size=8, verbose=0)
    assert int(gan.ema_generator.weights[2]) == 4, "it is frozen in the first phase"
    noise = gan.generator.layers[2].seeds.state.numpy()
    first, second = (gan.sample(latents=LATENTS) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(gan.generator.layers[2].seeds.state, noise)


def test_compile_creates_an_average_only_for_a_decay(tiny_images):
    gan = make(sequential(), ema_decay=0.9)
    gan.fit(tiny_images, verbose=0)
    kept = gan.ema_generator
    gan.compile("adam", "adam", ema_decay=0.5, jit_compile=False)
    assert gan.ema_generator is kept, "another decay keeps the average"
    gan.compile(keras.optimizers.Adam(0.1), "adam", jit_compile=False)
    gan.fit(tiny_images, epochs=3, verbose=0)
    assert gan.ema_generator is None and len(gan.weights) == 5
    np.testing.assert_array_equal(
        gan.sample(latents=LATENTS), gan.sample(latents=LATENTS, use_ema=False)
    )
    gan.compile("adam", "adam", ema_decay=0.9, jit_compile=False)
    np.testing.assert_allclose(
        gan.sample(latents=LATENTS), gan.sample(latents=LATENTS, use_ema=False), atol=1e-6
    )


def test_load_weights_restores_or_restarts_the_average(tiny_images, tmp_path):
    with_average, without = make(sequential(), ema_decay=0.9), make(sequential())
    for name, gan in (("with", with_average), ("without", without)):
        gan.fit(tiny_images, epochs=2, verbose=0)
        gan.save_weights(tmp_path / f"{name}.weights.h5")
    with pytest.raises(ValueError, match="^Expected a file without an average.*with ema_decay"):
        make(sequential()).load_weights(tmp_path / "with.weights.h5")
    restarted = make(sequential(), ema_decay=0.9)
    restarted.load_weights(tmp_path / "without.weights.h5")
    np.testing.assert_allclose(
        restarted.sample(latents=LATENTS), without.sample(latents=LATENTS), atol=1e-6
    )
    again = make(sequential(), ema_decay=0.9)
    again.load_weights(tmp_path / "with.weights.h5")
    np.testing.assert_array_equal(
        again.sample(latents=LATENTS), with_average.sample(latents=LATENTS)
    )


@pytest.mark.parametrize("compile", [True, False])
def test_load_model_samples_from_the_saved_average(compile, tiny_images, tmp_path):
    gan = make(sequential(), ema_decay=0.9)
    gan.fit(tiny_images, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", compile=compile)
    np.testing.assert_array_equal(loaded.sample(3, seed=0), gan.sample(3, seed=0))


def test_save_raises_for_the_legacy_format(tmp_path):
    with pytest.raises(ValueError, match="Expected a path that ends in .keras"):
        make(sequential()).save(tmp_path / "gan.h5")
    assert not list(tmp_path.iterdir())


def test_export_writes_the_averaged_generator(tiny_images, tmp_path):
    import tensorflow as tf

    gan = make(sequential(), ema_decay=0.9)
    gan.fit(tiny_images, verbose=0)
    gan.export(tmp_path / "folder", verbose=False)
    exported = tf.saved_model.load(tmp_path / "folder")
    np.testing.assert_allclose(exported.serve(LATENTS), gan.sample(latents=LATENTS), atol=1e-6)
