"""Trains the GAN of this library with `fit()`."""

import tensorflow as tf
from keras_networks import networks

from fashion_gan import GAN, data


class WithLatents(GAN):
    """Takes the latents of each phase from rows of `given`, for the check."""

    def draw_latents(self, batch_size, index):
        return tf.gather(self.given, index)


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, jit_compile="auto", many=1):
        generator, discriminator, latent_dim = networks(pair, weights, dropout)
        kind = GAN if weights is None else WithLatents
        self.gan = kind(generator, discriminator, latent_dim)
        self.gan.compile("rmsprop", "rmsprop", jit_compile=jit_compile, steps_per_execution=many)
        self.batch_size = 64 if pair == "dcgan" else 32

    def prepare(self, pixels):
        execution = self.gan.steps_per_execution * self.batch_size
        whole = len(pixels) // execution * execution
        self.dataset = data.make_dataset(
            pixels[:whole], self.batch_size, value_range=self.gan.value_range
        )

    def train(self, steps):
        epochs, rest = divmod(steps, len(self.dataset))
        if epochs:
            self.gan.fit(self.dataset, epochs=epochs, verbose=0)
        if rest:
            self.gan.fit(self.dataset, steps_per_epoch=rest, verbose=0)

    def given(self, images, latents):
        self.gan.given = tf.constant(latents)
        losses = []
        for real in images:
            history = self.gan.fit(tf.data.Dataset.from_tensors(real), verbose=0).history
            losses.append((history["d_loss"][0], history["g_loss"][0]))
        return losses
