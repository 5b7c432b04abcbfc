"""Trains a GAN on a folder of images, scores it and saves it as a preset."""

import argparse

import keras

from fashion_gan import GAN, augmentations, callbacks, data, evaluation, models, penalties


def main(source: str, size: int = 32, steps: int = 10_000, folder: str = "logs/own") -> GAN:
    """Trains on the images in `source`, all resized to `size` by `size` pixels."""
    keras.utils.set_random_seed(42)
    collection = data.load_images(source, data.ImageOptions(image_size=str(size)))
    print(*collection.describe(), sep="\n")
    split = data.split_images(collection)

    shape = split.train_images.shape[1:]
    generator, discriminator = models.build_networks("convnet", latent_dim=64, image_shape=shape)
    gan = GAN(generator, discriminator)
    gan.compile(
        keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99),
        keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99),
        loss="relativistic",
        penalties=[penalties.R1(0.5), penalties.R2(0.5)],
        augmentations=[augmentations.Translation(0.125), augmentations.Cutout(0.2)],
        ema_decay=0.999,
        steps_per_execution=10,
    )
    epochs = max(steps // 500, 1)
    dataset = data.make_dataset(
        split.train_images,
        batch_size=64,
        value_range=gan.value_range,
        steps_per_epoch=steps // epochs,
    )
    gan.fit(dataset, epochs=epochs, callbacks=[callbacks.ImageGrid(folder, png_dir=folder)])

    evaluator = evaluation.image_evaluator(split)
    scores = evaluator.evaluate(gan)
    name = evaluator.watched_score
    gan.save_to_preset(f"{folder}/preset", data=str(source), scores={name: scores[name]})
    return gan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="folder or archive of images")
    parser.add_argument("--size", type=int, default=32, help="side of the images, in pixels")
    parser.add_argument("--steps", type=int, default=10_000)
    options = parser.parse_args()
    main(options.source, options.size, options.steps)
