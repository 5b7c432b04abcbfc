"""Reads the settings of a run from a TOML file, or from the `config.json` of a run."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from fashion_gan import files
from fashion_gan.registry import check_suffix, did_you_mean
from fashion_gan.runs.config import Config, check_setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read_settings"]


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads settings by name from a `.toml` or `.json` file.

    Names are those of `Config`, with underscores, or with hyphens as in flags. Values have the
    types of the settings. A text setting accepts a number as well, such as `image_size = 64`.

    Args:
        path: Path of the file.

    Returns:
        The settings in the file, each checked against its bounds.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is neither TOML nor JSON; if a name is not a setting; if a setting
            does not allow its value. The message names the file.
    """
    suffix = check_suffix(path, (".toml", ".json"))
    text = files.read_text(path)
    fields = {field.name: field for field in dataclasses.fields(Config)}
    try:
        content = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("Expected settings by name. Received: JSON without names.")
        settings = {}
        for name, value in content.items():
            field = fields.get(name.replace("-", "_"))
            if field is None:
                raise ValueError(
                    f"Expected names of settings. Received: {name!r}.{did_you_mean(name, fields)} "
                    "`fashion-gan train --help` lists them."
                )
            if type(field.default) is str and type(value) in (int, float):
                value = str(value)
            check_setting(field, value)
            settings[field.name] = value
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{Path(path)} holds no settings of a run: {error}") from error
    return settings
