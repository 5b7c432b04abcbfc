"""The contract of the model: the step, the freeze, the logs, the borders."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fashion_gan import GAN, data, models


def weights(network):
    return [w.numpy() for w in network.weights]


def equal(before, after):
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


class Witness(GAN):
    """Copies all weights where the second phase begins, inside the graph."""

    phase = 1

    def watch(self):
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


def witness(run_eagerly, **compile_arguments):
    """Networks with every kind of state that a call may change."""
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
    gan = Witness(generator, discriminator, seed=0)
    gan.watch()
    gan.compile(run_eagerly=run_eagerly, jit_compile=False, **compile_arguments)
    return gan


@pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "graph"])
def test_each_phase_moves_one_network_and_leaves_every_variable_of_the_other(run_eagerly):
    gan = witness(run_eagerly)
    start = weights(gan.generator) + weights(gan.discriminator)
    count = len(gan.generator.weights)
    gan.fit(np.random.default_rng(0).random((8, 4, 4, 1)), batch_size=8, verbose=0)
    middle = [copy.numpy() for copy in gan.copies]
    end = weights(gan.generator) + weights(gan.discriminator)
    assert all(equal(start[:count], middle[:count])), "the generator moved in phase 1"
    assert all(equal(middle[count:], end[count:])), "the discriminator moved in phase 2"
    assert not any(equal(start[count:], middle[count:])[2:]), "the discriminator stood in phase 1"
    assert not all(equal(middle[:count], end[:count])), "the generator stood in phase 2"
    moving = [i for i, w in enumerate(gan.generator.weights) if "moving" in w.name]
    assert not any(np.array_equal(middle[i], end[i]) for i in moving)


def test_each_phase_draws_its_own_latents_and_dropout_masks():
    gan = witness(run_eagerly=True)
    dropout = gan.discriminator.layers[-2].seed_generator
    before = dropout.state.numpy()
    gan.fit(np.random.default_rng(0).random((8, 4, 4, 1)), batch_size=8, verbose=0)
    first, second = (v.numpy() for v in gan.latents)
    assert not np.isclose(first, second).any()
    np.testing.assert_array_equal(dropout.state.numpy() - before, [0, 2])


def test_latents_are_standard_normal_and_never_come_twice(make_gan):
    gan = make_gan(latent_dim=8)
    drawn = np.stack([gan.draw_latents(64, i).numpy() for i in range(-20, 200)])
    assert len(np.unique(drawn)) > 0.99 * drawn.size
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert np.abs(np.corrcoef(drawn.reshape(-1, 8).T) - np.eye(8)).max() < 0.03


def test_fakes_have_target_0_and_reals_1_so_the_discriminator_learns_to_tell_them(make_gan):
    gan = make_gan(g_optimizer=keras.optimizers.SGD(0.0))
    reals = np.ones((32, 4, 4, 1), "float32") * np.linspace(0.4, 1, 32)[:, None, None, None]
    logs = gan.fit(reals, batch_size=8, epochs=60, verbose=0).history
    assert logs["d_logit_real"][-1] > 1 > -1 > logs["d_logit_fake"][-1]
    assert min(logs["d_accuracy_real"][-1], logs["d_accuracy_fake"][-1]) > 0.8
    assert gan.discriminator(reals).numpy().mean() > 0.7
    assert gan.discriminator(gan.sample(8, seed=0)).numpy().mean() < 0.3


def test_a_whole_run_traces_the_step_once(make_gan, tiny_images):
    gan = make_gan(steps_per_execution=3)
    traces = []
    step = gan.train_step
    gan.train_step = lambda data: (traces.append(1), step(data))[1]
    dataset = tf.data.Dataset.from_tensor_slices(tiny_images).batch(8, drop_remainder=True)
    gan.fit(dataset, epochs=3, verbose=0)
    gan.fit(dataset, epochs=2, verbose=0)
    assert len(traces) == 1
    assert gan.steps == 5 * 4


def test_logs_are_the_means_over_the_epochs_steps(make_gan, tiny_images):
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


def test_evaluation_repeats_itself_and_moves_nothing(make_gan, tiny_images):
    gan = make_gan()
    logs = gan.fit(tiny_images, batch_size=8, validation_data=(tiny_images,), verbose=0).history
    before = [v.numpy() for v in gan.variables]
    first = gan.evaluate(tiny_images, batch_size=8, return_dict=True, verbose=0)
    second = gan.evaluate(tiny_images, batch_size=8, return_dict=True, verbose=0)
    assert first == second
    assert all(equal(before, [v.numpy() for v in gan.variables]))
    assert set(logs) == set(first) | {f"val_{name}" for name in first}


def test_evaluation_agrees_with_the_losses_recomputed_from_probabilities(make_gan, tiny_images):
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


def test_one_seed_gives_one_result_and_another_seed_another(tiny_images):
    def train(seed):
        keras.utils.set_random_seed(seed)
        gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1)))
        gan.compile()
        gan.fit(tiny_images, batch_size=8, shuffle=False, epochs=2, verbose=0)
        return weights(gan.generator) + weights(gan.discriminator)

    first, again, other = train(1), train(1), train(2)
    assert all(equal(first, again))
    assert not any(equal(first, other))


def test_sampling_repeats_with_its_seed_and_leaves_training_alone(make_gan):
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
def test_sample_refuses_what_it_cannot_mean(make_gan, arguments):
    with pytest.raises(ValueError, match="Expected"):
        make_gan().sample(**arguments)


def as_tuple(x):
    return tf.data.Dataset.from_tensor_slices((x,)).batch(8)


def as_pair(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(32))).batch(8)


def as_triple(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(32), np.ones(32))).batch(8)


def as_the_book(x):
    slices = tf.data.Dataset.from_tensor_slices(x[..., 0]).shuffle(1000)
    return slices.batch(8, drop_remainder=True).prefetch(1)


def as_generator(x):
    return ((x[i : i + 8],) for i in range(0, 32, 8))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of any generator
@pytest.mark.parametrize(
    "form", [np.asarray, as_tuple, as_pair, as_triple, as_the_book, as_generator]
)
def test_fit_takes_images_in_every_form_that_keras_does(make_gan, tiny_images, form):
    gan = make_gan()
    gan.fit(form(tiny_images), verbose=0, **({"batch_size": 8} if form is np.asarray else {}))
    assert gan.steps == 4


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_where_the_data_ends_nothing_moves_any_more(steps_per_execution):
    gan = witness(run_eagerly=False, steps_per_execution=steps_per_execution)
    dropout = gan.discriminator.layers[-2].seed_generator
    before = dropout.state.numpy()
    images = tf.data.Dataset.from_tensor_slices(np.random.default_rng(0).random((40, 4, 4, 1)))
    gan.fit(images.filter(lambda image: True).batch(8), epochs=3, verbose=0)  # unknown length
    assert gan.steps == 15
    np.testing.assert_array_equal(dropout.state.numpy() - before, [0, 30])


def test_a_generator_without_a_channels_axis_takes_images_with_one_and_the_reverse(make_gan):
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
def test_fit_refuses_images_that_do_not_fit_before_a_step_is_made(make_gan, images, message):
    gan = make_gan()
    with pytest.raises(ValueError, match=message):
        gan.fit(images, verbose=0)
    assert gan.steps == 0


def test_images_that_fill_half_the_range_are_doubted_aloud(tiny_images):
    generator, discriminator = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1))
    gan = GAN(generator, discriminator, value_range=(-1, 1))
    gan.compile()
    with pytest.warns(UserWarning, match=r"in \[-1, 1\].*only fill \[0"):
        gan.fit(tiny_images, verbose=0)


def test_shapes_that_no_array_shows_beforehand_are_checked_in_the_step(make_gan):
    gan = make_gan()
    with pytest.raises(ValueError, match="Expected images of shape"):
        gan.fit(((np.zeros((8, 4, 5, 1)),) for _ in range(2)), verbose=0)


def test_an_uncompiled_model_says_so(tiny_images):
    gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1)))
    with pytest.raises(ValueError, match=r"Call compile\(\)"):
        gan.fit(tiny_images)


def test_one_optimizer_for_both_networks_is_refused(make_gan):
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
def test_an_unknown_argument_of_compile_is_answered_with_a_hint(make_gan, name, hint):
    with pytest.raises(TypeError, match="Expected arguments among .*'d_steps'") as error:
        make_gan(**{name: "adam"})
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(32)}, {"class_weight": {0: 2.0}}])
def test_weights_that_no_step_would_heed_are_refused(make_gan, tiny_images, weights):
    gan = make_gan()
    with pytest.raises(ValueError, match="without weights. Received: sample_weight or"):
        gan.fit(tiny_images, verbose=0, **weights)
    assert gan.steps == 0


@pytest.mark.parametrize("arguments", [{}, {"latent_dim": 3}])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_networks_that_changed_places_are_told_so(arguments, num_classes):
    pair = models.build_networks(
        "dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=num_classes
    )
    with pytest.raises(ValueError, match=r"images of shape \(4, 4, 1\). Pass the generator first"):
        GAN(*reversed(pair), **arguments)


def test_an_unknown_loss_is_answered_with_the_choices(make_gan):
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
def test_networks_that_do_not_fit_together_are_refused(networks, arguments, message):
    with pytest.raises(ValueError, match=message):
        GAN(*networks, **arguments)


def test_unbuilt_networks_are_built_from_latent_dim():
    generator = keras.Sequential([layers.Dense(16, activation="tanh"), layers.Reshape((4, 4, 1))])
    discriminator = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    gan = GAN(generator, discriminator, latent_dim=5)
    assert gan.sample(2, seed=0).shape == (2, 4, 4, 1)
    assert gan.value_range == (-1, 1)
    with pytest.raises(ValueError, match="Expected latent_dim"):
        GAN(keras.Sequential([layers.Dense(16)]), keras.Sequential([layers.Dense(1)]))


@pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "graph"])
def test_a_saturated_sigmoid_still_has_its_logit_and_its_gradient(run_eagerly, tiny_images):
    generator, discriminator = dense_pair()
    head = keras.Sequential([*discriminator.layers[:-1], layers.Dense(1, activation="sigmoid")])
    head.build((None, 4, 4, 1))
    head.layers[-1].bias.assign([200.0])
    gan = GAN(generator, head, seed=0)
    gan.compile(d_optimizer=keras.optimizers.SGD(1.0), run_eagerly=run_eagerly, jit_compile=False)
    logs = gan.fit(tiny_images, batch_size=32, verbose=0).history
    assert logs["d_logit_fake"][0] == pytest.approx(200, abs=5)
    assert logs["d_loss"][0] == pytest.approx(100, abs=5)
    assert head.layers[-1].bias.numpy()[0] == pytest.approx(199.5, abs=1e-3)


def test_a_discriminator_that_gives_logits_trains_like_one_behind_a_sigmoid(tiny_images):
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


def test_calls_of_fit_in_a_loop_end_in_the_bits_of_one_call(make_gan, tiny_images):
    results = []
    for epochs in ([1, 1, 1], [3], [2, 1]):
        keras.utils.set_random_seed(0)
        gan, dataset = make_gan(), data.make_dataset(tiny_images, 8)
        for count in epochs:
            gan.fit(dataset, epochs=count, verbose=0)
        results.append(gan.get_weights())
    for other in results[1:]:
        assert all(equal(results[0], other))


def test_resume_at_holds_for_the_next_fit_alone(make_gan, tiny_images):
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
def test_resume_at_raises_for_a_position_that_cannot_be(make_gan, position):
    with pytest.raises(ValueError, match="Expected an integer of at least 0"):
        make_gan().resume_at(*position)


def test_fit_raises_when_more_batches_are_done_than_the_epoch_has(make_gan, tiny_images):
    gan = make_gan()
    gan.resume_at(0, 1000)
    with pytest.raises(ValueError, match="Resume with the data and batch size"):
        gan.fit(tiny_images, batch_size=8, verbose=0)


def test_an_optimizer_of_another_network_is_refused(make_gan):
    gan, used = make_gan(), keras.optimizers.Adam()
    gan.compile(used, "adam")
    gan.compile(used, "adam")
    with pytest.raises(ValueError, match="d_optimizer, which was built for other weights"):
        gan.compile("adam", used)


@pytest.mark.parametrize("optimizer", ["LossScaleOptimizer", "Lamb"])
def test_every_optimizer_comes_back_from_a_saved_model(make_gan, tmp_path, optimizer):
    wrapped = {
        "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        "Lamb": keras.optimizers.Lamb,
    }[optimizer]
    gan = make_gan(wrapped(), wrapped())
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert type(loaded.d_optimizer) is type(gan.d_optimizer)


def test_compile_takes_numbers_of_numpy(make_gan, tiny_images):
    gan = make_gan(d_steps=np.int64(2), ema_decay=np.float32(0.5), steps_per_execution=np.int8(2))
    gan.fit(tiny_images, batch_size=8, verbose=0)
    assert gan.steps == 4
