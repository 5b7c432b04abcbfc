"""The GAN: two networks, two optimisers, and a train step that runs both phases in one graph."""

import random
from collections.abc import Generator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fashion_gan import borders, losses, optimizers, xla
from fashion_gan.resumption import EpochStart, Resumption
from fashion_gan.training import Means, frozen, on_replicas, replica_share, update

__all__ = ["GAN"]

_LOGGED = (
    "d_loss",
    "g_loss",
    "d_accuracy_real",
    "d_accuracy_fake",
    "d_logit_real",
    "d_logit_fake",
)


@keras.saving.register_keras_serializable("fashion_gan")
class GAN(keras.Model):
    """A generator and a discriminator, trained against each other by `fit()`.

    One train step updates the discriminator on a batch of fakes and reals (targets 0 for fake, 1
    for real) and then the generator through the frozen discriminator (all targets 1), with fresh
    latents in each phase. Frozen means that no weight moves: neither batch-norm statistics nor
    kernels that a layer normalises.

    Args:
        generator: maps latents `(batch, latent_dim)` to images `(batch, height, width, channels)`,
            or without the channels axis.
        discriminator: maps such images to `(batch, 1)`: logits, or probabilities if its last layer
            ends in a sigmoid. In the latter case the losses still see the logits, from behind it.
        latent_dim: size of a latent vector; by default read off a built generator.
        value_range: `(low, high)` of the images; by default read off the generator's last
            activation, (0, 1) for a sigmoid and (-1, 1) for a tanh.
        seed: of the latents; by default drawn from Python's `random`, which
            `keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: if the shapes of the two networks and `latent_dim` do not fit together, or if
            `latent_dim` or `value_range` cannot be read off.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, algorithm 1.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        latent_dim: int | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim = borders.latent_dim(generator, latent_dim)
        borders.build(generator, discriminator, self.latent_dim)
        self.generator = generator
        self.discriminator = discriminator
        self.image_shape: tuple[int, ...] = tuple(generator.output_shape[1:])
        self.value_range = borders.value_range(generator, value_range)
        self.xla: xla.Choice | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._logits = borders.behind_the_sigmoid(discriminator)
        self._float = generator.variable_dtype
        self._means = Means(_LOGGED, name="means")
        self._random_state = self.add_weight(
            name="random_state",  # (seed, number of train steps so far)
            shape=(2,),
            dtype="int64",
            initializer=lambda shape, dtype: ops.convert_to_tensor(
                [random.getrandbits(31) if seed is None else seed, 0], dtype
            ),
            trainable=False,
            aggregation="only_first_replica",
        )
        self._generate = tf.function(
            lambda latents: generator(latents, training=False),
            input_signature=[tf.TensorSpec((None, self.latent_dim), self._float)],
        )
        self._resumption = Resumption()
        self.built = True

    def compile(
        self,
        g_optimizer: Any = "rmsprop",
        d_optimizer: Any = "rmsprop",
        loss: str | dict[str, Any] | losses.AdversarialLoss = "binary_crossentropy",
        *,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Choose optimisers and loss.

        Args:
            g_optimizer: of the generator: a name, a config or an optimiser that no other model
                uses.
            d_optimizer: of the discriminator, likewise.
            loss: a name of `losses.LOSSES` or an `AdversarialLoss`.
            jit_compile: `True`, `False` or `"auto"`; `gan.xla` tells what was chosen and why.
            run_eagerly: run the step without compiling it, for debugging.
            steps_per_execution: train steps in one call of the compiled graph; callbacks then see
                every `steps_per_execution`-th batch.

        Raises:
            ValueError: for an unknown name, or one optimiser for both networks.
        """
        networks = (self.generator, self.discriminator)
        self.loss_function = losses.get(loss)
        borders.check_optimizers(g_optimizer, d_optimizer)
        borders.check_batch_norm(networks, self.distribute_strategy.num_replicas_in_sync)
        self._compile_arguments = {
            "g_optimizer": keras.optimizers.serialize(keras.optimizers.get(g_optimizer)),
            "d_optimizer": keras.optimizers.serialize(keras.optimizers.get(d_optimizer)),
            "loss": keras.saving.serialize_keras_object(self.loss_function),
            "jit_compile": jit_compile,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
        }
        half = any(borders.computes_in_float16(network) for network in networks)
        with self.distribute_strategy.scope():
            self.xla = xla.choose(jit_compile, networks, run_eagerly)
            self.g_optimizer = optimizers.make(g_optimizer, self.generator, "g_optimizer", half)
            self.d_optimizer = optimizers.make(d_optimizer, self.discriminator, "d_optimizer", half)
        super().compile(
            optimizer=None,
            jit_compile=self.xla.enabled,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self.optimizer = optimizers.OptimizerPair(
            [self.g_optimizer, self.d_optimizer], lambda: self._random_state[1]
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means that `fit()` logs and resets each epoch."""
        return [self._means]

    @property
    def steps(self) -> int:
        """Number of train steps done so far, over all calls of `fit()`."""
        return int(self._random_state[1])

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on real images, as `keras.Model.fit` does.

        Args:
            x: `(batch, *image_shape)` floats in `value_range`, with or without a channels axis of
                1: a `tf.data.Dataset` of batches (whose further components are ignored), an array,
                or anything else that Keras takes.
            y: ignored, like labels in a dataset.
            batch_size: for arrays, as in `keras.Model.fit`; and so are the rest.
            epochs: number of the last epoch.
            verbose: 0, 1 or 2.
            callbacks: Keras' and ours.
            kwargs: `validation_data`, `initial_epoch`, `steps_per_epoch`, ….

        Raises:
            ValueError: if the images are of another shape or range than the generator's, or if
                there is no batch; or if several replicas cannot share the batches equally.
        """
        if self.compiled:
            borders.check_images(x, self.image_shape, self.value_range)
        borders.check_shares(self.distribute_strategy, x, batch_size, **kwargs)
        if isinstance(x, tf.data.Dataset | Generator):
            kwargs.setdefault("shuffle", False)  # Keras warns that it cannot shuffle these
        start = EpochStart(x, lambda: self._resumption)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            start.set_model(self)
            callbacks.callbacks.insert(0, start)
        else:
            callbacks = [start, *keras.tree.flatten(callbacks or [])]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Losses and accuracies on held-out images, as `keras.Model.evaluate` returns them."""
        borders.check_shares(self.distribute_strategy, x, batch_size)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def resume_at(self, epoch: int, batch: int = 0, metrics: list[Any] | None = None) -> None:
        """Let the next `fit()` go on within a run whose weights have been loaded.

        Args:
            epoch: the epoch to go on with, counted from 0.
            batch: so many batches of that epoch are drawn and dropped, since they are done.
            metrics: values for `metrics_variables` at that point, as arrays or nested lists.

        Raises:
            ValueError: if `batch` is no multiple of `steps_per_execution`.
        """
        self._initial_epoch = epoch
        self._resumption = Resumption(batch, metrics)
        self.make_train_function()
        train: Any = self.train_function
        self.train_function: Any = self._resumption.skipping(self, train)

    def reseed(self) -> None:
        """Draw other latents from now on, those of a seed that is a function of the present one."""
        self._random_state.assign([(int(self._random_state[0]) + 0x9E3779B9) % 2**31, self.steps])

    def make_train_function(self, force: bool = False) -> Any:
        """The function that makes train steps in `fit()`."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = on_replicas(self, self.train_step)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """The function that makes test steps in `evaluate()`."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function: Any = on_replicas(self, self.test_step)
        return self.test_function

    def call(self, latents: Any, training: bool = False) -> Any:
        """Images for latents `(batch, latent_dim)`."""
        return self.generator(latents, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update of the discriminator, then one of the generator; the running means."""
        real = self._real_images(data)
        with tf.control_dependencies([real]):  # where the data ends, nothing moves any more
            d_loss, real_logits, fake_logits = self._train_discriminator(real)
            g_loss = self._train_generator(ops.shape(real)[0])
            self._random_state.assign_add([0, 1])
            return self._log(d_loss, g_loss, real_logits, fake_logits)

    def _train_discriminator(self, real: Any) -> tuple[Any, Any, Any]:
        latents = self.draw_latents(ops.shape(real)[0], 2 * self._random_state[1])
        fake = frozen(self.generator, lambda: self.generator(latents, training=True))
        with tf.GradientTape() as tape:
            real_logits, fake_logits = self._discriminate(real, fake, training=True)
            loss = ops.mean(self.loss_function.discriminator(real_logits, fake_logits))
            scaled = self.d_optimizer.scale_loss(replica_share(loss))
        update(self.discriminator, self.d_optimizer, tape, scaled)
        return loss, real_logits, fake_logits

    def _train_generator(self, batch_size: Any) -> Any:
        latents = self.draw_latents(batch_size, 2 * self._random_state[1] + 1)
        with tf.GradientTape() as tape:
            fake = self.generator(latents, training=True)
            logits = frozen(self.discriminator, lambda: self._logits(fake, training=True))
            loss = ops.mean(self.loss_function.generator(ops.cast(logits, self._float)))
            scaled = self.g_optimizer.scale_loss(replica_share(loss))
        update(self.generator, self.g_optimizer, tape, scaled)
        return loss

    def test_step(self, data: Any) -> dict[str, Any]:
        """The losses and accuracies on held-out images; nothing but the running means moves."""
        real = self._real_images(data)
        latents = self.draw_latents(ops.shape(real)[0], -1 - self._means.batches)
        fake = self.generator(latents, training=False)
        real_logits, fake_logits = self._discriminate(real, fake, training=False)
        d_loss = ops.mean(self.loss_function.discriminator(real_logits, fake_logits))
        g_loss = ops.mean(self.loss_function.generator(fake_logits))
        return self._log(d_loss, g_loss, real_logits, fake_logits)

    def draw_latents(self, batch_size: Any, index: Any) -> Any:
        """Standard normals `(batch_size, latent_dim)`: a function of the GAN's seed and `index`.

        Training step `n` uses the indices `2 n` and `2 n + 1`, evaluation the negative ones. Of
        several replicas, each gets its rows of what a single one would draw for them all.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        latents = tf.random.stateless_normal(
            (batch_size * replicas, self.latent_dim),
            seed=ops.stack([self._random_state[0], ops.cast(index, "int64")]),
            dtype=self._float,
            alg="philox",
        )
        if replicas == 1:
            return latents
        return latents[context.replica_id_in_sync_group * batch_size :][:batch_size]

    def sample(
        self, count: int | None = None, *, latents: Any = None, seed: int | None = None
    ) -> np.ndarray:
        """Generate images, without touching the random state of training.

        Args:
            count: number of images, for random latents.
            latents: `(count, latent_dim)`, in place of `count` and `seed`.
            seed: the same seed gives the same latents; by default they are new in each call.

        Returns:
            float32 images `(count, *image_shape)` in `value_range`.

        Raises:
            ValueError: unless exactly one of `count` and `latents` is given, and fits.
        """
        if latents is None:
            if count is None or count < 1:
                raise ValueError(f"Expected a positive number of images. Received: count={count}.")
            latents = np.random.default_rng(seed).standard_normal((count, self.latent_dim))
        elif count is not None or seed is not None:
            raise ValueError("Expected either `latents`, or `count` and `seed`. Received both.")
        latents = np.asarray(latents, self._float)
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(
                f"Expected latents of shape (count, {self.latent_dim}). "
                f"Received: latents.shape={latents.shape}."
            )
        batches = [latents[i : i + 512] for i in range(0, len(latents), 512)]
        return np.concatenate([self._generate(b).numpy() for b in batches]).astype("float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with both networks serialised."""
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_dim": self.latent_dim,
            "value_range": list(self.value_range),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GAN":
        """The GAN that `get_config()` describes, with fresh weights."""
        networks = ("generator", "discriminator")
        built = {name: keras.saving.deserialize_keras_object(config[name]) for name in networks}
        return cls(**{**config, **built})

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, serialised; empty before it was called."""
        return dict(self._compile_arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` says."""
        self.compile(**config)

    def save_own_variables(self, store: Any) -> None:
        """Save the random states: the latents', and those of both networks' layers."""
        for index, variable in enumerate(self._random_states()):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load the random states."""
        variables = self._random_states()
        if len(store.keys()) != len(variables):
            raise ValueError(
                f"The file holds {len(store.keys())} random states, this GAN has {len(variables)}: "
                "it was saved from other networks."
            )
        for index, variable in enumerate(variables):
            variable.assign(store[str(index)])

    def _random_states(self) -> list[Any]:
        networks = [*self.generator.variables, *self.discriminator.variables]
        return [self._random_state, *(v for v in networks if v.name == "seed_generator_state")]

    def _real_images(self, data: Any) -> Any:
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        borders.check_shape(images.shape[1:], self.image_shape)
        return ops.reshape(ops.cast(images, self._float), (-1, *self.image_shape))

    def _discriminate(self, real: Any, fake: Any, training: bool) -> tuple[Any, Any]:
        """Logits of both halves, from one pass over the fakes and then the reals."""
        both = ops.concatenate([ops.cast(fake, self._float), real])
        logits = self._logits(both, training=training)
        fake_logits, real_logits = ops.split(ops.cast(logits, self._float), 2)
        return real_logits, fake_logits

    def _log(self, d_loss: Any, g_loss: Any, real_logits: Any, fake_logits: Any) -> dict[str, Any]:
        self._means.update_state(
            [
                d_loss,
                g_loss,
                ops.mean(ops.cast(real_logits > 0, self._float)),
                ops.mean(ops.cast(fake_logits < 0, self._float)),
                ops.mean(real_logits),
                ops.mean(fake_logits),
            ]
        )
        return self.get_metrics_result()
