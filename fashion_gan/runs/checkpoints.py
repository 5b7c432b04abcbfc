"""Trained GANs on disk: run folders, `.keras` files, and the generators that come with the package.

`python -m fashion_gan.runs.checkpoints RUN NAME` packs the generator of a finished run.
"""

import dataclasses
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashion_gan import runtime
from fashion_gan.files import atomic_write, write_json
from fashion_gan.gan import GAN
from fashion_gan.registry import lookup
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory

__all__ = [
    "Source",
    "find_source",
    "load",
    "load_pretrained",
    "pack_pretrained",
    "pretrained_cards",
]

WEIGHTS = Path(__file__).parent.parent / "weights"
_CARDS = "pretrained.json"


def load(run: str | os.PathLike[str], *, safe_mode: bool = True) -> GAN:
    """Loads the trained GAN of a run folder or of a `.keras` file.

    Args:
        run: Run folder or file.
        safe_mode: Whether to refuse networks with code of their own, such as a Lambda layer. Pass
            False for files that you trust.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, holds another model, or, in safe mode, could run code.
    """
    path = Path(run)
    if path.is_dir():
        directory = RunDirectory(path)
        path = directory.model_path
        if not path.is_file() and directory.backup_dir.is_dir():
            raise FileNotFoundError(
                f"There is no trained model {path}. The run is not finished: "
                "`fashion-gan train --resume` resumes it."
            )
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


def pretrained_cards(folder: str | os.PathLike[str] = WEIGHTS) -> dict[str, dict[str, Any]]:
    """Returns the model cards of the pretrained generators by name.

    Args:
        folder: Folder of the weights. Defaults to that of the package.

    Returns:
        Dicts with `sha256` of the weights, `config` and `record`, the scores of the full protocol.
    """
    path = Path(folder) / _CARDS
    return json.loads(path.read_text()) if path.exists() else {}


def load_pretrained(name: str, folder: str | os.PathLike[str] = WEIGHTS) -> GAN:
    """Loads a GAN whose generator is trained; `gan.sample(64)` samples from it.

    The discriminator is not trained: the GAN is for sampling, not for further training.

    Args:
        name: Name of the generator, one of `pretrained_cards()`.
        folder: Folder of the weights. Defaults to that of the package.

    Raises:
        ValueError: If the name is unknown, or the file is not the one that was packed.
    """
    card = lookup(pretrained_cards(folder), name, "name")
    path = Path(folder) / f"{name}.npz"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != card["sha256"]:
        raise ValueError(
            f"Expected {path} to have SHA-256 {card['sha256']}. Received: {sha256}. Install the "
            "package again."
        )
    config = dataclasses.replace(Config.from_dict(card["config"]), ema_decay=0.0)
    gan = build_gan(config)
    with np.load(path, allow_pickle=False) as file:
        gan.generator.set_weights([file[f"{i:02d}"] for i in range(len(file.files))])
    return gan


def pack_pretrained(
    run: str | os.PathLike[str], name: str, folder: str | os.PathLike[str] = WEIGHTS
) -> None:
    """Writes the sampling generator of a finished run and its model card.

    The weights are rounded to 8 significant bits, as many as bfloat16 has, and written as float16:
    the zeros that this leaves take no room in a compressed file.

    Args:
        run: Run folder.
        name: Name by which `load_pretrained` loads the generator.
        folder: Folder of the weights. Defaults to that of the package.
    """
    directory, path = RunDirectory(run), Path(folder) / f"{name}.npz"
    generator = load(run).sampling_network()
    weights: dict[str, Any] = {
        f"{i:02d}": _rounded(weight) for i, weight in enumerate(generator.get_weights())
    }
    with atomic_write(path) as partial:
        np.savez_compressed(partial, **weights)
    card = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(directory.read_config()),
        "record": json.loads(directory.scores_path.read_text()),
    }
    cards = {**pretrained_cards(folder), name: card}
    write_json(Path(folder) / _CARDS, cards, sort_keys=True)


def _rounded(weights: np.ndarray) -> np.ndarray:
    significand, exponent = np.frexp(weights)
    return np.ldexp(np.round(significand * 256) / 256, exponent).astype("float16")


@dataclass(frozen=True)
class Source:
    """What a command was pointed at: a generator, or images.

    Attributes:
        name: Run folder, `.keras` file, pretrained name, or path of images, as it was given.
        config: Config that the generator was trained with; the default config where that is not
            written; None for images.
        pretrained: Whether the generator comes with the package.
    """

    name: str
    config: Config | None
    pretrained: bool = False

    @property
    def path(self) -> Path:
        """The path that the name stands for."""
        return Path(self.name)

    def load(self) -> GAN:
        """Loads the GAN.

        Raises:
            FileNotFoundError: If the folder or file holds no trained model.
            ValueError: If the model cannot be loaded.
        """
        return load_pretrained(self.name) if self.pretrained else load(self.name)


def find_source(name: str | os.PathLike[str]) -> Source:
    """Finds what a name stands for.

    Args:
        name: Pretrained name, run folder, `.keras` file, or path of images.

    Raises:
        FileNotFoundError: If there is nothing of that name.
    """
    name, cards = os.fspath(name), pretrained_cards()
    path, directory = Path(name), RunDirectory(name)
    if name in cards:
        return Source(name, Config.from_dict(cards[name]["config"]), pretrained=True)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {name}, and no pretrained generator of that name. The pretrained ones "
            f"are: {', '.join(cards)}. `fashion-gan runs` lists the runs."
        )
    if directory.exists():
        return Source(name, directory.read_config())
    return Source(name, Config() if path.suffix == ".keras" else None)


if __name__ == "__main__":
    pack_pretrained(*sys.argv[1:3])
