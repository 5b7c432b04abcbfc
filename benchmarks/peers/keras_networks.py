"""Builds the two pairs of networks and the chapter's input pipeline, for the Keras peers."""

import tensorflow as tf
from keras import Sequential, layers


def dense():
    generator = Sequential(
        [
            layers.Input((30,)),
            layers.Dense(100, activation="selu"),
            layers.Dense(150, activation="selu"),
            layers.Dense(784, activation="sigmoid"),
            layers.Reshape((28, 28, 1)),
        ]
    )
    discriminator = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(150, activation="selu"),
            layers.Dense(100, activation="selu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return generator, discriminator


def dcgan(dropout):
    generator = Sequential(
        [
            layers.Input((100,)),
            layers.Dense(7 * 7 * 128),
            layers.Reshape((7, 7, 128)),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(64, 5, 2, padding="same", activation="selu"),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(1, 5, 2, padding="same", activation="tanh"),
        ]
    )
    discriminator = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(64, 5, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(dropout),
            layers.Conv2D(128, 5, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return generator, discriminator


def networks(pair, weights=None, dropout=True):
    """Returns `(generator, discriminator, latent_dim)`, with given or new trainable weights."""
    both = dense() if pair == "dense" else dcgan(0.4 if dropout else 0.0)
    for network, values in zip(both, weights or [], strict=False):
        for variable, value in zip(network.trainable_variables, values, strict=True):
            variable.assign(value)
    return *both, 30 if pair == "dense" else 100


def images_of(pixels, pair):
    """Returns shuffled batches of 32 images in [0, 1], or of 64 in [-1, 1] for the dcgan pair."""
    low, size = (-1.0, 64) if pair == "dcgan" else (0.0, 32)
    dataset = tf.data.Dataset.from_tensor_slices(pixels)
    dataset = dataset.shuffle(1000).batch(size, drop_remainder=True)
    return dataset.map(lambda x: low + (1 - low) * tf.cast(x, tf.float32) / 255).prefetch(1)
