"""Two networks in one keras.Model: checked against each other, sampled, saved; not yet trained."""

import random
import zlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fashion_gan import borders
from fashion_gan.penalties import steepness
from fashion_gan.remedies import Draws, Shown

__all__ = ["Pair", "with_labels"]


def with_labels(x: Any, labels: Any) -> Any:
    """What a network is called with: `x` alone, or in a list with the labels of a conditional."""
    return x if labels is None else [x, labels]


class Pair(keras.Model):
    """What of a `GAN` does not train: its arguments are the GAN's."""

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        latent_dim: int | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        num_classes: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        borders.check_order(generator, discriminator)
        self.num_classes = borders.num_classes(generator, discriminator, num_classes)
        self.latent_dim = borders.latent_dim(generator, latent_dim)
        borders.build(generator, discriminator, self.latent_dim)
        self.generator = generator
        self.discriminator = discriminator
        self.image_shape: tuple[int, ...] = tuple(generator.output_shape[1:])
        self.value_range = borders.value_range(generator, value_range)
        self.average: keras.Model | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._logits = borders.behind_the_sigmoid(discriminator)
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
        self._samplers: dict[str, Any] = {}
        self.built = True

    def call(self, latents: Any, training: bool = False) -> Any:
        """Images for latents `(batch, latent_dim)`, or for a list of them and labels `(batch,)`."""
        return self.generator(latents, training=training)

    def draw_latents(self, batch_size: Any, index: Any) -> Any:
        """Standard normals `(batch_size, latent_dim)`: a function of the GAN's seed and `index`."""
        shape = (self.latent_dim,)
        return self._draw(tf.random.stateless_normal, batch_size, shape, index, "latents")

    def _draw(self, draw: Any, batch_size: Any, shape: Any, index: Any, what: str) -> Any:
        """Random numbers `(batch_size, *shape)`, a function of seed, `index` and what they are for.

        Of several replicas, each gets its rows of what a single one would draw for them all.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        seed = ops.stack([self._random_state[0], ops.cast(index, "int64")])
        if what != "latents":
            seed = tf.random.experimental.stateless_fold_in(seed, zlib.crc32(what.encode()))
        numbers = draw((batch_size * replicas, *shape), seed=seed, dtype=self._float, alg="philox")
        if replicas == 1:
            return numbers
        return numbers[context.replica_id_in_sync_group * batch_size :][:batch_size]

    def _draws(self, batch_size: Any, index: Any, what: str) -> Draws:
        """`_draw` for uniform and for normal numbers, which wait for their shape."""
        return Draws(
            *(
                lambda shape, draw=draw: self._draw(draw, batch_size, shape, index, what)
                for draw in (tf.random.stateless_uniform, tf.random.stateless_normal)
            )
        )

    def _judge(self, images: Shown, training: bool = True) -> Any:
        """The discriminator's logits `(batch, 1)`."""
        return ops.cast(self._logits(with_labels(*images), training=training), self._float)

    def _discriminate(
        self, real: Shown, fake: Shown, training: bool, steep: bool = False
    ) -> tuple[list[Any], list[Any]]:
        """Logits of the reals and of the fakes, from one pass; if `steep`, also squared slopes."""
        both = fake.followed_by(real)
        judge = lambda images: self._judge(both._replace(images=images), training)
        logits, slopes = steepness(judge, both.images) if steep else (judge(both.images), None)
        halves = [[] if part is None else ops.split(part, 2)[::-1] for part in (logits, slopes)]
        return halves[0], halves[1]

    def sample(
        self,
        count: int | None = None,
        *,
        latents: Any = None,
        labels: Any = None,
        seed: int | None = None,
        raw: bool = False,
    ) -> np.ndarray:
        """Generate images, without touching the random state of training.

        The averaged generator draws them, if `compile` was given an `ema_decay`.

        Args:
            count: number of images, for random latents.
            latents: `(count, latent_dim)`, in place of `count` and `seed`.
            labels: of conditional networks: an integer for all images, or `(count,)` of them; by
                default 0, 1, … again and again.
            seed: the same seed gives the same latents; by default they are new in each call.
            raw: let the generator that is being trained draw, even if there is an average.

        Returns:
            float32 images `(count, *image_shape)` in `value_range`.

        Raises:
            ValueError: unless exactly one of `count` and `latents` is given, and fits; for labels
                that do not.
        """
        if latents is None:
            if not isinstance(count, int | np.integer) or count < 1:
                raise ValueError(f"Expected a number of images from 1. Received: count={count!r}.")
            latents = np.random.default_rng(seed).standard_normal((count, self.latent_dim))
        elif count is not None or seed is not None:
            raise ValueError("Expected either `latents`, or `count` and `seed`. Received both.")
        latents = np.asarray(latents, self._float)
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(
                f"Expected latents of shape (count, {self.latent_dim}). "
                f"Received: latents.shape={latents.shape}."
            )
        labels = borders.labels_to_sample(labels, len(latents), self.num_classes)
        generate = self._sampler(self.generator if raw or self.average is None else self.average)
        batches = [slice(i, i + 512) for i in range(0, len(latents), 512)]
        inputs = [latents] if labels is None else [latents, labels]
        made = [generate(*(part[batch] for part in inputs)).numpy() for batch in batches]
        return np.concatenate(made).astype("float32")

    def _sampler(self, generator: keras.Model) -> Any:
        """The generator in inference, compiled once for batches of any size."""
        key = "generator" if generator is self.generator else "average"
        if key not in self._samplers:
            signature = [tf.TensorSpec((None, self.latent_dim), self._float)]
            if self.num_classes is not None:
                signature.append(tf.TensorSpec((None,), "int32"))
            self._samplers[key] = tf.function(
                lambda latents, labels=None: generator(
                    with_labels(latents, labels), training=False
                ),
                input_signature=signature,
            )
        return self._samplers[key]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with both networks serialised."""
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_dim": self.latent_dim,
            "value_range": list(self.value_range),
            "num_classes": self.num_classes,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Pair":
        """The model that `get_config()` describes, with fresh weights."""
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
