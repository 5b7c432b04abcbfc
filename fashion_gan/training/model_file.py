"""Writes and reads `.keras` files that also hold the epoch and the score of the model."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashion_gan.files import read_bytes, write_bytes

__all__ = ["read_model_info", "write_model_file"]


def write_model_file(path: str | os.PathLike[str], gan: Any, info: Mapping[str, Any]) -> None:
    """Writes a `.keras` file atomically, with information on the model in its ZIP comment.

    The information is part of the file, so it always matches the model.

    Args:
        path: File to write.
        gan: GAN to save.
        info: Information on the model, as JSON of at most 65,535 bytes.

    Raises:
        OSError: If the file cannot be written, or if the disk has too little space.
    """
    file = io.BytesIO()
    gan.save(file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = json.dumps(info).encode()
    write_bytes(path, file.getvalue())


def read_model_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the information that `write_model_file` wrote to a `.keras` file.

    Args:
        path: File to read.

    Returns:
        The information, or an empty dict if the file does not exist, is corrupt or has none.
    """
    if not Path(path).is_file():
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, 2**40))) as archive:
            return dict(json.loads(archive.comment))
    except (OSError, ValueError, TypeError, RecursionError, zipfile.BadZipFile):
        return {}
