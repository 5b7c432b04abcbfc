"""The GAN: two networks, two optimisers, and a train step that runs both phases in one graph."""

from collections.abc import Generator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan import borders, ema, losses, optimizers, xla
from fashion_gan import penalties as gradient_penalties
from fashion_gan import remedies as all_remedies
from fashion_gan.execution import Execution
from fashion_gan.models import MinibatchDeviation
from fashion_gan.pair import Pair, with_labels
from fashion_gan.registry import guessing
from fashion_gan.remedies import Draws, Shown
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
_GRADIENTS = ("d_gradient_norm", "d_update_ratio", "g_gradient_norm", "g_update_ratio")


@keras.saving.register_keras_serializable("fashion_gan")
class GAN(Pair):
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
        num_classes: if both networks take labels `(batch,)` as their second input, the labels are
            from 0 to `num_classes - 1`; by default read off a `models.OneHot` or `Embedding` layer.
        value_range: `(low, high)` of the images; by default read off the generator's last
            activation, (0, 1) for a sigmoid and (-1, 1) for a tanh, as for their hard forms.
        seed: of the latents; by default drawn from Python's `random`, which
            `keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: if the shapes of the two networks and `latent_dim` do not fit together, or if
            `latent_dim`, `num_classes` or `value_range` cannot be read off.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, algorithm 1.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.xla: xla.Choice | None = None
        self._resumption = Resumption()
        self._execution = Execution(self)
        self.remedies: list[all_remedies.Remedy] = []
        layers = self.discriminator._flatten_layers()
        self._group = max(
            (la.group for la in layers if isinstance(la, MinibatchDeviation)), default=1
        )

    @guessing(optimizer="A GAN has two: g_optimizer and d_optimizer.")
    def compile(
        self,
        g_optimizer: Any = "rmsprop",
        d_optimizer: Any = "rmsprop",
        loss: str | dict[str, Any] | losses.AdversarialLoss = "binary_crossentropy",
        *,
        penalties: Any = (),
        remedies: Any = (),
        ema_decay: float | None = None,
        d_steps: int = 1,
        log_gradients: bool = False,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Choose optimisers, loss, and what steadies the game.

        Args:
            g_optimizer: of the generator: a name, a config or an optimiser that no other model
                uses.
            d_optimizer: of the discriminator, likewise.
            loss: a name of `losses.LOSSES` or an `AdversarialLoss`.
            penalties: of the discriminator's slope, such as `[penalties.R1(0.1)]`; they are
                logged as `d_penalty`, apart from `d_loss`.
            remedies: what changes what the discriminator is shown and told, in their order, such as
                `[remedies.Replay(), remedies.InstanceNoise(0.1)]`.
            ema_decay: keep an average of the generator's weights, of which a step forgets
                `1 - ema_decay`: `gan.average`, which then draws the samples. `ema.decay_of` gives
                it for a half-life in images.
            d_steps: updates of the discriminator in a step, each on its part of the batch, before
                one of the generator, which makes as many fakes as such a part has images.
            log_gradients: also log the norm of each network's gradient and, as `…_update_ratio`,
                the norm of the update of its weights over that of the weights.
            jit_compile: `True`, `False` or `"auto"`; `gan.xla` tells what was chosen and why.
            run_eagerly: run the step without compiling it, for debugging.
            steps_per_execution: train steps in one call of the compiled graph; callbacks then see
                every `steps_per_execution`-th batch. With XLA, it pays most to give `fit()` a
                dataset of `data.make_dataset` as it is: see `execution`.

        Raises:
            ValueError: for an unknown name, a number out of range, or one optimiser for both
                networks.
        """
        networks = (self.generator, self.discriminator)
        self.loss_function = losses.get(loss)
        self.penalties = gradient_penalties.get_all(penalties)
        self._in_passing = gradient_penalties.in_passing(self.penalties, self.discriminator)
        chosen = all_remedies.get_all(remedies)
        for old in self.remedies:
            self._tracker.untrack(old)
        self.remedies = chosen
        borders.check_optimizers(g_optimizer, d_optimizer)
        borders.check_numbers(ema_decay, d_steps)
        borders.check_batch_norm(networks, self.distribute_strategy.num_replicas_in_sync)
        self._compile_arguments = {
            "g_optimizer": keras.optimizers.serialize(keras.optimizers.get(g_optimizer)),
            "d_optimizer": keras.optimizers.serialize(keras.optimizers.get(d_optimizer)),
            "loss": keras.saving.serialize_keras_object(self.loss_function),
            "penalties": [keras.saving.serialize_keras_object(p) for p in self.penalties],
            "remedies": [keras.saving.serialize_keras_object(r) for r in self.remedies],
            "ema_decay": ema_decay,
            "d_steps": d_steps,
            "log_gradients": log_gradients,
            "jit_compile": jit_compile,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
        }
        self.ema_decay, self.d_steps, self.log_gradients = ema_decay, d_steps, log_gradients
        names = [*_LOGGED, *(["d_penalty"] if self.penalties else [])]
        names += _GRADIENTS if log_gradients else []
        half = any(borders.computes_in_float16(network) for network in networks)
        with self.distribute_strategy.scope():
            self._means = Means(names, name="means")
            self.xla = xla.choose(jit_compile, networks, run_eagerly)
            self.g_optimizer = optimizers.make(g_optimizer, self.generator, "g_optimizer", half)
            self.d_optimizer = optimizers.make(d_optimizer, self.discriminator, "d_optimizer", half)
            if ema_decay is not None and self.average is None:
                self.average = ema.twin(self.generator)
            for remedy in self.remedies:
                if isinstance(remedy, keras.layers.Layer) and not remedy.built:
                    remedy.build((None, *self.image_shape))
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
                1: a `tf.data.Dataset` of batches or of pairs of them and labels, an array, or
                anything else that Keras takes.
            y: labels of arrays: integers from 0 to `num_classes - 1`, not one-hot. They are needed,
                here or in the dataset, if the networks are conditional, and else ignored.
            batch_size: for arrays, of a whole step, all `d_steps` together; the rest as in Keras.
            epochs: number of the last epoch.
            verbose: 0, 1 or 2.
            callbacks: Keras' and ours.
            kwargs: `validation_data`, `initial_epoch`, `steps_per_epoch`, ….

        Raises:
            ValueError: if the images are of another shape or range than the generator's, or if
                there is no batch; or if several replicas cannot share the batches equally.
        """
        if self.compiled:
            borders.check_images(x, y, self.image_shape, self.value_range, self.num_classes)
        borders.check_weights(**kwargs)
        borders.check_shares(self.distribute_strategy, x, batch_size, **kwargs)
        if isinstance(x, tf.data.Dataset | Generator):
            kwargs.setdefault("shuffle", False)  # Keras warns that it cannot shuffle these
        start = EpochStart(x, lambda: self._resumption)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            start.set_model(self)
            callbacks.callbacks.insert(0, start)
        else:
            callbacks = [start, *keras.tree.flatten(callbacks or [])]
        with self._execution.fed(x) as fed:
            # By name, as those who wrap Keras' fit() look for them.
            named = {"batch_size": batch_size, "epochs": epochs, "verbose": verbose}
            return super().fit(x=fed, y=y, callbacks=callbacks, **named, **kwargs)

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
        self.train_function: Any = self._resumption.skipping(self, train, self._execution.drop)

    def reseed(self) -> None:
        """Draw other latents from now on, those of a seed that is a function of the present one."""
        self._random_state.assign([(int(self._random_state[0]) + 0x9E3779B9) % 2**31, self.steps])

    def make_train_function(self, force: bool = False) -> Any:
        """The function that makes train steps in `fit()`."""
        if self.train_function is None or force:
            if self.distribute_strategy.num_replicas_in_sync == 1:
                super().make_train_function(force)
                self.train_function = self._execution.function(self.train_function)
            else:
                self.train_function = on_replicas(self, self.train_step, self.get_metrics_result)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """The function that makes test steps in `evaluate()`."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function: Any = on_replicas(self, self.test_step, self._test_logs)
        return self.test_function

    def train_step(self, data: Any) -> dict[str, Any]:
        """`d_steps` updates of the discriminator, then one of the generator; the running means."""
        real = self._real_images(data)
        with tf.control_dependencies([real.images]):  # where the data ends, nothing moves any more
            first = self._random_state[1] * (self.d_steps + 1)  # of the indices of this step
            parts = real.split(self.d_steps)
            logs = [self._train_discriminator(part, first + i) for i, part in enumerate(parts)]
            numbers = {name: ops.mean(ops.stack([log[name] for log in logs])) for name in logs[0]}
            numbers.update(self._train_generator(parts[-1], first + self.d_steps))
            if self.ema_decay is not None:
                ema.follow(self.average, self.generator, self.ema_decay, self._random_state[1])
            self._random_state.assign_add([0, 1])
            self._means.update_state(numbers)
            return self.get_metrics_result()

    def _train_discriminator(self, real: Shown, index: Any) -> dict[str, Any]:
        fake = frozen(self.generator, lambda: self._fakes(real, index))
        for remedy, draws in self._remedy_draws(real, index, "learned"):
            fake = remedy.learned(fake, draws)
        real, fake = self._seen(real, index, "real"), self._seen(fake, index, "fake")
        with tf.GradientTape() as tape:
            logits, slopes = self._discriminate(real, fake, True, self._in_passing != [])
            told = real_logits, fake_logits = logits
            for remedy, draws in self._remedy_draws(real, index, "told"):
                told = remedy.told(*told, draws)
            loss = ops.mean(self.loss_function.discriminator(*told))
            penalty = [
                ops.mean(
                    p.weight * p.cost(slopes[p.at_fakes])
                    if p in self._in_passing
                    else self._penalty(p, real, fake, index)
                )
                for p in self.penalties
            ]
            scaled = self.d_optimizer.scale_loss(replica_share(sum(penalty, start=loss)))
        sizes = update(self.discriminator, self.d_optimizer, tape, scaled, self.log_gradients)
        return {
            "d_loss": loss,
            **self._accuracies(real_logits, fake_logits),
            **({"d_penalty": sum(penalty)} if penalty else {}),
            **{f"d_{name}": size for name, size in sizes.items()},
        }

    def _penalty(
        self, penalty: gradient_penalties.GradientPenalty, real: Shown, fake: Shown, index: Any
    ) -> Any:
        """The penalty for each image; in a step that a lazy one leaves out, zeros."""
        uniform = self._draws(ops.shape(real.images)[0], index, type(penalty).__name__).uniform
        labels = fake.labels if penalty.at_fakes else real.labels
        judge = lambda images: self._judge(Shown(images, labels))

        def cost() -> Any:
            return frozen(
                self.discriminator, lambda: penalty(judge, real.images, fake.images, uniform)
            )

        if penalty.lazy == 1:
            return cost()
        due = self._random_state[1] % penalty.lazy == 0
        none = tf.zeros(tf.shape(real.images)[:1], self._float)
        return tf.cond(due, lambda: penalty.lazy * cost(), lambda: none)

    def _train_generator(self, real: Shown, index: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            fake = self._seen(self._fakes(real, index), index, "fake")
            paired = self.loss_function.paired
            rival = self._seen(real, index, "real") if paired else None
            real_logits, fake_logits = frozen(
                self.discriminator,
                lambda: (None if rival is None else self._judge(rival), self._judge(fake)),
            )
            loss = ops.mean(self.loss_function.generator(real_logits, fake_logits))
            scaled = self.g_optimizer.scale_loss(replica_share(loss))
        sizes = update(self.generator, self.g_optimizer, tape, scaled, self.log_gradients)
        return {"g_loss": loss, **{f"g_{name}": size for name, size in sizes.items()}}

    def test_step(self, data: Any) -> dict[str, Any]:
        """The losses and accuracies on held-out images; nothing but the running means moves."""
        real = self._real_images(data)
        fake = self._fakes(real, -1 - self._means.batches, training=False)
        (real_logits, fake_logits), _ = self._discriminate(real, fake, training=False)
        numbers = {
            "d_loss": ops.mean(self.loss_function.discriminator(real_logits, fake_logits)),
            "g_loss": ops.mean(self.loss_function.generator(real_logits, fake_logits)),
            **self._accuracies(real_logits, fake_logits),
        }
        self._means.update_state(numbers)
        return self._test_logs()

    def _test_logs(self) -> dict[str, Any]:
        logs = self._means.result()
        return {name: logs[name] for name in _LOGGED}

    def _real_images(self, data: Any) -> Shown:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        borders.check_shape(images.shape[1:], self.image_shape)
        borders.check_parts(images.shape[0], self.d_steps, self._group)
        images = ops.reshape(ops.cast(images, self._float), (-1, *self.image_shape))
        if self.num_classes is None:
            return Shown(images)
        borders.check_labelled(labels)
        return Shown(images, ops.reshape(ops.cast(labels, "int32"), (-1,)))

    def _fakes(self, real: Shown, index: Any, training: bool = True) -> Shown:
        """As many fakes as reals, and of the same classes."""
        latents = self.draw_latents(ops.shape(real.images)[0], index)
        images = self.generator(with_labels(latents, real.labels), training=training)
        return Shown(ops.cast(images, self._float), real.labels)

    def _seen(self, images: Shown, index: Any, which: str) -> Shown:
        """The images as the remedies let the discriminator see them."""
        step, low = self._random_state[1], self.value_range[0]
        for remedy, draws in self._remedy_draws(images, index, f"seen {which}"):
            images = images._replace(images=remedy.seen(images.images, draws, step, low))
        return images

    def _remedy_draws(self, images: Shown, index: Any, place: str) -> list[tuple[Any, Draws]]:
        """Each remedy with the random numbers for one of the places that it changes."""
        size = ops.shape(images.images)[0]
        return [
            (remedy, self._draws(size, index, f"{place} {position}"))
            for position, remedy in enumerate(self.remedies)
        ]

    def _accuracies(self, real_logits: Any, fake_logits: Any) -> dict[str, Any]:
        boundary = self.loss_function.boundary(real_logits, fake_logits)
        return {
            "d_accuracy_real": ops.mean(ops.cast(real_logits > boundary, self._float)),
            "d_accuracy_fake": ops.mean(ops.cast(fake_logits < boundary, self._float)),
            "d_logit_real": ops.mean(real_logits),
            "d_logit_fake": ops.mean(fake_logits),
        }
