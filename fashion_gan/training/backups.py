"""Reads and names the backups of a training on disk, and computes their checksums."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_gan.files import read_bytes, read_json

__all__ = [
    "POSITION",
    "STATE",
    "Backup",
    "backup_name",
    "checksum",
    "list_backups",
    "newest_backup",
    "newest_position",
]

STATE, POSITION = "state.weights.h5", "position.json"


@dataclass(frozen=True)
class Backup:
    """Holds a backup whose files match their checksum.

    Attributes:
        epoch: Number of finished epochs.
        batch: Number of finished batches of the next epoch.
        metrics: Values of the metrics' variables after these batches.
        state: Content of the `.weights.h5` file.
        sha256: Checksum of state and position.
    """

    epoch: int
    batch: int
    metrics: list[Any]
    state: bytes
    sha256: str

    @property
    def position(self) -> tuple[int, int]:
        """Returns the number of finished epochs, and of finished batches of the next epoch."""
        return self.epoch, self.batch


def newest_backup(folder: str | os.PathLike[str]) -> Backup | None:
    """Reads the newest valid backup, and warns of each newer backup that is corrupt.

    A training may replace the backups at the same time.

    Args:
        folder: Folder of the backups.

    Returns:
        The backup, or None if there is none.

    Raises:
        ValueError: If there are backups and none of them can be read.
    """
    paths, vanished = list_backups(folder), True
    while paths and vanished:
        vanished = False
        for path in paths:
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                if not os.path.lexists(path):
                    vanished = True
                    continue
                warnings.warn(
                    f"The backup {path} is broken ({error}). Trying the one before it.",
                    stacklevel=2,
                )
        paths = list_backups(folder) if vanished else paths
    if paths:
        raise ValueError(f"No backup in {folder} can be read. Delete the folder to start again.")
    return None


def _read(path: Path) -> Backup:
    position = read_json(path / POSITION, 2**20)
    state = read_bytes(path / STATE, 2**40)
    sha256 = position.pop("sha256")
    if checksum(state, position) != sha256:
        raise ValueError("its files do not match their SHA-256")
    if backup_name(position["epoch"], position["batch"]) != path.name:
        raise ValueError("its position differs from its name")
    return Backup(position["epoch"], position["batch"], position["metrics"], state, sha256)


def list_backups(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the folders of all backups, valid or corrupt, the newest first."""
    return sorted(Path(folder).glob("epoch_*_batch_*"), reverse=True)


def newest_position(folder: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Returns the finished epochs and batches in the name of the newest backup, or None."""
    for path in list_backups(folder):
        if match := re.fullmatch(r"epoch_(\d{6,12})_batch_(\d{8,12})", path.name):
            return int(match[1]), int(match[2])
    return None


def backup_name(epoch: int, batch: int) -> str:
    """Returns the name of the folder of a backup."""
    return f"epoch_{epoch:06d}_batch_{batch:08d}"


def checksum(state: bytes | memoryview, position: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the state and the position of a backup."""
    digest = hashlib.sha256(state)
    digest.update(json.dumps(position, sort_keys=True).encode())
    return digest.hexdigest()
