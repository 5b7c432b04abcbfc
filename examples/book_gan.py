"""Trains the GAN of Hands-On Machine Learning, chapter 17, and draws 16 images."""

import argparse

import keras

from fashion_gan import GAN, callbacks, data, images, models


def main(epochs: int = 50, folder: str = "logs/book_gan") -> GAN:
    """Trains the book's networks on Fashion-MNIST."""
    keras.utils.set_random_seed(42)
    generator, discriminator = models.build_networks("dense")
    gan = GAN(generator, discriminator, latent_dim=30)
    gan.compile("rmsprop", "rmsprop", loss="binary_crossentropy", steps_per_execution=100)
    dataset = data.make_dataset(data.load_fashion_mnist().train_images, batch_size=32)
    gan.fit(dataset, epochs=epochs, callbacks=[callbacks.ImageGrid(folder, png_dir=folder)])
    samples = images.to_uint8(gan.sample(16, seed=0), gan.value_range)
    images.write_png(f"{folder}/final.png", images.tile(samples, invert=True))
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50)
    main(parser.parse_args().epochs)
