"""Tests GAN: the changes of a step, the logs of `fit`, and arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import record_traces, tiny_networks
from keras import layers

from fashion_gan import GAN, data, models


def weights(network):
    return [w.numpy() for w in network.weights]


def equal(before, after):
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.fixture(scope="module")
def shared_gan():
    """Returns a compiled GAN for tests that do not depend on its weights."""
    gan = GAN(*tiny_networks(), seed=0)
    gan.compile("sgd", "sgd", jit_compile=False)
    return gan


class RecordingGAN(GAN):
    """Copies all weights where the second phase begins, inside the graph."""

    phase = 1

    def record(self):
        self.copies = [tf.Variable(w) for w in self.generator.weights + self.discriminator.weights]
        self.latents = [tf.Variable(tf.zeros((8, self.latent_dim))) for _ in range(2)]

    def generate(self, real, random, training=True):
        phase = self.phase = 1 - self.phase
        if phase == 1:
            for copy, weight in zip(
                self.copies, self.generator.weights + self.discriminator.weights, strict=True
            ):
                copy.assign(weight)
        self.latents[phase].assign(random.normal(8, (self.latent_dim,)))
        return super().generate(real, random, training)


def recording_gan(**compile_arguments):
    """Returns a GAN with every kind of state that a call may change."""
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(16),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.SpectralNormalization(layers.Dense(8, activation="selu")),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    gan = RecordingGAN(generator, discriminator, seed=0)
    gan.record()
    gan.compile(jit_compile=False, **compile_arguments)
    return gan


@pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "graph"])
def test_fit_trains_one_network_per_phase_with_new_latents_and_masks(run_eagerly):
    gan = recording_gan(run_eagerly=run_eagerly)
    start = weights(gan.generator) + weights(gan.discriminator)
    count = len(gan.generator.weights)
    dropout = gan.discriminator.layers[-2].seed_generator
    masks = dropout.state.numpy()
    gan.fit(np.random.default_rng(0).random((8, 4, 4, 1)), batch_size=8, verbose=0)
    middle = [copy.numpy() for copy in gan.copies]
    end = weights(gan.generator) + weights(gan.discriminator)
    assert all(equal(start[:count], middle[:count])), "the generator moved in phase 1"
    assert all(equal(middle[count:], end[count:])), "the discriminator moved in phase 2"
    assert not any(equal(start[count:], middle[count:])[2:]), "the discriminator stood in phase 1"
    assert not all(equal(middle[:count], end[:count])), "the generator stood in phase 2"
    moving = [i for i, w in enumerate(gan.generator.weights) if "moving" in w.name]
    assert not any(np.array_equal(middle[i], end[i]) for i in moving)
    first, second = (v.numpy() for v in gan.latents)
    assert not np.isclose(first, second).any()
    np.testing.assert_array_equal(dropout.state.numpy() - masks, [0, 2])


def test_draw_latents_is_standard_normal_and_never_repeats(make_gan):
    gan = make_gan(latent_dim=8)
    drawn = np.stack([gan.draw_latents(64, i).numpy() for i in range(-20, 200)])
    assert len(np.unique(drawn)) > 0.99 * drawn.size
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert np.abs(np.corrcoef(drawn.reshape(-1, 8).T) - np.eye(8)).max() < 0.03


def test_fit_trains_the_discriminator_with_target_0_for_fakes_and_1_for_reals():
    gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1)), seed=0)
    gan.compile(g_optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    reals = np.ones((32, 4, 4, 1), "float32") * np.linspace(0.4, 1, 32)[:, None, None, None]
    logs = gan.fit(reals, batch_size=8, epochs=60, verbose=0).history
    assert logs["d_logit_real"][-1] > 1 > -1 > logs["d_logit_fake"][-1]
    assert min(logs["d_accuracy_real"][-1], logs["d_accuracy_fake"][-1]) > 0.8
    assert gan.discriminator(reals).numpy().mean() > 0.7
    assert gan.discriminator(gan.sample(8, seed=0)).numpy().mean() < 0.3


def test_fit_traces_the_step_once_when_called_repeatedly(make_gan, tiny_images):
    gan = make_gan(steps_per_execution=3)
    traces = record_traces(gan)
    dataset = tf.data.Dataset.from_tensor_slices(tiny_images).batch(8, drop_remainder=True)
    gan.fit(dataset, epochs=3, verbose=0)
    gan.fit(dataset, epochs=2, verbose=0)
    assert len(traces) == 1
    assert gan.steps == 5 * 4


def test_fit_logs_the_means_over_the_steps_of_an_epoch(make_gan, tiny_images):
    one_by_one, together = make_gan(), make_gan()
    together.generator.set_weights(one_by_one.generator.get_weights())
    together.discriminator.set_weights(one_by_one.discriminator.get_weights())
    each = [
        one_by_one.fit(tiny_images[i : i + 8], batch_size=8, verbose=0).history
        for i in range(0, 32, 8)
    ]
    logs = together.fit(tiny_images, batch_size=8, shuffle=False, verbose=0).history
    assert set(logs) == {
        *("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake", "d_logit_real", "d_logit_fake")
    }
    for name, (mean,) in logs.items():
        assert mean == pytest.approx(np.mean([e[name][0] for e in each]), rel=1e-5), name


def test_evaluate_is_deterministic_and_changes_no_variable(make_gan, tiny_images):
    gan = make_gan()
    logs = gan.fit(tiny_images, batch_size=8, validation_data=(tiny_images,), verbose=0).history
    before = [v.numpy() for v in gan.variables]
    first = gan.evaluate(tiny_images, batch_size=8, return_dict=True, verbose=0)
    second = gan.evaluate(tiny_images, batch_size=8, return_dict=True, verbose=0)
    assert first == second
    assert all(equal(before, [v.numpy() for v in gan.variables]))
    assert set(logs) == set(first) | {f"val_{name}" for name in first}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_evaluate_gives_the_same_scores_for_data_of_unknown_length(make_gan, tiny_images):
    gan = make_gan()
    dataset = tf.data.Dataset.from_tensor_slices(tiny_images).batch(8)
    unknown = dataset.filter(lambda batch: True)
    scores = [gan.evaluate(x, verbose=0, return_dict=True) for x in (dataset, unknown)]
    assert scores[0] == scores[1]


def test_evaluate_matches_the_losses_of_the_probabilities(make_gan, tiny_images):
    gan = make_gan()
    logs = gan.evaluate(tiny_images, batch_size=32, return_dict=True, verbose=0)
    real = gan.discriminator(tiny_images).numpy()
    fake = gan.discriminator(gan(gan.draw_latents(32, -1))).numpy()
    assert logs["d_loss"] == pytest.approx(
        np.concatenate([-np.log(real), -np.log(1 - fake)]).mean(), rel=1e-5
    )
    assert logs["g_loss"] == pytest.approx(-np.log(fake).mean(), rel=1e-5)
    assert logs["d_accuracy_real"] == np.mean(real > 0.5)
    assert logs["d_accuracy_fake"] == np.mean(fake < 0.5)


def test_fit_depends_on_the_seed(tiny_images):
    def train(seed):
        keras.utils.set_random_seed(seed)
        gan = GAN(*tiny_networks())
        gan.compile(jit_compile=False)
        gan.fit(tiny_images, batch_size=8, shuffle=False, epochs=2, verbose=0)
        return weights(gan.generator) + weights(gan.discriminator)

    first, again, other = train(1), train(1), train(2)
    assert all(equal(first, again))
    assert not any(equal(first, other))


def test_sample_depends_on_its_seed_and_changes_no_variable(make_gan):
    gan = make_gan()
    before = [v.numpy() for v in gan.variables]
    first = gan.sample(5, seed=3)
    np.testing.assert_array_equal(first, gan.sample(5, seed=3))
    np.testing.assert_allclose(first, gan.sample(600, seed=3)[:5], rtol=0, atol=1e-6)
    assert not np.array_equal(first, gan.sample(5, seed=4))
    assert not np.array_equal(gan.sample(5), gan.sample(5))
    assert all(equal(before, [v.numpy() for v in gan.variables]))
    assert (first.shape, first.dtype) == ((5, 4, 4, 1), np.float32)
    latents = np.random.default_rng(3).standard_normal((5, 3))
    np.testing.assert_array_equal(first, gan.sample(latents=latents))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"count": 0},
        {"count": "4"},
        {"count": 4.0},
        {"latents": np.zeros((2, 4))},
        {"count": 2, "latents": np.zeros((2, 3))},
    ],
)
def test_sample_raises_for_wrong_arguments(shared_gan, arguments):
    with pytest.raises(ValueError, match="Expected"):
        shared_gan.sample(**arguments)


def as_pair(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(32))).batch(8)


def as_triple(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(32), np.ones(32))).batch(8)


def as_the_book(x):
    slices = tf.data.Dataset.from_tensor_slices(x[..., 0]).shuffle(1000)
    return slices.batch(8, drop_remainder=True).prefetch(1)


@pytest.mark.parametrize("form", [as_pair, as_triple, as_the_book])
def test_fit_accepts_images_and_ignores_labels_of_unconditional_networks(
    shared_gan, tiny_images, form
):
    before = shared_gan.steps
    shared_gan.fit(form(tiny_images), verbose=0)
    assert shared_gan.steps == before + 4


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_fit_draws_no_random_numbers_after_the_last_batch(steps_per_execution):
    gan = recording_gan(steps_per_execution=steps_per_execution)
    dropout = gan.discriminator.layers[-2].seed_generator
    before = dropout.state.numpy()
    images = tf.data.Dataset.from_tensor_slices(np.random.default_rng(0).random((40, 4, 4, 1)))
    gan.fit(images.filter(lambda image: True).batch(8), epochs=3, verbose=0)  # unknown length
    assert gan.steps == 15
    np.testing.assert_array_equal(dropout.state.numpy() - before, [0, 30])


def test_fit_accepts_images_with_and_without_a_channels_axis(make_gan):
    flat, deep = make_gan(image_shape=(4, 4)), make_gan(image_shape=(4, 4, 1))
    flat.fit(np.random.default_rng(0).random((8, 4, 4, 1)), verbose=0)
    deep.fit(np.random.default_rng(0).random((8, 4, 4)), verbose=0)
    assert (flat.steps, deep.steps) == (1, 1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 5, 4, 1), "float32"), r"images of shape \(4, 4, 1\).*\(5, 4, 1\)"),
        (np.zeros((8, 1, 1, 1), "float32"), r"images of shape"),
        (np.full((8, 4, 4, 1), 200, "uint8"), r"uint8 in \[200, 200\].*value_range=gan"),
        (np.linspace(-1, 1, 128).reshape(8, 4, 4, 1), r"in \[0, 1\], .* in \[-1, 1\]"),
        (np.full((8, 4, 4, 1), np.nan), r"in \[nan, nan\]"),
        (np.zeros((0, 4, 4, 1), "float32"), r"at least one image"),
        (
            tf.data.Dataset.from_tensor_slices(np.zeros((3, 4, 4, 1))).batch(8, True),
            "at least one batch",
        ),
    ],
    ids=["shape", "broadcast", "integers", "range", "nan", "empty array", "empty dataset"],
)
def test_fit_raises_for_wrong_images_before_the_first_step(shared_gan, images, message):
    before = shared_gan.steps
    with pytest.raises(ValueError, match=message):
        shared_gan.fit(images, verbose=0)
    assert shared_gan.steps == before


def test_fit_warns_when_images_use_half_the_range(tiny_images):
    gan = GAN(*tiny_networks(), value_range=(-1, 1))
    gan.compile("sgd", "sgd", jit_compile=False)
    with pytest.warns(UserWarning, match=r"in \[-1, 1\].*only fill \[0"):
        gan.fit(tiny_images, verbose=0)


def test_fit_raises_for_wrong_shapes_from_a_python_generator(shared_gan):
    with pytest.raises(ValueError, match="Expected images of shape"):
        shared_gan.fit(((np.zeros((8, 4, 5, 1)),) for _ in range(2)), verbose=0)


def test_fit_raises_when_compile_was_not_called(tiny_images):
    gan = GAN(*tiny_networks())
    with pytest.raises(ValueError, match=r"Call compile\(\)"):
        gan.fit(tiny_images)


def test_compile_raises_when_networks_share_an_optimizer(make_gan):
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="one optimizer for both"):
        make_gan(g_optimizer=optimizer, d_optimizer=optimizer)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("optimizer", "'optimizer'. A GAN has two: g_optimizer and d_optimizer."),
        ("loss_fn", "'loss_fn'. Did you mean 'loss'?"),
        ("metrics", "Received: 'metrics'."),
    ],
)
def test_compile_suggests_a_name_for_an_unknown_argument(make_gan, name, hint):
    with pytest.raises(TypeError, match="Expected arguments among .*'d_steps'") as error:
        make_gan(**{name: "adam"})
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(32)}, {"class_weight": {0: 2.0}}])
def test_fit_raises_for_sample_and_class_weights(shared_gan, tiny_images, weights):
    before = shared_gan.steps
    with pytest.raises(ValueError, match="without weights. Received: sample_weight or"):
        shared_gan.fit(tiny_images, verbose=0, **weights)
    assert shared_gan.steps == before


@pytest.mark.parametrize("arguments", [{}, {"latent_dim": 3}])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_gan_raises_when_the_networks_are_swapped(arguments, num_classes):
    pair = models.build_networks(
        "dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=num_classes
    )
    with pytest.raises(ValueError, match=r"images of shape \(4, 4, 1\). Pass the generator first"):
        GAN(*reversed(pair), **arguments)


def test_compile_lists_the_losses_for_an_unknown_loss(make_gan):
    with pytest.raises(ValueError, match=r"one of \['binary_cross.*Did you mean 'binary_crossent"):
        make_gan(loss="binary_crosentropy")


def dense_pair(outputs=1, image_shape=(4, 4, 1), activation="sigmoid"):
    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(16, activation=activation),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [layers.Input(image_shape), layers.Flatten(), layers.Dense(outputs)]
    )
    return generator, discriminator


@pytest.mark.parametrize(
    ("networks", "arguments", "message"),
    [
        (dense_pair(), {"latent_dim": 4}, "latent_dim=4"),
        (dense_pair(outputs=2), {}, r"one output \(batch, 1\).*\(None, 2\)"),
        (dense_pair(image_shape=(4, 5, 1)), {}, r"\(4, 4, 1\), .* inputs of shape \(4, 5, 1\)"),
        (dense_pair(activation="relu"), {}, "no fixed bounds"),
        (dense_pair(), {"value_range": (1, 0)}, "low < high"),
    ],
    ids=["latents", "outputs", "shapes", "range unknown", "range reversed"],
)
def test_gan_raises_for_incompatible_networks(networks, arguments, message):
    with pytest.raises(ValueError, match=message):
        GAN(*networks, **arguments)


def test_gan_builds_networks_from_latent_dim():
    generator = keras.Sequential([layers.Dense(16, activation="tanh"), layers.Reshape((4, 4, 1))])
    discriminator = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    gan = GAN(generator, discriminator, latent_dim=5)
    assert gan.sample(2, seed=0).shape == (2, 4, 4, 1)
    assert gan.value_range == (-1, 1)
    with pytest.raises(ValueError, match="Expected latent_dim"):
        GAN(keras.Sequential([layers.Dense(16)]), keras.Sequential([layers.Dense(1)]))


def test_fit_keeps_the_gradient_of_a_saturated_sigmoid(tiny_images):
    generator, discriminator = dense_pair()
    head = keras.Sequential([*discriminator.layers[:-1], layers.Dense(1, activation="sigmoid")])
    head.build((None, 4, 4, 1))
    head.layers[-1].bias.assign([200.0])
    gan = GAN(generator, head, seed=0)
    gan.compile(d_optimizer=keras.optimizers.SGD(1.0), jit_compile=False)
    logs = gan.fit(tiny_images, batch_size=32, verbose=0).history
    assert logs["d_logit_fake"][0] == pytest.approx(200, abs=5)
    assert logs["d_loss"][0] == pytest.approx(100, abs=5)
    assert head.layers[-1].bias.numpy()[0] == pytest.approx(199.5, abs=1e-3)


def test_fit_is_equal_for_logits_and_probabilities(tiny_images):
    results = []
    for activation in (None, "sigmoid"):
        keras.utils.set_random_seed(0)
        generator, trunk = dense_pair()
        discriminator = keras.Sequential(
            [*trunk.layers[:-1], layers.Dense(1, activation=activation)]
        )
        gan = GAN(generator, discriminator, seed=0)
        gan.compile(jit_compile=False)
        gan.fit(tiny_images, batch_size=8, shuffle=False, verbose=0)
        results.append(weights(gan.generator) + weights(gan.discriminator))
    assert all(equal(*results))


def test_fit_is_bit_for_bit_equal_in_one_call_and_in_several(make_gan, tiny_images):
    results = []
    for epochs in ([3], [1, 2]):
        keras.utils.set_random_seed(0)
        gan, dataset = make_gan(), data.make_dataset(tiny_images, 8)
        for count in epochs:
            gan.fit(dataset, epochs=count, verbose=0)
        results.append(gan.get_weights())
    assert all(equal(*results))


def test_resume_at_applies_only_to_the_next_fit(make_gan, tiny_images):
    gan = make_gan()
    gan.resume_at(3)
    gan.fit(tiny_images, batch_size=8, epochs=5, verbose=0)
    assert gan.steps == 2 * 4
    gan.fit(tiny_images, batch_size=8, epochs=2, verbose=0)
    assert gan.steps == 4 * 4
    gan.resume_at(3)
    gan.fit(tiny_images, batch_size=8, epochs=2, verbose=0)
    gan.fit(tiny_images, batch_size=8, epochs=1, verbose=0)
    assert gan.steps == 5 * 4, "a call without an epoch left has used the resumption up"


@pytest.mark.parametrize("position", [(-1, 0), (0, -2), (1.5, 0)])
def test_resume_at_raises_for_an_impossible_position(shared_gan, position):
    with pytest.raises(ValueError, match="Expected an integer of at least 0"):
        shared_gan.resume_at(*position)


def test_fit_raises_when_the_position_exceeds_the_epoch(make_gan, tiny_images):
    gan = make_gan()
    gan.resume_at(0, 1000)
    with pytest.raises(ValueError, match="Resume with the original data and batch size"):
        gan.fit(tiny_images, batch_size=8, verbose=0)


def test_compile_raises_for_an_optimizer_built_for_another_network(make_gan):
    gan, used = make_gan(), keras.optimizers.Adam()
    gan.compile(used, "adam")
    gan.compile(used, "adam")
    with pytest.raises(ValueError, match="d_optimizer, which was built for other weights"):
        gan.compile("adam", used)


@pytest.mark.parametrize("optimizer", ["LossScaleOptimizer", "Lamb"])
def test_load_model_restores_every_optimizer(make_gan, tmp_path, optimizer):
    wrapped = {
        "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        "Lamb": keras.optimizers.Lamb,
    }[optimizer]
    gan = make_gan(wrapped(), wrapped())
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert type(loaded.d_optimizer) is type(gan.d_optimizer)


def test_compile_accepts_numpy_numbers(make_gan, tiny_images):
    gan = make_gan(d_steps=np.int64(2), ema_decay=np.float32(0.5), steps_per_execution=np.int8(2))
    gan.fit(tiny_images, batch_size=8, verbose=0)
    assert gan.steps == 4
