"""Generators that come with the package, each with its hash, config and scores.

`python -m fashion_gan.pretrained RUN NAME` packs the generator of a finished run.
"""

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan import assembly, run, run_folder
from fashion_gan.config import Config
from fashion_gan.files import atomic_write
from fashion_gan.gan import GAN
from fashion_gan.registry import lookup

__all__ = ["cards", "load_pretrained", "pack"]

FOLDER = Path(__file__).parent / "weights"
_CARDS = "pretrained.json"


def cards(folder: str | os.PathLike[str] = FOLDER) -> dict[str, dict[str, Any]]:
    """Name to `sha256`, `config` and `record`, the scores of the full protocol."""
    path = Path(folder) / _CARDS
    return json.loads(path.read_text()) if path.exists() else {}


def load_pretrained(name: str, folder: str | os.PathLike[str] = FOLDER) -> GAN:
    """A GAN whose generator is trained; `gan.sample(64)` draws, without a download.

    Its discriminator is not: this is for sampling, not for training on.

    Args:
        name: one of `cards()`.
        folder: of the weights; by default the package's.

    Raises:
        ValueError: for an unknown name, or if the file is not the one that was packed.
    """
    card = lookup(cards(folder), name, "name")
    path = Path(folder) / f"{name}.npz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"{path} has SHA-256 {found}, expected {card['sha256']}. Install the package again."
        )
    config = dataclasses.replace(Config.from_dict(card["config"]), ema_decay=0.0)
    gan = assembly.build(config)
    with np.load(path, allow_pickle=False) as file:
        gan.generator.set_weights([file[f"{i:02d}"] for i in range(len(file.files))])
    return gan


def pack(folder: str | os.PathLike[str], name: str, into: str | os.PathLike[str] = FOLDER) -> None:
    """Write the sampling generator of a finished run and its card.

    Its weights are rounded to 8 significant bits, as many as bfloat16 has, and written as float16:
    the zeros that this leaves take no room in a compressed file.

    Args:
        folder: of the run.
        name: by which it is loaded.
        into: folder of the weights.
    """
    gan = run.load(folder)
    generator = gan.sampling_network()
    path, into = Path(into) / f"{name}.npz", Path(into)
    weights: dict[str, Any] = {
        f"{i:02d}": _rounded(w) for i, w in enumerate(generator.get_weights())
    }
    with atomic_write(path) as partial:
        np.savez_compressed(partial, **weights)
    card = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": dataclasses.asdict(run_folder.read_config(folder)),
        "record": json.loads((Path(folder) / "scores.json").read_text()),
    }
    content = json.dumps({**cards(into), name: card}, indent=1, sort_keys=True)
    with atomic_write(into / _CARDS) as partial:
        partial.write_text(content + "\n")


def _rounded(weights: np.ndarray) -> np.ndarray:
    significand, exponent = np.frexp(weights)
    return np.ldexp(np.round(significand * 256) / 256, exponent).astype("float16")


if __name__ == "__main__":
    pack(*sys.argv[1:3])
