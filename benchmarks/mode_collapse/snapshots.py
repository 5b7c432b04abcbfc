"""Records a training as the weights of the sampling generator after each epoch, with the logs.

    python benchmarks/mode_collapse/snapshots.py dense --epochs 50         # about 5 minutes
    python benchmarks/mode_collapse/snapshots.py dcgan --epochs 4          # about 10 minutes
    python benchmarks/mode_collapse/snapshots.py dense_modern --epochs 40  # about 2 minutes

Writes logs/snapshots/NAME-SEED.npz. fit_thresholds.py draws samples from this file, so that
thresholds for another classifier need no new training.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from fashion_gan import GAN, models
from fashion_gan.files import atomic_write
from fashion_gan.runs.builder import Experiment, prepare
from fashion_gan.runs.presets import PRESETS

FOLDER = Path(__file__).parents[2] / "logs/snapshots"
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

    def __init__(self, path: Path, model: str) -> None:
        super().__init__()
        self.path = path
        self.name = model
        self.arrays: dict[str, np.ndarray] = {}
        self.entries: list[dict] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._record(0, {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._record(epoch + 1, logs or {})

    def _record(self, epoch: int, logs: dict) -> None:
        numbers = {name: float(value) for name, value in logs.items()}
        for index, weight in enumerate(self.model.sampling_network().get_weights()):
            self.arrays[f"{len(self.entries):03d}_{index:02d}"] = weight
        self.entries.append({"epoch": epoch, "steps": self.model.steps, "logs": numbers})
        about = {"model": self.name, "latent_dim": self.model.latent_dim, "at": self.entries}
        with atomic_write(self.path) as partial:
            np.savez(partial, about=np.array(json.dumps(about)), **self.arrays)


class Snapshots:
    """Holds a recorded training.

    Attributes:
        name: Name of the file, without its suffix.
        at: Dicts with `epoch`, `steps` and `logs`, one for each snapshot.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = Path(path).stem
        self._file = np.load(path, allow_pickle=False)
        about = json.loads(str(self._file["about"]))
        self.at = about["at"]
        networks = models.build_networks(about["model"], latent_dim=about["latent_dim"])
        self._gan = GAN(*networks, about["latent_dim"])

    def gan(self, index: int) -> GAN:
        """Returns the GAN of a snapshot, which the next call overwrites."""
        names = sorted(n for n in self._file.files if n.startswith(f"{index:03d}_"))
        self._gan.generator.set_weights([self._file[name] for name in names])
        return self._gan


def build(recipe: str, seed: int) -> Experiment:
    """Builds the GAN of a recipe and its dataset."""
    return prepare(dataclasses.replace(RECIPES[recipe], seed=seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="folder to write (default logs/snapshots)",
    )
    options = parser.parse_args()
    experiment = build(options.recipe, options.seed)
    path = options.out / f"{options.recipe}-{options.seed}.npz"
    recorder = Recorder(path, experiment.config.model)
    experiment.gan.fit(experiment.train, epochs=options.epochs, callbacks=[recorder], verbose=2)


if __name__ == "__main__":
    main()
