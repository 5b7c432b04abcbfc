"""Trains WGAN-GP as in keras-io's example, with three discriminator steps for one of the generator.

The example of keras-io: https://keras.io/examples/generative/wgan_gp/. The paper: Gulrajani et al.
2017, https://arxiv.org/abs/1704.00028.
"""

import argparse

import keras

from fashion_gan import GAN, callbacks, data, models, penalties


def main(epochs: int = 20, folder: str = "logs/wgan_gp") -> GAN:
    """Trains convolutional networks without batch norm in the discriminator."""
    keras.utils.set_random_seed(42)
    gan = GAN(*models.build_networks("convnet", latent_dim=128))
    adam = {"learning_rate": 2e-4, "beta_1": 0.5, "beta_2": 0.9}
    gan.compile(
        keras.optimizers.Adam(**adam),
        keras.optimizers.Adam(**adam),
        loss="wasserstein",
        penalties=[penalties.WGANGP(10.0)],
        d_steps=3,
    )
    dataset = data.make_dataset(
        data.load_fashion_mnist().train_images,
        batch_size=3 * 64,  # a third for each discriminator step
        value_range=gan.value_range,
    )
    gan.fit(dataset, epochs=epochs, callbacks=[callbacks.ImageGrid(folder, png_dir=folder)])
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
