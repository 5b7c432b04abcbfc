"""Trains a GAN of your own two Keras networks, with Keras' callbacks."""

import argparse

import keras
from keras import layers

from fashion_gan import GAN, data, penalties


def main(epochs: int = 10, path: str = "logs/own_networks.keras") -> GAN:
    """Trains small convolutional networks on Fashion-MNIST."""
    keras.utils.set_random_seed(42)
    generator = keras.Sequential(
        [
            keras.Input((32,)),
            layers.Dense(7 * 7 * 32, activation="relu"),
            layers.Reshape((7, 7, 32)),
            layers.UpSampling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.UpSampling2D(),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 4, strides=2, padding="same", activation="leaky_relu"),
            layers.Conv2D(64, 4, strides=2, padding="same", activation="leaky_relu"),
            layers.Flatten(),
            layers.Dense(1),  # logits, which are stabler than probabilities
        ]
    )
    gan = GAN(generator, discriminator)
    gan.compile("adam", "adam", loss="hinge", penalties=[penalties.R1(0.1)])
    gan.fit(
        data.make_dataset(data.load_fashion_mnist().train_images, batch_size=64),
        epochs=epochs,
        callbacks=[keras.callbacks.TerminateOnNaN(), keras.callbacks.CSVLogger(f"{path}.csv")],
    )
    gan.save(path)
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
