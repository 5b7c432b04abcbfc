"""Trains on one class of clothes, beginning with a generator that was trained on all ten."""

import argparse

import keras

from fashion_gan import GAN, callbacks, data


def main(epochs: int = 20, preset: str = "dcgan_modern", folder: str = "logs/transfer") -> GAN:
    """Trains a pretrained generator on ankle boots, with a new discriminator."""
    keras.utils.set_random_seed(42)
    fashion = data.load_fashion_mnist()
    boots = fashion.train_images[fashion.train_labels == data.CLASS_NAMES.index("Ankle boot")]
    gan = GAN.from_preset(preset)
    gan.compile(
        keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.99),
        keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99),
        loss="relativistic",
        ema_decay=0.999,
    )
    dataset = data.make_dataset(boots, batch_size=64, value_range=gan.value_range)
    gan.fit(dataset, epochs=epochs, callbacks=[callbacks.ImageGrid(folder, png_dir=folder)])
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
