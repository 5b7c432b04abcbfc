"""Loads GANs from run folders, `.keras` files and the pretrained generators.

`python -m fashion_gan.runs.checkpoints RUN NAME` packs the generator of a finished run.
"""

import dataclasses
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan import hub, runtime
from fashion_gan.data import CLASS_NAMES, ImageOptions
from fashion_gan.files import atomic_write, check_no_links_out, write_json
from fashion_gan.gan import GAN
from fashion_gan.registry import did_you_mean
from fashion_gan.runs.builder import FASHION_MNIST, build_gan, load_split, steps_per_epoch
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import DatasetInfo, RunDirectory
from fashion_gan.training.backups import Backup, newest_backup, newest_position
from fashion_gan.training.model_file import read_model_info

__all__ = [
    "WHICH",
    "Source",
    "find_source",
    "load",
    "pack_pretrained",
]


WHICH = ("last", "best")
"""States of a run that `load` loads."""

Announce = Callable[[str], None]


def load(
    run: str | os.PathLike[str],
    *,
    which: str = "last",
    safe_mode: bool = True,
    announce: Announce = lambda line: None,
) -> GAN:
    """Loads the GAN of a run folder or of a `.keras` file.

    A run that is unfinished or still training is loaded from its newest intact backup.

    Args:
        run: Run folder or `.keras` file.
        which: `"last"` for the last state of a run, or `"best"` for the state with the best score
            of a quick evaluation. Defaults to `"last"`.
        safe_mode: Whether to reject networks that contain code, such as a Lambda layer. Pass
            False only for files that you trust. Backups contain no code. Defaults to True.
        announce: Function that is called with a line on the backup, if a backup is loaded.

    Raises:
        FileNotFoundError: If there is no trained model.
        ValueError: If the model is damaged, is not a `GAN`, or contains code in safe mode; if
            `which="best"` is given for a file.
    """
    if which not in WHICH:
        raise ValueError(f"Expected one of {WHICH}. Received: which={which!r}.")
    path = Path(run)
    if path.is_dir():
        return _load_run(RunDirectory(path), which, safe_mode, announce)
    if which != "last":
        raise ValueError(
            f"Expected the folder of a run, which has a best state. Received: {path}. "
            "Omit which='best'."
        )
    return _load_file(path, safe_mode)


def _load_run(run: RunDirectory, which: str, safe_mode: bool, announce: Announce) -> GAN:
    if which == "best":
        if not run.best_path.is_file():
            raise FileNotFoundError(
                f"There is no {run.best_path}. A quick evaluation writes it: train with "
                "--eval-freq 1, or use the last state of the run."
            )
        return _load_file(run.best_path, safe_mode)
    backup = _backup_to_load(run)
    if backup is not None:
        return _load_backup(run, backup, announce)
    if not run.model_path.is_file() and (run.exists() or run.backup_dir.is_dir()):
        raise FileNotFoundError(
            f"There is no trained model {run.model_path}, and no backup yet. The run is not "
            "finished: `fashion-gan train --resume` resumes it."
        )
    return _load_file(run.model_path, safe_mode)


def _backup_to_load(run: RunDirectory) -> Backup | None:
    """Returns the newest intact backup, or None if the model of the run is as new."""
    newest = newest_position(run.backup_dir)
    if newest is None:
        return None
    written = _written_position(run.model_path)
    if newest <= written:
        return None
    check_no_links_out(run.path)
    backup = newest_backup(run.backup_dir)
    return backup if backup is not None and backup.position > written else None


def _written_position(model: Path) -> tuple[float, float]:
    """Returns the epochs and batches that a model has trained, infinite if it has no record."""
    if not model.is_file():
        return -1, -1
    info = read_model_info(model)
    epoch, batch = info.get("epoch"), info.get("batch")
    if isinstance(epoch, int) and isinstance(batch, int):
        return epoch, batch
    return math.inf, math.inf


def _load_backup(run: RunDirectory, backup: Backup, announce: Announce) -> GAN:
    config = run.read_config()
    info = _dataset_info(run, config)
    try:
        gan = build_gan(config, info)
        gan.load_weights(io.BytesIO(backup.state))
    except Exception as error:  # Keras and HDF5 know a dozen kinds of damage
        raise ValueError(f"The backup in {run.backup_dir} cannot be loaded: {error}") from error
    state = "is being trained" if run.is_locked() else "is not finished"
    total = config.epochs * steps_per_epoch(config, info.num_images)
    announce(f"{run} {state}: using its backup after {gan.steps:,} of {total:,} steps.")
    return gan


def _dataset_info(run: RunDirectory, config: Config) -> DatasetInfo:
    """Returns the dataset info of a run, from its images if the run has no `data.json`."""
    if not config.data:
        return FASHION_MNIST
    try:
        return run.read_dataset_info()
    except (OSError, ValueError):
        if not Path(config.data).exists():
            raise
        split = load_split(config)
        run.check_images(split)
        return DatasetInfo.from_split(split)


def _load_file(path: Path, safe_mode: bool) -> GAN:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no trained model {path}. `fashion-gan train` trains one."
        )
    try:
        with runtime.build_scope():
            gan = keras.saving.load_model(path, safe_mode=safe_mode)
    except Exception as error:  # Keras, zipfile and HDF5 know a dozen kinds of damage
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    if not isinstance(gan, GAN):
        raise ValueError(f"{path} holds a {type(gan).__name__}, not a GAN.")
    return gan


def pack_pretrained(
    run: str | os.PathLike[str], name: str, folder: str | os.PathLike[str] = hub.WEIGHTS
) -> None:
    """Writes the sampling generator of a finished run and its model card.

    The weights of a run on own images include its discriminator, for runs that start with both
    networks. Its card has the shape of the images, and the name of their folder or file in place of
    its path.

    The weights are rounded to 8 significant bits, the precision of bfloat16, and written as
    float16. The zero bits that this leaves take no space in a compressed file.

    Args:
        run: Run folder.
        name: Name by which `GAN.from_preset` loads the generator.
        folder: Folder of the weights. Defaults to the folder in the package.
    """
    directory, path = RunDirectory(run), Path(folder) / f"{name}.npz"
    gan, config = load(run), directory.read_config()
    networks = {"generator": gan.sampling_network()}
    if config.data:
        networks["discriminator"] = gan.discriminator
    arrays: dict[str, Any] = hub.pack_weights(
        {
            role: [_rounded(weight) for weight in network.get_weights()]
            for role, network in networks.items()
        }
    )
    with atomic_write(path) as partial:
        np.savez_compressed(partial, **arrays)
    card = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(dataclasses.replace(config, data=Path(config.data).name)),
        "record": json.loads(directory.scores_path.read_text()),
    }
    if config.data:
        card["image_shape"] = list(directory.read_dataset_info().image_shape)
    cards = {**hub.pretrained_cards(folder), name: card}
    write_json(Path(folder) / hub.PRETRAINED_CARDS, cards, sort_keys=True)


def _rounded(weights: np.ndarray) -> np.ndarray:
    significand, exponent = np.frexp(weights)
    return np.ldexp(np.round(significand * 256) / 256, exponent).astype("float16")


@dataclass(frozen=True)
class Source:
    """Holds the input of a command: a generator, or images.

    Attributes:
        name: Run folder, `.keras` file, pretrained name, or path of images, as it was given.
        config: Config that the generator was trained with, or the default config if that is
            unknown. None for images.
        pretrained: Whether the generator comes with the package.
    """

    name: str
    config: Config | None
    pretrained: bool = False

    @property
    def path(self) -> Path:
        """Returns the name as a path."""
        return Path(self.name)

    def load(self, which: str = "last", announce: Announce = lambda line: None) -> GAN:
        """Loads the GAN.

        Args:
            which: State of a run, see `load`. Defaults to `"last"`.
            announce: Function that is called with a line on the backup, if a backup is loaded.

        Raises:
            FileNotFoundError: If the folder or file holds no trained model.
            ValueError: If the model cannot be loaded; if `which="best"` is given for a source that
                is not a run.
        """
        if not self.pretrained:
            return load(self.name, which=which, announce=announce)
        if which != "last":
            raise ValueError(
                f"Expected the folder of a run, which has a best state. Received: "
                f"{self.name}, a pretrained generator. Omit which='best'."
            )
        return GAN.from_preset(self.name)

    @property
    def class_names(self) -> Sequence[str]:
        """Returns the class names of the training images, empty if they have no classes."""
        if self.config is None or not self.config.data:
            return CLASS_NAMES
        if self.pretrained:
            return ()  # no card names classes of own images
        return RunDirectory(self.name).read_dataset_info().class_names or ()

    def class_name(self, index: int) -> str:
        """Returns the name of a class, or its number if the names are unknown."""
        names = self.class_names
        return names[index] if index < len(names) else str(index)

    def image_options(self, image_shape: tuple[int, ...]) -> ImageOptions:
        """Returns the options that convert an image to the format of the training images.

        Args:
            image_shape: Shape of the generator's images, `(height, width[, channels])`.
        """
        height, width, channels = (*image_shape, 1)[:3]
        options = ImageOptions() if self.config is None else self.config.image_options()
        return dataclasses.replace(options, image_size=f"{width}x{height}", channels=str(channels))

    def class_index(self, text: str) -> int:
        """Returns the class with a number or a name.

        Args:
            text: Number or case-insensitive name of a class.

        Raises:
            ValueError: If no class or more than one class has this name.
        """
        names = self.class_names
        matches = [i for i, name in enumerate(names) if name.casefold() == text.casefold()]
        if len(matches) == 1:
            return matches[0]
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        known = f"The names are: {', '.join(names)}." if names else "The images have no classes."
        raise ValueError(
            f"Expected the number or the name of a class. Received: class={text!r}."
            f"{did_you_mean(text, names)} {known}"
        )


def find_source(name: str | os.PathLike[str]) -> Source:
    """Finds the source with a name.

    Args:
        name: Pretrained name, run folder, `.keras` file, or path of images.

    Raises:
        FileNotFoundError: If there is no source of that name.
    """
    name, cards = os.fspath(name), hub.pretrained_cards()
    path, directory = Path(name), RunDirectory(name)
    if name in cards:
        return Source(name, Config.from_dict(cards[name]["config"]), pretrained=True)
    if not path.exists():
        siblings = [str(other) for other in path.parent.glob("*")]
        raise FileNotFoundError(
            f"There is no {name}, and no pretrained generator of that name. The pretrained ones "
            f"are: {', '.join(cards)}. `fashion-gan runs` lists the runs."
            f"{did_you_mean(path.name, cards) or did_you_mean(name, siblings)}"
        )
    if directory.exists():
        return Source(name, directory.read_config())
    return Source(name, Config() if path.suffix == ".keras" else None)


if __name__ == "__main__":
    pack_pretrained(*sys.argv[1:3])
