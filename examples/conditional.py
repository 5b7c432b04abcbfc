"""Trains class-conditional networks, and draws sandals."""

import argparse

import keras

from fashion_gan import GAN, data, images, models, penalties


def main(epochs: int = 20, path: str = "logs/sandals.png") -> GAN:
    """Trains on Fashion-MNIST with its labels."""
    keras.utils.set_random_seed(42)
    fashion = data.load_fashion_mnist()
    gan = GAN(*models.build_networks("convnet", latent_dim=64, num_classes=10))
    gan.compile(
        keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99),
        keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99),
        loss="relativistic",
        penalties=[penalties.R1(1.0), penalties.R2(1.0)],
        ema_decay=0.999,
    )
    dataset = data.make_dataset(
        fashion.train_images,
        batch_size=64,
        labels=fashion.train_labels,
        value_range=gan.value_range,
    )
    gan.fit(dataset, epochs=epochs)
    sandals = gan.sample(16, labels=data.CLASS_NAMES.index("Sandal"), seed=0)
    images.write_png(path, images.tile(images.to_uint8(sandals, gan.value_range), invert=True))
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
