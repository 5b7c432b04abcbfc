"""fashion_gan's GAN under fit()."""

import tensorflow as tf
from keras_networks import networks

from fashion_gan import GAN, data


class WithLatents(GAN):
    """For the check: the latents of each phase are rows of what was put in `given`."""

    def draw_latents(self, batch_size, index):
        return tf.gather(self.given, index)


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, xla="auto", steps=1):
        generator, discriminator, latent_dim = networks(pair, weights, dropout)
        kind = GAN if weights is None else WithLatents
        self.gan = kind(generator, discriminator, latent_dim)
        self.gan.compile("rmsprop", "rmsprop", jit_compile=xla, steps_per_execution=steps)
        self.batch_size = 64 if pair == "dcgan" else 32

    def prepare(self, pixels):
        self.dataset = data.make_dataset(
            pixels, self.batch_size, value_range=self.gan.value_range
        ).repeat()

    def train(self, steps):
        self.gan.fit(self.dataset, epochs=1, steps_per_epoch=steps, verbose=0)

    def given(self, images, latents):
        self.gan.given = tf.constant(latents)
        losses = []
        for real in images:
            history = self.gan.fit(tf.data.Dataset.from_tensors(real), verbose=0).history
            losses.append((history["d_loss"][0], history["g_loss"][0]))
        return losses
