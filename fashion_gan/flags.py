"""The flags that commands share: those of `Config`'s settings, and the config that they make."""

import argparse
import dataclasses
from typing import Any

from fashion_gan import run_folder
from fashion_gan.config import Config
from fashion_gan.presets import PRESETS
from fashion_gan.registry import lookup

__all__ = ["PRESET", "add_data_dir", "add_no_ema", "add_settings", "config_of"]

PRESET = "dense"


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--data-dir`, which is checked as it is read."""

    def folder(text: str) -> str:
        from fashion_gan import data

        try:
            return str(data.find(text))
        except FileNotFoundError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    help = "folder with Fashion-MNIST's four files, plain or as .gz (default: searched)"
    parser.add_argument("--data-dir", type=folder, metavar="FOLDER", help=help)


def add_no_ema(parser: argparse.ArgumentParser) -> None:
    """Adds `--no-ema`, which sets `use_ema` to False."""
    help = "use the generator that was trained, even if it has an average (EMA)"
    parser.add_argument("--no-ema", dest="use_ema", action="store_false", help=help)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a config; `config_of` reads them."""
    group = parser.add_argument_group("settings, each in place of the preset's")
    for field in dataclasses.fields(Config):
        _add_setting(group, field)


def _add_setting(group: Any, field: "dataclasses.Field[Any]") -> None:
    name = f"--{field.name.replace('_', '-')}"
    default = "none" if field.default == "" else field.default
    help = f"{field.metadata['help']} (preset {PRESET}: {default})"
    if isinstance(field.default, bool):
        group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=help)
        return
    group.add_argument(
        name,
        type=type(field.default),
        choices=field.metadata["choices"],
        metavar=None if field.metadata["choices"] else type(field.default).__name__.upper(),
        help=help,
    )


def config_of(options: argparse.Namespace) -> Config:
    """The preset, or the config of the run to be resumed, with the settings that were given.

    A run to be resumed is compared with a preset if one is named, see `run_folder.check_free`.

    Raises:
        ValueError: if a setting is out of bounds, or was given and does nothing beside the others;
            if there is no such preset.
    """
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Config)
        if getattr(options, field.name) is not None
    }
    base = lookup(PRESETS, options.preset or PRESET, "preset")
    if options.resume and options.run is None:
        raise ValueError("--resume needs --run: the folder of the run to go on with.")
    if options.resume and options.preset is None:
        base = run_folder.read_config(options.run, default=base)
    config = dataclasses.replace(base, **given)
    changed = [name for name, value in given.items() if value != getattr(base, name)]
    for name, needs in config.idle(changed).items():
        raise ValueError(
            f"{name} does nothing without {needs}. Received: {name}={given[name]!r}. Give that as "
            f"well, or leave {name} out."
        )
    return config
