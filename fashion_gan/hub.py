"""Reads and writes presets: folders with a trained GAN and its model card, as in KerasHub.

A preset holds the three members of a `.keras` file, `config.json`, `metadata.json` and
`model.weights.h5`, and `README.md`, its model card. It can be shared on Hugging Face and Kaggle.
"""

import hashlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan._version import __version__
from fashion_gan.files import read_bytes
from fashion_gan.registry import did_you_mean

__all__ = [
    "CARD",
    "MEMBERS",
    "PRETRAINED_CARDS",
    "SCHEMES",
    "WEIGHTS",
    "model_card",
    "pack_weights",
    "pretrained_cards",
    "pretrained_weights",
    "read_preset",
    "upload_preset",
    "write_preset",
]

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
"""Files of a preset that are also the members of a `.keras` file."""

CARD = "README.md"
"""File of a preset with its model card."""

SCHEMES = {"hf": "huggingface_hub", "kaggle": "kagglehub"}
"""Names before `://` in the address of a preset, and the packages that they need."""

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the pretrained generators that come with the package."""

PRETRAINED_CARDS = "pretrained.json"
"""File of `WEIGHTS` with the model cards of all pretrained generators."""

_PREFIXES = {"generator": "", "discriminator": "discriminator_"}
_LIMIT = 2**33  # largest size of a file of a preset, in bytes


def read_preset(preset: str | os.PathLike[str]) -> io.BytesIO:
    """Returns a preset as a `.keras` file in memory.

    Args:
        preset: Folder, or address `hf://USER/MODEL` or `kaggle://USER/MODEL/keras/VARIATION`.

    Raises:
        FileNotFoundError: If there is no such folder, or if a file of the preset is missing.
        ImportError: If the package for the address is not installed.
        ValueError: If the address is unknown, or if a file is not a regular file.
    """
    scheme, name = _split(preset)
    folder = _download(scheme, name) if scheme else Path(preset)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"Expected the name of a pretrained generator, the folder of a preset, or an address "
            f"such as hf://USER/MODEL. Received: preset={str(preset)!r}."
            f"{did_you_mean(str(preset), pretrained_cards())} The pretrained generators are: "
            f"{', '.join(pretrained_cards())}."
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in MEMBERS:
            try:
                archive.writestr(member, read_bytes(folder / member, _LIMIT))
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"Expected a preset with {', '.join(MEMBERS)}. Received: {preset}, without "
                    f"{member}. gan.save_to_preset(folder) writes presets."
                ) from error
    file.seek(0)
    return file


def write_preset(
    folder: str | os.PathLike[str], keras_file: io.BytesIO, card: str, overwrite: bool = False
) -> None:
    """Writes a preset. If that fails, the folder is as before.

    Args:
        folder: Folder to create.
        keras_file: Content of a `.keras` file.
        card: Text of the model card.
        overwrite: Whether to replace the files of an existing preset. Defaults to False.

    Raises:
        FileExistsError: If the folder exists and is not empty. With `overwrite`, if it holds files
            that are not part of a preset.
        OSError: If a file cannot be written.
    """
    folder = Path(folder)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = names - {*MEMBERS, CARD} if overwrite else names
    if others or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(
            f"Expected a new folder for the preset. Received: {folder}, which holds "
            f"{', '.join(sorted(others)[:3]) or 'a file'}. Name another folder"
            f"{'' if overwrite else ', or pass overwrite=True to replace a preset'}."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
        new = Path(partial) / "new"
        new.mkdir()
        with zipfile.ZipFile(keras_file) as archive:
            for member in MEMBERS:
                (new / member).write_bytes(archive.read(member))
        (new / CARD).write_text(card, encoding="utf-8")
        old = Path(partial) / "old"
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def upload_preset(uri: str, preset: str | os.PathLike[str]) -> None:
    """Uploads the files of a preset, and no others of its folder, to Hugging Face or Kaggle.

    Log in first, with `hf auth login` or the API token of Kaggle.

    Args:
        uri: Address to upload to, `hf://USER/MODEL` or `kaggle://USER/MODEL/keras/VARIATION`.
        preset: Folder that `gan.save_to_preset` wrote.

    Raises:
        FileNotFoundError: If the folder holds no complete preset.
        ImportError: If the package for the address is not installed.
        ValueError: If the address is unknown.
    """
    scheme, name = _split(uri)
    if not scheme:
        raise ValueError(
            f"Expected an address such as hf://USER/MODEL. Received: uri={uri!r}, a folder."
        )
    if _split(preset)[0]:
        raise ValueError(f"Expected a folder to upload. Received: preset={str(preset)!r}.")
    read_preset(preset)  # raises unless it is complete
    _check_package(scheme)
    with tempfile.TemporaryDirectory() as folder:
        for file in (*MEMBERS, CARD):
            if (Path(preset) / file).is_file():
                shutil.copyfile(Path(preset) / file, Path(folder) / file)
        if scheme == "hf":
            import huggingface_hub

            huggingface_hub.create_repo(name, exist_ok=True)
            huggingface_hub.upload_folder(repo_id=name, folder_path=folder)
        else:
            import kagglehub

            kagglehub.model_upload(name, folder)


def model_card(
    gan: Any,
    *,
    description: str = "",
    data: str = "",
    license: str = "",
    scores: Mapping[str, float] | None = None,
) -> str:
    """Returns the text of a model card, in the Markdown of Hugging Face.

    Args:
        gan: GAN to describe.
        description: What the GAN generates. Defaults to no description.
        data: Images that it was trained on, and their license. Defaults to no statement.
        license: License of the weights, by its identifier such as `"cc-by-4.0"`. Defaults to no
            statement.
        scores: Scores by name, including baselines. Defaults to no scores.
    """
    height, width, channels = (*gan.image_shape, 1)[:3]
    front = ["library_name: keras", "tags: [gan, image-generation]"]
    front += [f"license: {json.dumps(license)}"] if license else []
    kind = {1: "gray", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels}-channel")
    lines = [
        *("---", *front, "---", "", "# GAN for Keras 3", ""),
        *([description, ""] if description else []),
        f"A generator of {kind} images of {width}x{height} pixels, with its discriminator, after "
        f"{gan.steps:,} train steps. Written by fashion-gan {__version__}.",
        *("", "```python", "from fashion_gan import GAN", ""),
        'gan = GAN.from_preset("…")  # this address or folder',
        *("images = gan.sample(64, seed=0)", "```", ""),
        *(["## Data", "", data, ""] if data else []),
    ]
    if scores:
        rows = [f"| {name} | {value:.4g} |" for name, value in scores.items()]
        lines += ["## Scores", "", "| score | value |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def pretrained_cards(
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Returns the model cards of the pretrained generators by name.

    Args:
        folder: Folder of the weights. Defaults to `WEIGHTS`.

    Returns:
        Dicts with `sha256` of the weights, `config` and `record`, the scores of the full protocol.
        The cards of generators of other images than Fashion-MNIST also have `image_shape`.
    """
    path = Path(folder or WEIGHTS) / PRETRAINED_CARDS
    return json.loads(path.read_text()) if path.exists() else {}


def pack_weights(weights: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays of a file of `WEIGHTS`, by their names in it.

    Args:
        weights: Weights of `"generator"`, and optionally of `"discriminator"`.
    """
    return {
        f"{_PREFIXES[network]}{i:02d}": array
        for network, arrays in weights.items()
        for i, array in enumerate(arrays)
    }


def pretrained_weights(name: str, network: str = "generator") -> list[np.ndarray]:
    """Returns the weights of a pretrained generator, or of the discriminator that trained it.

    Args:
        name: Name of the generator, one of `pretrained_cards()`.
        network: `"generator"` or `"discriminator"`. Defaults to `"generator"`.

    Returns:
        The weights in the order of `get_weights()`. The list is empty if the package does not
        contain the discriminator.

    Raises:
        ValueError: If the hash of the file differs from its card.
    """
    card, path = pretrained_cards()[name], WEIGHTS / f"{name}.npz"
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card["sha256"]:
        raise ValueError(
            f"Expected {path} to have SHA-256 {card['sha256']}. Received: {sha256}. Install the "
            "package again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return [file[key] for key in file.files if key.rstrip("0123456789") == _PREFIXES[network]]


def _split(preset: str | os.PathLike[str]) -> tuple[str, str]:
    """Returns scheme and name of an address, or an empty scheme and the path of a folder."""
    scheme, separator, name = os.fspath(preset).partition("://")
    if not separator:
        return "", scheme
    if scheme not in SCHEMES or name.count("/") != (1 if scheme == "hf" else 3) or ".." in name:
        raise ValueError(
            "Expected hf://USER/MODEL or kaggle://USER/MODEL/keras/VARIATION. Received: "
            f"{os.fspath(preset)!r}."
        )
    return scheme, name


def _check_package(scheme: str) -> None:
    package = SCHEMES[scheme]
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"{scheme}:// needs the package {package}: pip install {package}")


def _download(scheme: str, name: str) -> Path:
    """Returns the folder in the cache of the package that downloads presets."""
    _check_package(scheme)
    if scheme == "hf":
        import huggingface_hub

        return Path(huggingface_hub.snapshot_download(name, allow_patterns=[*MEMBERS, CARD]))
    import kagglehub

    return Path(kagglehub.model_download(name))
