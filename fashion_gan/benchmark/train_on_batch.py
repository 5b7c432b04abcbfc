"""Implements the chapter's training loop on Keras 3, as a baseline for `fit()`."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

__all__ = ["TrainOnBatchLoop"]


class TrainOnBatchLoop:
    """Trains two compiled models with `train_on_batch` and a toggled `trainable`.

    Keras 3 reads the discriminator's `trainable` when a model's train function is created, at its
    first batch. Each model then always trains the weights that were trainable at that time.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        optimizers: tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer],
        jit_compile: bool,
    ) -> None:
        """Compiles both models with the generator's and the discriminator's `optimizers`."""
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim = generator.input_shape[-1]
        arguments: dict[str, Any] = {"loss": "binary_crossentropy", "jit_compile": jit_compile}
        discriminator.compile(optimizer=optimizers[1], **arguments)
        self.both = keras.Sequential([generator, discriminator])
        self.both.compile(optimizer=optimizers[0], **arguments)

    def run(self, batches: Iterator[Any], steps: int) -> None:
        """Trains on `steps` batches of images `(batch, height, width, channels)`."""
        for _ in range(steps):
            real = next(batches)
            size = len(real)
            fake = self.generator(tf.random.normal((size, self.latent_dim)))
            targets = tf.constant([[0.0]] * size + [[1.0]] * size)
            self.discriminator.trainable = True
            self.discriminator.train_on_batch(tf.concat([fake, real], axis=0), targets)
            self.discriminator.trainable = False
            latents = tf.random.normal((size, self.latent_dim))
            self.both.train_on_batch(latents, tf.constant([[1.0]] * size))
