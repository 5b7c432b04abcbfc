"""Provides the GAN: a Keras model that trains two networks in one compiled step."""

import io
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fashion_gan import augmentations as all_augmentations
from fashion_gan import hub, losses
from fashion_gan import penalties as gradient_penalties
from fashion_gan.export import write_export
from fashion_gan.keras_compat import (
    iter_layers,
    read_model,
    read_weights,
    set_initial_epoch,
    untrack,
    write_model,
    write_weights,
)
from fashion_gan.lecam import LeCam
from fashion_gan.lecam import get as get_lecam
from fashion_gan.models import MinibatchStdDev, build_networks, introspection
from fashion_gan.registry import lookup, suggest_arguments
from fashion_gan.replay import ReplayBuffer
from fashion_gan.replay import get as get_replay
from fashion_gan.runtime import build_scope
from fashion_gan.training import optimizers, train_step, validation, xla
from fashion_gan.training.distribute import distributed_step, local_replicas
from fashion_gan.training.ema import EMANetwork
from fashion_gan.training.executor import Executor
from fashion_gan.training.inputs import NO_BATCH, InputChecks, check_shape
from fashion_gan.training.power_averages import PowerAverages
from fashion_gan.training.random import StepRandom
from fashion_gan.training.resume import ResumeState, SetEpoch
from fashion_gan.training.updates import MeanTracker
from fashion_gan.typing import LabeledImages, Labels, Latents

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
class GAN(keras.Model):
    """Trains a generator and a discriminator against each other in `fit()`.

    One train step updates the discriminator on a batch of fakes and reals (targets 0 for fake, 1
    for real) and then the generator through the frozen discriminator (all targets 1), with fresh
    latents in each phase. No weight of a frozen network changes, including batch-norm statistics
    and kernels that a layer normalizes. Regularizers and added losses of a network are part of its
    own loss, as in Keras.

    Args:
        generator: Network of latents `(batch, latent_dim)` that returns images
            `(batch, height, width[, channels])`. Any Keras model: sequential, functional, or a
            subclass, built or not.
        discriminator: Network of images that returns outputs `(batch, 1)`. They are logits, or
            probabilities if the last operation is a sigmoid. The losses use the logits in both
            cases.
        latent_dim: Size of a latent vector. Defaults to the input size of a built generator.
        value_range: Range `(low, high)` of the images. Defaults to the bounds of the generator's
            last operation, such as (0, 1) for a sigmoid and (-1, 1) for a tanh.
        num_classes: Number of classes, if both networks take labels `(batch,)` from 0 to
            `num_classes - 1` as their second input. Defaults to the size of a `models.OneHot` or
            `Embedding` layer.
        projector: Frozen network of images, whose output is what the discriminator sees in place of
            the images, such as `models.imagenet_projector`. Gradient penalties then refer to this
            output, and the discriminator may return several logits `(batch, heads)`. Defaults to
            None.
        seed: Seed of the latents. Defaults to a number from Python's `random`, which
            `keras.utils.set_random_seed` seeds.
        **kwargs: Arguments `name`, `dtype` and `trainable` of a Keras model.

    Raises:
        ValueError: If the networks do not fit together, if `latent_dim`, `num_classes` or
            `value_range` cannot be inferred, or if the discriminator bounds its outputs by [0, 1]
            without a sigmoid as its last operation.

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
        num_classes: int | None = None,
        projector: keras.Model | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        validation.check_networks(generator, discriminator)
        validation.check_seed(seed)
        self.num_classes = introspection.infer_num_classes(generator, discriminator, num_classes)
        self.latent_dim = introspection.infer_latent_dim(generator, latent_dim)
        latents = self._with_label_input(keras.Input((self.latent_dim,), name="latents"))
        output_shape = introspection.build_network(generator, latents)
        self.image_shape = validation.check_image_shape(generator, output_shape)
        validation.check_channels_last((generator, discriminator), self.image_shape)
        seen_shape = self.image_shape
        if projector is not None:
            validation.check_projector(projector)
            images = keras.Input(self.image_shape, name="images")
            seen_shape = validation.check_projector_output(
                projector, introspection.build_network(projector, images)
            )
            projector.trainable = False
        images = self._with_label_input(keras.Input(seen_shape, name="images"))
        validation.check_discriminator_input(discriminator, seen_shape)
        output_shape = introspection.build_network(discriminator, images)
        validation.check_discriminator_output(discriminator, output_shape, projector is not None)
        self.value_range = introspection.infer_value_range(generator, latents, value_range)
        self._logits = introspection.logits_function(discriminator, images)
        self._symbolic_inputs = {"generator": latents, "discriminator": images}
        self.generator = generator
        self.discriminator = discriminator
        self.projector = projector
        self.ema_generator: EMANetwork | None = None
        self.ema_decay: float | None = None
        self.power_averages: PowerAverages | None = None
        self.replay: ReplayBuffer | None = None
        self.lecam: LeCam | None = None
        self.augment_probability: Any = 1.0
        self.jit_decision: xla.JitDecision | None = None
        self.may_fall_back = False
        self._float = generator.variable_dtype
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
        self._compile_arguments: dict[str, Any] = {}
        self._samplers: dict[str, tuple[Any, Any]] = {}
        self._load_error: ValueError | None = None
        self._executor = Executor(self, self._turn_jit_off)
        self.group_size = max(
            (
                layer.group_size
                for layer in iter_layers(discriminator)
                if isinstance(layer, MinibatchStdDev)
            ),
            default=1,
        )
        self.built = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("generator", "discriminator") and getattr(self, name, value) is not value:
            raise AttributeError(
                f"Expected a GAN to keep its {name}, since its optimizers, average and checks "
                "depend on it. Received: another network. Build a new "
                "GAN(generator, discriminator)."
            )
        super().__setattr__(name, value)

    def _with_label_input(self, x: Any) -> Any:
        """Returns `x`, or for a conditional GAN a list of `x` and a symbolic input for labels."""
        if self.num_classes is None:
            return x
        return [x, keras.Input((), dtype="int32", name="labels")]

    @suggest_arguments(optimizer="A GAN has two: g_optimizer and d_optimizer.")
    def compile(
        self,
        g_optimizer: Any = "rmsprop",
        d_optimizer: Any = "rmsprop",
        loss: str | dict[str, Any] | losses.AdversarialLoss = "binary_crossentropy",
        *,
        penalties: Any = (),
        augmentations: Any = (),
        augment_p: Any = None,
        replay: Any = None,
        lecam: Any = None,
        ema_decay: float | None = None,
        post_hoc_ema: bool = False,
        d_steps: int = 1,
        accumulate: int = 1,
        log_gradients: bool = False,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Configures the optimizers, the loss and the regularization of the training.

        Args:
            g_optimizer: Optimizer of the generator: a name, a config or an optimizer that no other
                model uses. Defaults to `"rmsprop"`.
            d_optimizer: Optimizer of the discriminator: a name, a config or another optimizer.
                Defaults to `"rmsprop"`.
            loss: Name of `losses.LOSSES`, config or `AdversarialLoss`. Defaults to
                `"binary_crossentropy"`.
            penalties: Gradient penalties of the discriminator, such as `[penalties.R1(0.1)]`. They
                are logged as `d_penalty`, separately from `d_loss`. Defaults to none.
            augmentations: Augmentations of all images that the discriminator sees, in order, such
                as `[augmentations.Translation(0.125)]`. Defaults to none.
            augment_p: Factor of the probability of each augmentation: a number from 0 to 1, a
                schedule of Keras as a function of the number of train steps, `"adaptive"` or
                `AdaptiveProbability`. `callbacks.AdaptiveAugmentation` adapts the last two,
                starting at 0. The factor is logged as `augment_p` unless it is constant. Defaults
                to 1.
            replay: `ReplayBuffer` of past fakes, or its capacity. Defaults to no buffer.
            lecam: `LeCam` regularization of the discriminator, or its weight. It is logged as
                `d_lecam`. Defaults to no regularization.
            ema_decay: Decay per step of an exponential moving average of the generator's weights.
                `gan.ema_generator` then generates the samples. Only train steps update it: after
                `generator.set_weights()`, call `gan.ema_generator.reset()`.
                `training.ema.decay_from_half_life` converts a half-life in images. Defaults to no
                average.
            post_hoc_ema: Whether to keep two power-function averages of the generator in
                `gan.power_averages`. From the snapshots of `callbacks.PowerAverageSnapshots`, the
                length of the average can be chosen after training. Defaults to False.
            d_steps: Number of discriminator updates in a step, each on its own part of the batch.
                One generator update follows, with as many fakes as one part has images. Defaults
                to 1.
            accumulate: Number of equal parts into which each update splits its images. Gradients
                are averaged over the parts, one of which is in memory at a time. Batch
                normalization and `MinibatchStdDev` see one part at a time. Defaults to 1.
            log_gradients: Whether to log the norm of each network's gradient, and as
                `…_update_ratio` the norm of its update divided by the norm of its weights. Defaults
                to False.
            jit_compile: `True`, `False` or `"auto"`, which falls back to TensorFlow's kernels if
                XLA cannot compile. `gan.jit_decision` holds the decision and its reason. Defaults
                to `"auto"`.
            run_eagerly: Whether to run the step without compiling it, for debugging. Defaults to
                False.
            steps_per_execution: Number of train steps in one call of the compiled graph. Callbacks
                then see every `steps_per_execution`-th batch. With XLA, the speedup is largest if
                `fit()` gets a dataset of `data.make_dataset` without further transformations.
                Defaults to 1.

        Raises:
            ValueError: If a name is unknown, if a number is out of range, if both networks get one
                optimizer, or if a network has no trainable weights.
        """
        validation.check_optimizers(g_optimizer, d_optimizer)
        validation.check_hyperparameters(ema_decay, d_steps, accumulate, steps_per_execution)
        validation.check_trainable(self.generator, "generator")
        validation.check_trainable(self.discriminator, "discriminator")
        g_optimizer = optimizers.resolve_optimizer(g_optimizer, "g_optimizer")
        d_optimizer = optimizers.resolve_optimizer(d_optimizer, "d_optimizer")
        d_steps, accumulate = int(d_steps), int(accumulate)
        steps_per_execution = int(steps_per_execution)
        ema_decay = None if ema_decay is None else float(ema_decay)
        networks = [self.generator, self.discriminator]
        networks += [] if self.projector is None else [self.projector]
        with self.distribute_strategy.scope():
            jit_decision = xla.decide(jit_compile, networks, run_eagerly)
        validation.check_batch_norm(networks, self.distribute_strategy.num_replicas_in_sync)
        validation.check_added_losses(networks, local_replicas(self.distribute_strategy))
        self.loss_function = losses.get(loss)
        self.penalties = gradient_penalties.get_all(penalties)
        self.fused_penalties = gradient_penalties.fused_penalties(
            self.penalties, self.discriminator
        )
        self.augmentations = all_augmentations.get_all(augmentations)
        self.d_steps, self.accumulate, self.log_gradients = d_steps, accumulate, log_gradients
        self._record_compile_arguments(
            g_optimizer=g_optimizer,
            d_optimizer=d_optimizer,
            loss=self.loss_function,
            penalties=self.penalties,
            augmentations=self.augmentations,
            augment_p=(probability := all_augmentations.get_probability(augment_p)),
            replay=(buffer := get_replay(replay)),
            lecam=(regularization := get_lecam(lecam)),
            ema_decay=ema_decay,
            post_hoc_ema=post_hoc_ema,
            d_steps=d_steps,
            accumulate=accumulate,
            log_gradients=log_gradients,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        with self.distribute_strategy.scope():
            self._compile_optimizers(g_optimizer, d_optimizer)
            self._compile_average(ema_decay)
            self._compile_power_averages(post_hoc_ema)
            self._compile_part("replay", buffer)
            self._compile_part("lecam", regularization)
            self._compile_part("augment_probability", probability)
            self._mean_tracker = MeanTracker(self._log_names(), name="means")
        self.jit_decision = jit_decision
        self.may_fall_back = jit_compile == "auto" and jit_decision.enabled
        super().compile(
            optimizer=None,
            jit_compile=jit_decision.enabled,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self.optimizer = optimizers.OptimizerPair(
            [self.g_optimizer, self.d_optimizer], lambda: self.step_count
        )
        self._compiled_variables = self._trainable_ids()

    def _record_compile_arguments(self, **arguments: Any) -> None:
        """Stores the arguments of `compile` in serialized form."""
        plain = (bool, int, float, str, type(None))
        serialize = keras.saving.serialize_keras_object

        def record(value: Any) -> Any:
            if isinstance(value, list):
                return [serialize(item) for item in value]
            return value if isinstance(value, plain) else serialize(value)

        self._compile_arguments = {name: record(value) for name, value in arguments.items()}

    def _log_names(self) -> list[str]:
        names = [*_LOGGED, *(["d_penalty"] if self.penalties else [])]
        names += ["d_lecam"] if self.lecam else []
        names += [] if isinstance(self.augment_probability, float) else ["augment_p"]
        for name in ("discriminator", "generator"):
            if introspection.has_losses(getattr(self, name), self._symbolic_inputs[name]):
                names.append(f"{name[0]}_regularization")
        return names + (list(_GRADIENTS) if self.log_gradients else [])

    def _compile_optimizers(self, g_optimizer: Any, d_optimizer: Any) -> None:
        half = any(
            introspection.computes_in_float16(network)
            for network in (self.generator, self.discriminator)
        )
        self.g_optimizer = optimizers.build_optimizer(
            g_optimizer, self.generator, "g_optimizer", half
        )
        self.d_optimizer = optimizers.build_optimizer(
            d_optimizer, self.discriminator, "d_optimizer", half
        )

    def _compile_average(self, ema_decay: float | None) -> None:
        """Keeps, creates or drops the average. It exists if and only if `ema_decay` is given."""
        average = self.ema_generator
        if average is not None and (ema_decay is None or not average.follows(self.generator)):
            untrack(self, average)
            self.ema_generator = None
        if ema_decay is not None and self.ema_generator is None:
            self.ema_generator = EMANetwork(self.generator, name="ema_generator")
        self.ema_decay = ema_decay

    def _compile_power_averages(self, wanted: bool) -> None:
        """Keeps, creates or drops the power-function averages."""
        averages = self.power_averages
        if averages is not None and not (wanted and averages.follows(self.generator)):
            untrack(self, averages)
            self.power_averages = None
        if wanted and self.power_averages is None:
            self.power_averages = PowerAverages(self.generator, name="power_averages")

    def _compile_part(self, name: str, part: Any) -> None:
        """Keeps, replaces or drops a part of the step whose variables are saved with the GAN."""
        before = getattr(self, name)
        if isinstance(before, keras.Layer) and before is not part:
            untrack(self, before)
        setattr(self, name, part)
        if isinstance(part, keras.Layer) and not part.built:
            part.build((None, *self.image_shape))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns the running means that `fit()` logs and resets each epoch."""
        return [self._mean_tracker]

    @property
    def steps(self) -> int:
        """Returns the number of train steps so far, over all calls of `fit()`."""
        return int(self.step_count)

    @property
    def step_count(self) -> Any:
        """Returns the number of train steps so far as an int64 scalar tensor."""
        return self._random_state[1]

    @property
    def augment_p(self) -> Any:
        """Returns the current factor of the augmentations' probabilities, a float or a tensor."""
        probability = self.augment_probability
        return probability if isinstance(probability, float) else probability(self.step_count)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> keras.callbacks.History:
        """Trains on real images, as `keras.Model.fit` does.

        Args:
            x: Images `(batch, *image_shape)`, floats in `value_range`. A channels axis of 1 is
                optional. A `tf.data.Dataset` of batches or of pairs `(batch, labels)`, an array, or
                any other type that Keras supports.
            y: Labels of an array, integers `(n,)` or `(n, 1)` from 0 to `num_classes - 1`.
                Conditional networks require labels, here or in the dataset. Other networks ignore
                them. Defaults to None.
            batch_size: Number of images in a step of arrays, for all `d_steps` together. Defaults
                to 32.
            epochs: Number of the last epoch. Defaults to 1.
            verbose: Verbosity of the progress bar, 0, 1 or 2. Defaults to `"auto"`.
            callbacks: Callbacks of Keras and of this library. Defaults to none.
            validation_split: Fraction of an array to hold out for validation. Defaults to 0.
            validation_data: Held-out images in one of the forms of `x`, or a pair
                `(images, labels)`. Defaults to None.
            shuffle: Whether to shuffle arrays. Defaults to True.
            class_weight: Not supported.
            sample_weight: Not supported.
            initial_epoch: Index of the first epoch. With 0, a dataset of `data.make_dataset`
                continues with the order of the epoch that follows the steps so far. Defaults to 0.
            steps_per_epoch: Number of steps in an epoch of infinite data. Defaults to None.
            validation_steps: Number of validation batches of infinite data. Defaults to None.
            validation_batch_size: Number of images in a validation batch of arrays. Defaults to
                `batch_size`.
            validation_freq: Number of epochs between two validations. Defaults to 1.

        Returns:
            A `History` with the logs of each epoch.

        Raises:
            ValueError: If the images or labels do not fit the networks, if there is no batch, or if
                several replicas cannot share the batches equally.
        """
        self._check_compiled()
        validation.reject_sample_weight(sample_weight, class_weight)
        validation.check_replica_batches(
            self.distribute_strategy,
            x,
            batch_size,
            validation_data,
            validation_batch_size,
            validation_split,
        )
        y = np.asarray(y) if isinstance(y, list) else y
        checks = self._input_checks(self.d_steps, self.accumulate)
        images = checks.wrap(x, y, batch_size)
        validation_checks = self._input_checks()
        validation_data = validation_checks.wrap_validation(
            validation_data, validation_batch_size or batch_size
        )
        if not hasattr(x, "shape") and not isinstance(x, keras.utils.PyDataset):
            shuffle = False  # Keras warns that it cannot shuffle other sources
        start = SetEpoch(x, self._dataset_epoch, lambda: self._executor.resume, self._finalize)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            start.set_model(self)
            callbacks.callbacks.insert(0, start)
            listed = callbacks.callbacks
        else:
            callbacks = listed = [start, *keras.tree.flatten(callbacks or [])]
        validation.check_adaptive_probability(self.augment_probability, self.augmentations, listed)
        try:
            with (
                checks.raising(),
                validation_checks.raising(),
                self._executor.feed(images) as fed,
            ):
                # Libraries that wrap Keras' fit() look for keyword arguments.
                return super().fit(
                    x=fed,
                    y=y,
                    batch_size=batch_size,
                    epochs=epochs,
                    verbose=verbose,
                    callbacks=callbacks,
                    validation_split=validation_split,
                    validation_data=validation_data,
                    shuffle=shuffle,
                    initial_epoch=initial_epoch,
                    steps_per_epoch=steps_per_epoch,
                    validation_steps=validation_steps,
                    validation_batch_size=validation_batch_size,
                    validation_freq=validation_freq,
                )
        finally:
            set_initial_epoch(self, None)
            self._executor.resume = ResumeState()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Computes losses and accuracies on held-out images, as `keras.Model.evaluate` does.

        Args:
            x: Images in one of the forms that `fit` supports. Batches may have any size.
            y: Labels of an array. Defaults to None.
            batch_size: Number of images in a batch of arrays. Defaults to 32.
            verbose: Verbosity of the progress bar, 0, 1 or 2. Defaults to `"auto"`.
            sample_weight: Not supported.
            steps: Number of batches of infinite data. Defaults to None.
            callbacks: Callbacks of Keras. Defaults to none.
            return_dict: Whether to return a dict instead of a list. Defaults to False.
            **kwargs: Private arguments with which Keras' `fit` calls this method.

        Returns:
            The losses and scores, as a dict or a list.

        Raises:
            ValueError: Under the same conditions as `fit`.
        """
        arguments = {
            "batch_size": batch_size,
            "verbose": verbose,
            "steps": steps,
            "callbacks": callbacks,
            "return_dict": return_dict,
            **kwargs,
        }
        if kwargs.get("_use_cached_eval_dataset"):  # within fit(), which has checked the data
            return _not_empty(super().evaluate(x, y, **arguments))
        self._check_compiled()
        y = np.asarray(y) if isinstance(y, list) else y
        validation.reject_sample_weight(sample_weight)
        validation.check_replica_batches(self.distribute_strategy, x, batch_size)
        checks = self._input_checks()
        with checks.raising():
            return _not_empty(super().evaluate(checks.wrap(x, y, batch_size), y, **arguments))

    def _check_compiled(self) -> None:
        if not self.compiled:
            raise ValueError(
                "Expected a compiled GAN. Received: one without optimizers. Call compile() first."
            )
        if self._trainable_ids() != self._compiled_variables:
            raise ValueError(
                "Expected the trainable weights for which compile() has built the optimizers. "
                "Received: networks whose trainable weights have changed since, by `trainable`, "
                "LoRA or new layers, for instance. Call compile() again."
            )

    def _trainable_ids(self) -> list[int]:
        networks = (self.generator, self.discriminator)
        return [id(variable) for n in networks for variable in n.trainable_variables]

    def _input_checks(self, d_steps: int = 1, accumulate: int = 1) -> InputChecks:
        replicas = self.distribute_strategy.num_replicas_in_sync

        def check_size(size: int) -> None:
            validation.check_divisible(size, d_steps, accumulate, self.group_size, replicas)

        multiple = d_steps * accumulate * self.group_size * replicas
        return InputChecks(
            self.image_shape, self.value_range, self.num_classes, check_size, multiple
        )

    def _dataset_epoch(self, epoch: int, num_batches: int) -> int:
        """Returns the epoch of the dataset whose order an epoch of `fit()` uses.

        A later call of `fit()` continues after the steps so far.
        """
        if epoch > 0 or self._executor.resume.epoch is not None:
            return epoch
        return -(-self.steps // num_batches)

    def _finalize(self) -> None:
        """Finalizes the weights as Keras does: optimizers with `use_ema` set them to averages."""
        self.g_optimizer.finalize_variable_values(self.generator.trainable_variables)
        self.d_optimizer.finalize_variable_values(self.discriminator.trainable_variables)

    def resume_at(self, epoch: int, batch: int = 0, metrics: list[Any] | None = None) -> None:
        """Makes the next `fit()` resume within a run whose weights have been loaded.

        Args:
            epoch: Number of finished epochs.
            batch: Number of finished batches of the next epoch. They are skipped. Defaults to 0.
            metrics: Values of `metrics_variables` after these batches, as arrays or nested lists.
                Defaults to None.

        Raises:
            ValueError: If `batch` is not a multiple of `steps_per_execution`.
        """
        resume = ResumeState(epoch, batch, metrics)
        resume.check_divisible(self.steps_per_execution)
        set_initial_epoch(self, epoch)
        self._executor.resume = resume

    @property
    def is_skipping(self) -> bool:
        """Returns whether `fit()` is skipping batches that were finished before it resumed."""
        return self._executor.resume.num_batches > 0

    def reseed(self) -> None:
        """Replaces the seed of the latents by a new seed, which is a function of the old one."""
        self._random_state.assign([(int(self._random_state[0]) + 0x9E3779B9) % 2**31, self.steps])

    def make_train_function(self, force: bool = False) -> Any:
        """Creates the function that executes train steps in `fit()`."""
        if self.train_function is None or force:
            if self.distribute_strategy.num_replicas_in_sync == 1:
                super().make_train_function(force=True)
                function = self.train_function
            else:
                function = distributed_step(self, self.train_step, self.get_metrics_result)
            self._executor.set_train_function(function)
            self.train_function: Any = self._executor.train
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Creates the function that executes test steps in `evaluate()`."""
        if self.test_function is None or force:
            if self.distribute_strategy.num_replicas_in_sync == 1:
                super().make_test_function(force=True)
                function = self.test_function
            else:
                function = distributed_step(self, self.test_step, self._test_logs)
            self._executor.set_test_function(function)
            self.test_function: Any = self._executor.test
        return self.test_function

    def _turn_jit_off(self, error: Exception) -> None:
        """Turns XLA off, after `jit_compile="auto"` has failed, and rebuilds the functions."""
        self.jit_decision = xla.JitDecision(
            False, f"XLA cannot compile a step here ({xla.reason_of(error)})"
        )
        self.may_fall_back = False
        self.jit_compile = False
        self.make_train_function(force=True)
        self.make_test_function(force=True)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs one train step and returns the running means."""
        real = self._real_images(data)
        with tf.control_dependencies([real.images]):  # at the end of the data, no state changes
            logs = train_step.train_step(self, real, self._step_random())
            self._random_state.assign_add([0, 1])
            self._mean_tracker.update_state(logs)
            return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Computes losses and scores on held-out images, and updates only the running means."""
        real = self._real_images(data)
        with tf.control_dependencies([real.images]):  # at the end of the data, no state changes
            rng = self._step_random().at(-1 - self._mean_tracker.batches)
            fake = self.project(self.generate(real, rng, training=False))
            real = self.project(real)
            (real_logits, fake_logits), _ = train_step.discriminate(
                self, real, fake, with_norms=False, training=False
            )
            logs = {
                "d_loss": ops.mean(self.loss_function.discriminator(real_logits, fake_logits)),
                "g_loss": ops.mean(self.loss_function.generator(real_logits, fake_logits)),
                **train_step.scores(self, real_logits, fake_logits),
            }
            self._mean_tracker.update_state(logs)
            return self._test_logs()

    def measure_overfitting(self, train: LabeledImages, held_out: LabeledImages) -> Any:
        """Computes how far the discriminator overfits, see `augmentations.overfitting`.

        Args:
            train: Training images and labels.
            held_out: Images and labels that are not used for training.
        """
        random = self._step_random().at(self.step_count * (self.d_steps + 1))
        return train_step.measure_overfitting(self, train, held_out, random)

    def _test_logs(self) -> dict[str, Any]:
        logs = self._mean_tracker.result()
        return {name: logs[name] for name in _LOGGED}

    def _real_images(self, data: Any) -> LabeledImages:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        check_shape(images.shape[1:], self.image_shape)
        images = ops.reshape(ops.cast(images, self._float), (-1, *self.image_shape))
        if self.num_classes is None:
            return LabeledImages(images)
        return LabeledImages(images, ops.reshape(ops.cast(labels, "int32"), (-1,)))

    def _step_random(self) -> StepRandom:
        return StepRandom(self._random_state, self._float)

    def generate(self, real: LabeledImages, random: Any, training: bool = True) -> LabeledImages:
        """Generates one image for each real image, with the same labels.

        Args:
            real: Real images and their labels.
            random: `StepRandom` whose index selects the latents.
            training: Whether the generator runs in training mode. Defaults to True.
        """
        latents = self.draw_latents(ops.shape(real.images)[0], random.index)
        inputs = real.with_images(latents).network_inputs()
        return real.with_images(ops.cast(self.generator(inputs, training=training), self._float))

    def project(self, images: LabeledImages) -> LabeledImages:
        """Returns what the discriminator sees of images: the images, or their projection."""
        if self.projector is None:
            return images
        projected = self.projector(images.images, training=False)
        return images.with_images(ops.cast(projected, self._float))

    def logits(self, images: LabeledImages, training: bool = True) -> Any:
        """Computes the discriminator's logits `(batch, 1)`, in the precision of the weights.

        With a projector, there may be several logits for each image.

        Args:
            images: Images and their labels, after `project`.
            training: Whether the discriminator runs in training mode. Defaults to True.
        """
        logits = self._logits(images.network_inputs(), training=training)
        return ops.cast(logits, self._float)

    def draw_latents(self, batch_size: Any, index: Any) -> Any:
        """Draws normal latents `(batch_size, latent_dim)` as a function of seed and `index`.

        Args:
            batch_size: Number of latents.
            index: Index of an update, an integer scalar.
        """
        return self._step_random().at(index).normal(batch_size, (self.latent_dim,))

    def call(self, latents: Latents, training: bool = False) -> Any:
        """Generates images with the trained generator.

        Args:
            latents: Latents `(batch, latent_dim)`. For conditional networks, a list of latents and
                labels.
            training: Whether the generator runs in training mode. Defaults to False.
        """
        return self.generator(latents, training=training)

    def sample(
        self,
        count: int | None = None,
        *,
        latents: Latents | None = None,
        labels: Labels | None = None,
        seed: int | None = None,
        use_ema: bool = True,
    ) -> np.ndarray:
        """Generates images without changing the random state of training.

        The averaged generator generates them if `compile` was called with `ema_decay`.

        Args:
            count: Number of images, for random latents. Required unless `latents` is given.
            latents: Latents `(count, latent_dim)`, in place of `count` and `seed`. Defaults to
                None, which draws random latents.
            labels: Labels for conditional networks: an integer for all images, or integers
                `(count,)`. Defaults to 0, 1, …, repeated.
            seed: Seed of the latents. Defaults to None, which draws new latents in each call.
            use_ema: Whether to use the averaged generator, if there is one. Defaults to True.

        Returns:
            float32 images `(count, *image_shape)` in `value_range`.

        Raises:
            ValueError: Unless exactly one of `count` and `latents` is given and valid, if labels
                do not fit, or if the structure of the generator has changed since `compile`
                created its average.
        """
        if latents is None:
            if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
                raise ValueError(f"Expected a number of images from 1. Received: count={count!r}.")
            validation.check_seed(seed)
            latents = np.random.default_rng(seed).standard_normal((count, self.latent_dim))
        elif count is not None or seed is not None:
            raise ValueError("Expected either `latents`, or `count` and `seed`. Received both.")
        try:
            latents = np.asarray(latents, self._float)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Expected latents as an array of numbers. Received: {error}."
            ) from error
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(
                f"Expected latents of shape (count, {self.latent_dim}). "
                f"Received: latents.shape={latents.shape}."
            )
        labels = validation.sample_labels(labels, len(latents), self.num_classes)
        generate = self._sampler(self.sampling_network(use_ema))
        batches = [slice(i, i + 512) for i in range(0, len(latents), 512)]
        inputs = [latents] if labels is None else [latents, labels]
        images = [generate(*(part[batch] for part in inputs)).numpy() for batch in batches]
        return np.concatenate(images).astype("float32")

    def sampling_network(self, use_ema: bool = True) -> keras.Model:
        """Returns the network that generates samples: the averaged generator, if there is one.

        Args:
            use_ema: Whether to use the averaged generator. Defaults to True.

        Raises:
            ValueError: If the structure of the generator has changed since `compile` created its
                average.
        """
        if not use_ema or self.ema_generator is None:
            return self.generator
        if not self.ema_generator.follows(self.generator):
            raise ValueError(
                "Expected the generator of which compile() has made the average. Received: one "
                "whose structure has changed since, by LoRA or quantization, for instance. Call "
                "compile() again, or sample with use_ema=False."
            )
        return self.ema_generator

    def _sampler(self, network: keras.Model) -> Any:
        """Returns the network in inference mode, compiled for batches of any size."""
        key = (introspection.fingerprint(self.generator), network is self.generator)
        known, sampler = self._samplers.get(network.name, (None, None))
        if known != key:
            signature = [tf.TensorSpec((None, self.latent_dim), self._float)]
            if self.num_classes is not None:
                signature.append(tf.TensorSpec((None,), "int32"))
            sampler = tf.function(
                lambda *inputs: network(LabeledImages(*inputs).network_inputs(), training=False),
                input_signature=signature,
            )
            self._samplers[network.name] = key, sampler
        return sampler

    def export(
        self,
        filepath: Any,
        format: str | None = None,
        verbose: bool = False,
        input_signature: Any = None,
        *,
        use_ema: bool = True,
        **kwargs: Any,
    ) -> Path:
        """Exports the generator, or its average if there is one, as `keras.Model.export` does.

        The inputs are `latents`, standard normals float32 `(batch, latent_dim)`, and for a
        conditional generator `labels`, int32 `(batch,)`. The output is images
        `(batch, height, width, channels)`. A JSON file holds their sizes and the `value_range` of
        the images. It is `fashion_gan.json` in the folder of a SavedModel, and `FILEPATH.json` for
        other formats. Images of four channels are RGBA. The JSON file then has
        `"alpha": "straight"`, since colors are not multiplied by alpha.

        Args:
            filepath: Folder of a SavedModel, or file of another format. It must not exist. OpenVINO
                writes the weights to a second file, which ends in `.bin`.
            format: Format of Keras: `"tf_saved_model"`, `"onnx"`, `"openvino"` or `"litert"`.
                Defaults to the format of the suffix `.onnx`, `.xml` or `.tflite`, and otherwise to
                `"tf_saved_model"`.
            verbose: Whether to print what the exporters print. Defaults to False.
            input_signature: Signature of the inputs. Defaults to latents and, for a conditional
                GAN, labels, for batches of any size.
            use_ema: Whether to export the averaged generator, if there is one. Defaults to True.
            **kwargs: Options of the format, such as `optimizations` of LiteRT.

        Returns:
            The path of the JSON file.

        Raises:
            FileExistsError: If a file to write exists.
            ImportError: If a package is missing that Keras requires for the format. The message
                has the command that installs it.
            ValueError: If the format or suffix is unknown, or if they contradict each other.
        """
        signature = input_signature or self.export_signature()
        return write_export(
            self,
            filepath,
            format,
            input_signature=signature,
            use_ema=use_ema,
            verbose=bool(verbose),
            **kwargs,
        )

    def export_signature(self) -> list[Any]:
        """Returns the input signature of the generator, for batches of any size."""
        latents = keras.InputSpec(shape=(None, self.latent_dim), dtype="float32", name="latents")
        if self.num_classes is None:
            return [latents]
        return [[latents, keras.InputSpec(shape=(None,), dtype="int32", name="labels")]]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with both networks serialized."""
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_dim": self.latent_dim,
            "value_range": list(self.value_range),
            "num_classes": self.num_classes,
            "projector": keras.saving.serialize_keras_object(self.projector),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GAN":
        """Returns the model that `get_config()` describes, with fresh weights."""
        networks = ("generator", "discriminator", "projector")
        built = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in networks
            if config.get(name)
        }
        return cls(**{**config, **built})

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the serialized arguments of `compile`; empty before its first call."""
        return dict(self._compile_arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model with the arguments of `get_compile_config()`."""
        self.compile(**config)

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves networks, average, optimizers and random states to a `.keras` file.

        Args:
            filepath: Path that ends in `.keras`, or an `io.BytesIO`.
            overwrite: Whether to overwrite an existing file without asking. Defaults to True.
            kwargs: Further arguments of `keras.Model.save`.

        Raises:
            ValueError: If the path is a legacy HDF5 file, which cannot hold all of this.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "Expected a path that ends in .keras. Received: "
                f"{str(filepath)!r}, a legacy format without optimizers and random states. Call "
                'gan.save("gan.keras"), or gan.save_weights("gan.weights.h5").'
            )
        self.sampling_network()
        if isinstance(filepath, io.BytesIO):
            write_model(self, filepath)
        else:
            super().save(filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves weights, average, optimizer slots and random states to a `.weights.h5` file.

        Args:
            filepath: Path that ends in `.weights.h5`, or an `io.BytesIO`.
            overwrite: Whether to overwrite an existing file without asking. Defaults to True.
            kwargs: Further arguments of `keras.Model.save_weights`.
        """
        self.sampling_network()
        if isinstance(filepath, io.BytesIO):
            write_weights(self, filepath)
        else:
            super().save_weights(filepath, overwrite=overwrite, **kwargs)

    @classmethod
    def from_preset(cls, preset: Any, *, safe_mode: bool = True) -> "GAN":
        """Loads a GAN from a preset, to sample from with `gan.sample(64)`.

        A generator that comes with the package has an untrained discriminator. To train it further,
        use `fashion-gan train --init-from`. All other presets hold what a `.keras` file holds.

        Args:
            preset: Name of a pretrained generator, folder that `save_to_preset` wrote, or address
                `hf://USER/MODEL` or `kaggle://USER/MODEL/keras/VARIATION`. Addresses need the
                package `huggingface_hub` or `kagglehub`.
            safe_mode: Whether to reject networks that contain code, such as a Lambda layer. Pass
                False only for presets that you trust. Defaults to True.

        Raises:
            FileNotFoundError: If there is no such preset, or if a file of it is missing.
            ImportError: If the package for the address is not installed.
            ValueError: If the preset is damaged, is no GAN, or contains code in safe mode.
        """
        cards = hub.pretrained_cards()
        if preset in cards:
            return cls._from_card(cards[preset], hub.pretrained_weights(preset))
        file = hub.read_preset(preset)
        try:
            with build_scope():
                gan = read_model(file, safe_mode)
        except Exception as error:  # Keras, zipfile and HDF5 know a dozen kinds of damage
            raise ValueError(f"{preset} cannot be loaded: {error}") from error
        if not isinstance(gan, cls):
            raise ValueError(f"{preset} holds a {type(gan).__name__}, not a {cls.__name__}.")
        return gan

    @classmethod
    def _from_card(cls, card: dict[str, Any], weights: list[Any]) -> "GAN":
        """Builds the networks of a model card, with weights of the generator."""
        config = card["config"]
        width = {"width": config["width"]} if config.get("width") else {}
        with build_scope(config["seed"], config["dtype_policy"]):
            networks = build_networks(
                config["model"],
                latent_dim=config["latent_dim"],
                image_shape=tuple(card.get("image_shape", (28, 28, 1))),
                num_classes=10 if config["conditional"] else None,
                **width,
            )
            gan = cls(*networks, config["latent_dim"], seed=config["seed"])
        gan.generator.set_weights(weights)
        return gan

    def save_to_preset(self, folder: Any, *, overwrite: bool = False, **card: Any) -> None:
        """Saves the GAN as a preset: a folder with its config, weights and model card.

        `fashion_gan.upload_preset` uploads the folder.

        Args:
            folder: Folder to create.
            overwrite: Whether to replace an existing preset. Defaults to False.
            **card: Arguments `description`, `data`, `license` and `scores` of `hub.model_card`.

        Raises:
            FileExistsError: If the folder holds anything else.
        """
        file = io.BytesIO()
        self.save(file)
        hub.write_preset(folder, file, hub.model_card(self, **card), overwrite)

    def save_own_variables(self, store: Any) -> None:
        """Saves the random states and whether there is an average."""
        for index, variable in enumerate(self._random_states()):
            store[str(index)] = variable.numpy()
        store["has_average"] = np.array(self.ema_generator is not None)

    def load_own_variables(self, store: Any) -> None:
        """Loads the random states.

        Raises:
            ValueError: If the file was saved from other networks, or if it holds an average of the
                generator and this GAN was compiled without `ema_decay`.
        """
        variables = self._random_states()
        count = len(store.keys()) - ("has_average" in store)
        if count != len(variables):
            raise ValueError(
                f"Expected the {len(variables)} random states of this GAN. Received: a file with "
                f"{count}, which was saved from other networks. Build the networks of the "
                "file."
            )
        for index, variable in enumerate(variables):
            variable.assign(store[str(index)])
        self._file_has_average = "has_average" in store and bool(np.asarray(store["has_average"]))
        if self._file_has_average and self.ema_generator is None:
            if self.compiled:
                self._load_error = ValueError(
                    "Expected a file without an average of the generator, since compile() was "
                    "called without ema_decay. Received: a file with an average. Compile with "
                    "ema_decay before loading."
                )
                raise self._load_error
            self.ema_generator = EMANetwork(self.generator, name="ema_generator")

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights, optimizer slots and random states, as `keras.Model.load_weights` does.

        The average starts at the loaded generator if the file holds no average.

        Args:
            filepath: Path that ends in `.weights.h5` or `.keras`, or an `io.BytesIO` that
                `save_weights` wrote.
            skip_mismatch: Whether to skip layers whose shapes differ. An `io.BytesIO` ignores it.
                Defaults to False.
            kwargs: Further arguments of `keras.Model.load_weights`.
        """
        self._file_has_average = True
        self._load_error = None
        try:
            if isinstance(filepath, io.BytesIO):
                read_weights(self, filepath)
            else:
                super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        except ValueError:
            if self._load_error is None:
                raise
            raise self._load_error from None  # Keras would raise a summary instead
        if self.ema_generator is not None and not self._file_has_average:
            self.ema_generator.reset()

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Returns the values of all variables, as `keras.callbacks.OrbaxCheckpoint` saves them.

        Keras uses the paths of variables as keys. These are not unique in an average, and they
        change when a network is loaded. Here the keys are the parts of the GAN, and numbers.

        Args:
            value_format: `"backend_tensor"` or `"numpy_array"`. Defaults to `"backend_tensor"`.

        Returns:
            Values by group, part and number, such as
            `tree["trainable_variables"]["generator"]["0"]`.

        Raises:
            ValueError: If the format is unknown.
        """
        read = lookup(
            {"backend_tensor": lambda v: v.value, "numpy_array": lambda v: v.numpy()},
            value_format,
            "value_format",
        )
        return {
            group: {
                part: {str(number): read(v) for number, v in enumerate(variables)}
                for part, variables in parts.items()
            }
            for group, parts in self._state_variables().items()
        }

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Sets all variables in the groups of a state tree.

        Args:
            state_tree: Tree of `get_state_tree()`, or some of its groups.

        Raises:
            ValueError: If the parts of a group, or the numbers of their variables, are not those of
                this GAN.
        """
        known = self._state_variables()
        for group, parts in state_tree.items():
            variables = lookup(known, group, "group")
            sizes, given = (
                {part: len(values) for part, values in tree.items()} for tree in (variables, parts)
            )
            if given != sizes:
                raise ValueError(
                    f"Expected {group} of {sizes}. Received: {given}. Build and compile the GAN as "
                    "it was saved."
                )
            for part, values in parts.items():
                for number, variable in enumerate(variables[part]):
                    variable.assign(values[str(number)])

    def _state_variables(self) -> dict[str, dict[str, list[Any]]]:
        """Returns the variables of each group of Keras' state trees, by parts of the GAN."""
        layers = {name: part for name, part in vars(self).items() if isinstance(part, keras.Layer)}
        groups = {}
        for group in ("trainable_variables", "non_trainable_variables"):
            parts = {name: list(getattr(part, group)) for name, part in sorted(layers.items())}
            owned = {id(variable) for variables in parts.values() for variable in variables}
            parts["gan"] = [v for v in getattr(self, group) if id(v) not in owned]
            groups[group] = parts
        optimizers = ("g_optimizer", "d_optimizer") if self.compiled else ()
        groups["optimizer_variables"] = {n: list(getattr(self, n).variables) for n in optimizers}
        groups["metrics_variables"] = {"means": self.metrics_variables if self.compiled else []}
        return {
            group: {part: variables for part, variables in parts.items() if variables}
            for group, parts in groups.items()
        }

    def _random_states(self) -> list[Any]:
        networks = [*self.generator.variables, *self.discriminator.variables]
        return [self._random_state, *(v for v in networks if v.name == "seed_generator_state")]


def _not_empty(logs: Any) -> Any:
    """Returns the logs of an evaluation, and raises ValueError if there was no batch."""
    if isinstance(logs, dict | list) and not logs:
        raise ValueError(NO_BATCH)
    return logs
