"""Implements the chapter's loop on Keras 3, with `train_on_batch` and toggled `trainable`."""

import keras
import tensorflow as tf
from keras_networks import images_of, networks


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, jit_compile="auto"):
        self.generator, self.discriminator, self.latent_dim = networks(pair, weights, dropout)
        arguments = {"loss": "binary_crossentropy", "jit_compile": jit_compile}
        self.discriminator.compile(optimizer="rmsprop", **arguments)
        self.discriminator.trainable = False
        self.gan = keras.Sequential([self.generator, self.discriminator])
        self.gan.compile(optimizer="rmsprop", **arguments)
        self.pair = pair

    def step(self, real, d_latents, g_latents):
        size = len(real)
        fake = self.generator(d_latents, training=True)
        targets = tf.constant([[0.0]] * size + [[1.0]] * size)
        self.discriminator.trainable = True
        d_loss = self.discriminator.train_on_batch(tf.concat([fake, real], axis=0), targets)
        self.discriminator.trainable = False
        g_loss = self.gan.train_on_batch(g_latents, tf.constant([[1.0]] * size))
        self.discriminator.reset_metrics()  # train_on_batch returns a mean over its calls
        self.gan.reset_metrics()
        return float(d_loss), float(g_loss)

    def prepare(self, pixels):
        self.batches = iter(images_of(pixels, self.pair).repeat())

    def train(self, steps):
        for _ in range(steps):
            real = next(self.batches)
            shape = (len(real), self.latent_dim)
            self.step(real, tf.random.normal(shape), tf.random.normal(shape))

    def given(self, images, latents):
        return [
            self.step(tf.constant(real), tf.constant(d), tf.constant(g))
            for real, d, g in zip(images, latents[::2], latents[1::2], strict=True)
        ]
