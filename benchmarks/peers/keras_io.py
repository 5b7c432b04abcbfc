"""Implements a GAN as in keras.io's examples, a `keras.Model` with a custom `train_step`."""

import keras
import tensorflow as tf
from keras_networks import images_of, networks


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer, loss_fn, **kwargs):
        super().compile(**kwargs)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def latents(self, size, phase):
        return tf.random.normal((size, self.latent_dim))

    def train_step(self, real_images):
        batch_size = tf.shape(real_images)[0]
        generated = self.generator(self.latents(batch_size, 0), training=True)
        combined = tf.concat([generated, real_images], axis=0)
        labels = tf.concat([tf.zeros((batch_size, 1)), tf.ones((batch_size, 1))], axis=0)
        with tf.GradientTape() as tape:
            predictions = self.discriminator(combined, training=True)
            d_loss = self.loss_fn(labels, predictions)
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(
            zip(grads, self.discriminator.trainable_weights, strict=True)
        )

        latents = self.latents(batch_size, 1)
        misleading_labels = tf.ones((batch_size, 1))
        with tf.GradientTape() as tape:
            predictions = self.discriminator(self.generator(latents, training=True), training=True)
            g_loss = self.loss_fn(misleading_labels, predictions)
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights, strict=True))

        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


class GivenLatents(GAN):
    """Takes the latents of each phase from `given`, for the check."""

    def latents(self, size, phase):
        return self.given[phase]


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, jit_compile="auto"):
        generator, discriminator, latent_dim = networks(pair, weights, dropout)
        kind = GAN if weights is None else GivenLatents
        self.gan = kind(discriminator, generator, latent_dim)
        self.gan.compile(
            d_optimizer=keras.optimizers.RMSprop(),
            g_optimizer=keras.optimizers.RMSprop(),
            loss_fn=keras.losses.BinaryCrossentropy(),
            jit_compile=jit_compile,
        )
        self.pair = pair

    def prepare(self, pixels):
        self.dataset = images_of(pixels, self.pair).repeat()

    def train(self, steps):
        self.gan.fit(self.dataset, epochs=1, steps_per_epoch=steps, verbose=0)

    def given(self, images, latents):
        losses = []
        self.gan.given = [tf.Variable(latents[0]), tf.Variable(latents[1])]
        for step, real in enumerate(images):
            for phase in (0, 1):
                self.gan.given[phase].assign(latents[2 * step + phase])
            history = self.gan.fit(tf.data.Dataset.from_tensors(real), verbose=0).history
            losses.append((history["d_loss"][0], history["g_loss"][0]))
        return losses
