"""Implements the same GANs in JAX and optax, with single jitted steps or a lax.scan of many."""

from functools import partial

import jax
import numpy as np
import optax
from jax import lax
from jax import numpy as jnp

SHAPES = {  # shapes of the kernels in Keras' layout; a single number is a batch norm
    "dense": (((30, 100), (100, 150), (150, 784)), ((784, 150), (150, 100), (100, 1))),
    "dcgan": (
        ((100, 6272), (128,), (5, 5, 64, 128), (64,), (5, 5, 1, 64)),
        ((5, 5, 1, 64), (5, 5, 64, 128), (6272, 1)),
    ),
}


def initial(key, shapes, transposed):
    """Returns kernels as Keras initializes them, zero biases, and batch norm's scales of 1."""
    values = []
    for shape in shapes:
        key, mine = jax.random.split(key)
        kernel = len(shape) > 1
        values.append(
            jax.nn.initializers.glorot_uniform()(mine, shape) if kernel else jnp.ones(shape)
        )
        values.append(jnp.zeros(shape[-2] if transposed and len(shape) == 4 else shape[-1]))
    return values


def dense_generator(weights, latents):
    a, a_bias, b, b_bias, c, c_bias = weights
    x = jax.nn.selu(latents @ a + a_bias)
    x = jax.nn.selu(x @ b + b_bias)
    return jax.nn.sigmoid(x @ c + c_bias).reshape(-1, 28, 28, 1)


def dense_discriminator(weights, images, key, rate):
    a, a_bias, b, b_bias, c, c_bias = weights
    x = jax.nn.selu(images.reshape(-1, 784) @ a + a_bias)
    return jax.nn.selu(x @ b + b_bias) @ c + c_bias


def batch_norm(x, scale, offset):
    """Normalizes a batch in training mode, which needs no moving statistics."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) * lax.rsqrt(variance + 1e-3) * scale + offset


def dcgan_generator(weights, latents):
    a, a_bias, scale, offset, b, b_bias, scale_2, offset_2, c, c_bias = weights
    up = partial(lax.conv_transpose, strides=(2, 2), padding="SAME", transpose_kernel=True)
    x = batch_norm((latents @ a + a_bias).reshape(-1, 7, 7, 128), scale, offset)
    x = batch_norm(jax.nn.selu(up(x, b) + b_bias), scale_2, offset_2)
    return jnp.tanh(up(x, c) + c_bias)


def dcgan_discriminator(weights, images, key, rate):
    a, a_bias, b, b_bias, c, c_bias = weights
    axes = ("NHWC", "HWIO", "NHWC")
    down = partial(
        lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=axes
    )
    x = images
    for kernel, bias, mine in zip((a, b), (a_bias, b_bias), jax.random.split(key), strict=True):
        x = jax.nn.leaky_relu(down(x, kernel) + bias, 0.2)
        if rate:
            x = jnp.where(jax.random.bernoulli(mine, 1 - rate, x.shape), x / (1 - rate), 0)
    return x.reshape(len(x), -1) @ c + c_bias


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, many=1):
        self.low, self.batch_size, self.latent_dim = (
            (-1, 64, 100) if pair == "dcgan" else (0, 32, 30)
        )
        self.rate = 0.4 if dropout else 0.0
        self.generate, self.discriminate = (
            (dcgan_generator, dcgan_discriminator)
            if pair == "dcgan"
            else (dense_generator, dense_discriminator)
        )
        key, *keys = jax.random.split(jax.random.key(42), 3)
        generator, discriminator = (
            initial(mine, shapes, part == 0)
            for part, (mine, shapes) in enumerate(zip(keys, SHAPES[pair], strict=True))
        )
        if weights is not None:
            generator, discriminator = ([jnp.asarray(v) for v in values] for values in weights)
        self.optimizer = optax.rmsprop(0.001, decay=0.9, eps=1e-7, eps_in_sqrt=True)
        slots = self.optimizer.init(generator), self.optimizer.init(discriminator)
        self.state = (generator, discriminator, *slots, key)
        self.given_step = jax.jit(self._step)
        self.one = jax.jit(self._drawn_step, donate_argnums=0)
        self.many = many
        self.scan = jax.jit(self._scan, donate_argnums=0)

    def _step(self, state, real, d_latents, g_latents):
        generator, discriminator, g_slots, d_slots, key = state
        key, d_key, g_key = jax.random.split(key, 3)
        fake = self.generate(generator, d_latents)

        def d_loss(weights):
            both = jnp.concatenate([fake, real])
            targets = jnp.repeat(jnp.array([0.0, 1.0]), len(real))[:, None]
            logits = self.discriminate(weights, both, d_key, self.rate)
            return optax.sigmoid_binary_cross_entropy(logits, targets).mean()

        d_loss, gradient = jax.value_and_grad(d_loss)(discriminator)
        updates, d_slots = self.optimizer.update(gradient, d_slots)
        discriminator = optax.apply_updates(discriminator, updates)

        def g_loss(weights):
            fake = self.generate(weights, g_latents)
            logits = self.discriminate(discriminator, fake, g_key, self.rate)
            return optax.sigmoid_binary_cross_entropy(logits, jnp.ones_like(logits)).mean()

        g_loss, gradient = jax.value_and_grad(g_loss)(generator)
        updates, g_slots = self.optimizer.update(gradient, g_slots)
        generator = optax.apply_updates(generator, updates)
        return (generator, discriminator, g_slots, d_slots, key), jnp.stack([d_loss, g_loss])

    def _drawn_step(self, state, pixels, index):
        *rest, key = state
        key, mine = jax.random.split(key)
        latents = jax.random.normal(mine, (2, self.batch_size, self.latent_dim))
        real = self.low + (1 - self.low) * (pixels[index].astype(jnp.float32) / 255)
        return self._step((*rest, key), real, *latents)

    def _scan(self, state, pixels, indices):
        return lax.scan(lambda state, index: self._drawn_step(state, pixels, index), state, indices)

    def prepare(self, pixels):
        self.pixels = jnp.asarray(pixels)
        self.order, self.rng = np.empty((0, self.batch_size), int), np.random.default_rng(0)

    def train(self, steps):
        many = self.many
        for _ in range(0, steps, many):
            while len(self.order) < many:
                order = self.rng.permutation(len(self.pixels))
                whole = order[: len(order) // self.batch_size * self.batch_size]
                self.order = np.concatenate([self.order, whole.reshape(-1, self.batch_size)])
            picked, self.order = self.order[:many], self.order[many:]
            if many > 1:
                self.state, losses = self.scan(self.state, self.pixels, picked)
            else:
                self.state, losses = self.one(self.state, self.pixels, picked[0])
        losses.block_until_ready()

    def given(self, images, latents):
        losses = []
        for step, real in enumerate(images):
            self.state, both = self.given_step(self.state, real, *latents[2 * step : 2 * step + 2])
            losses.append(tuple(map(float, both)))
        return losses
