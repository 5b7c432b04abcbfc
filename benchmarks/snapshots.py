"""Records a training as the weights of the sampling generator after each epoch, with the logs.

    python benchmarks/snapshots.py dense --epochs 50         # the book's GAN, about 5 minutes
    python benchmarks/snapshots.py dcgan --epochs 4          # about 10 minutes
    python benchmarks/snapshots.py dense_modern --epochs 40  # about 2 minutes

Writes logs/snapshots/NAME-SEED.npz, from which alarm_quality.py and alarm_dense.py sample again:
so they can be rerun with another classifier, without training.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from fashion_gan import GAN, assembly, data, models
from fashion_gan.files import atomic_write
from fashion_gan.presets import PRESETS

FOLDER = Path(__file__).parent.parent / "logs/snapshots"
ADAM = {
    "g_optimizer": "adam",
    "d_optimizer": "adam",
    "g_learning_rate": 2e-4,
    "d_learning_rate": 2e-4,
    "beta_1": 0.5,
    "batch_size": 64,
}
RECIPES = {
    "dense": PRESETS["dense"],
    "dense-adam": dataclasses.replace(PRESETS["dense"], **ADAM),
    "dcgan": dataclasses.replace(PRESETS["dcgan"], **ADAM),
    "dense_modern": PRESETS["dense_modern"],
}


class Recorder(keras.callbacks.Callback):
    """Writes all snapshots so far to a file, before training and after each epoch."""

    def __init__(self, path: Path, networks: str) -> None:
        super().__init__()
        self.path = path
        self.arrays: dict[str, np.ndarray] = {}
        self.entries: list[dict] = []
        self.head = {"networks": networks}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._keep(0, {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._keep(epoch + 1, logs or {})

    def _keep(self, epoch: int, logs: dict) -> None:
        numbers = {name: float(value) for name, value in logs.items()}
        generator = self.model.sampling_network()
        for index, weight in enumerate(generator.get_weights()):
            self.arrays[f"{len(self.entries):03d}_{index:02d}"] = weight
        self.entries.append({"epoch": epoch, "steps": self.model.steps, "logs": numbers})
        text = json.dumps({**self.head, "latent_dim": self.model.latent_dim, "at": self.entries})
        with atomic_write(self.path) as partial:
            np.savez(partial, about=np.array(text), **self.arrays)


class Snapshots:
    """A recorded training: `at[i]` has `epoch`, `steps` and `logs`; `gan(i)` is it at that time."""

    def __init__(self, path: str | Path) -> None:
        self.name = Path(path).stem
        self._file = np.load(path, allow_pickle=False)
        about = json.loads(str(self._file["about"]))
        self.at = about["at"]
        networks = models.build(about["networks"], latent_dim=about["latent_dim"])
        self._gan = GAN(*networks, about["latent_dim"])

    def gan(self, index: int) -> GAN:
        names = sorted(n for n in self._file.files if n.startswith(f"{index:03d}_"))
        self._gan.generator.set_weights([self._file[name] for name in names])
        return self._gan


def build(recipe: str, seed: int) -> tuple[GAN, keras.utils.PyDataset]:
    """The compiled GAN of a recipe, and its dataset."""
    config = dataclasses.replace(RECIPES[recipe], seed=seed)
    gan = assembly.build(config)
    images = data.load().train_images
    dataset = data.make_dataset(
        images, config.batch_size, value_range=gan.value_range, seed=config.seed
    )
    return gan, dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    gan, dataset = build(options.recipe, options.seed)
    path = FOLDER / f"{options.recipe}-{options.seed}.npz"
    recorder = Recorder(path, RECIPES[options.recipe].networks)
    gan.fit(dataset, epochs=options.epochs, callbacks=[recorder], verbose=2)


if __name__ == "__main__":
    main()
