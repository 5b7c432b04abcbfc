"""Implements the command `fashion-gan train`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from fashion_gan.cli.console import lossy_streams
from fashion_gan.cli.options import (
    PRESET,
    add_command,
    add_data_dir,
    add_settings,
    config_from_options,
    preset_name,
    start_tensorflow,
)
from fashion_gan.cli.parser import non_negative_float, positive_int
from fashion_gan.files import unique_dir
from fashion_gan.runs.config import Config
from fashion_gan.runs.presets import PRESETS
from fashion_gan.runtime import has_imagenet_weights, workers

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Adds `train`."""
    command = add_command(
        commands,
        "train",
        _train,
        "train a GAN on your own images, or on Fashion-MNIST",
        examples=(
            "fashion-gan train --data photos --image-size 64 --run-dir logs/photos",
            "fashion-gan train --data photos --image-size 32 --dry-run",
            "fashion-gan train --data shoes.zip --conditional --steps 30000",
            "fashion-gan train --preset dense_modern --epochs 100",
            "fashion-gan train --resume --run-dir logs/photos",
        ),
        details="A preset sets all settings, and flags override it. With --data, the default "
        "preset is projected for RGB images with the extra features, and images otherwise. The "
        "help shows the defaults "
        f"of the preset {PRESET}, and of the preset with --data if they differ. With --dry-run, "
        "the command prints the size of the networks, the number of steps and all settings.",
    )
    command.usage = "%(prog)s [--data IMAGES] [--preset PRESET] [--run-dir FOLDER] [OPTION …]"
    parser = command.add_argument_group("run")
    parser.add_argument(
        "--preset",
        help=f"tested settings with a name: {', '.join(PRESETS)} (default {PRESET}, or "
        "with --data projected for RGB images and images for others)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="file with settings, which override the preset: a .toml file with lines such as "
        "r1 = 0.5, or the config.json of a run",
    )
    parser.add_argument(
        "--run-dir",
        metavar="FOLDER",
        help="folder for the run (default logs/PRESET, or logs/PRESET-2 and so on if it exists)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, print the plan, write nothing"
    )
    add_data_dir(parser)
    parser.add_argument(
        "--devices",
        type=positive_int,
        metavar="N",
        help="train on N devices of this machine (default 1); for several machines, set the "
        "environment variable TF_CONFIG of TensorFlow",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in --run-dir with its settings, or start it if there is none; "
        "--epochs may change the length, and --data may be a new path to the same images",
    )
    parser.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="accept changed images with --resume",
    )
    parser.add_argument(
        "--backup-interval",
        type=non_negative_float,
        default=60.0,
        metavar="SECONDS",
        help="time between backups, which are also written after each epoch (default 60)",
    )
    add_settings(command)


def _train(options: argparse.Namespace) -> None:
    if options.allow_changed_data and not options.resume:
        raise ValueError(
            "Expected --resume with --allow-changed-data. Received: none. Omit it for a new run."
        )
    config = config_from_options(options)
    start_tensorflow(options)
    from fashion_gan.runs.train import describe_training

    if workers() and options.run_dir is None:
        raise ValueError(
            "Expected --run-dir with TF_CONFIG. Received: none. Name a folder that all workers "
            "share."
        )
    if options.dry_run:
        plan = describe_training(
            config,
            options.run_dir,
            options.data_dir,
            options.devices,
            options.resume,
            options.allow_changed_data,
        )
        print("\n".join([*_describe_preset(options, config), *plan]))
        return
    with lossy_streams():
        for line in _describe_preset(options, config):
            print(line)
        _train_in_folder(options, config)


def _describe_preset(options: argparse.Namespace, config: Config) -> Iterator[str]:
    """Yields lines on the preset that was chosen for own images, unless it was given."""
    if not config.data or options.preset or options.resume:
        return
    yield f"{'preset':<14} {preset_name(options)}, {_reason_for_preset(options, config)}"
    if not has_imagenet_weights() and config.channels != "1":
        yield (
            f"{'':<14} The preset projected draws color images better. Install it by "
            'pip install "fashion-gan[features]".'
        )


def _reason_for_preset(options: argparse.Namespace, config: Config) -> str:
    """Returns a phrase on the choice of `default_preset`."""
    if config.projected:
        return "the default for RGB images"
    if options.model:
        return "the default with --model"
    if not has_imagenet_weights():
        return "the default without the extra features"
    return "the default for images that are not RGB"


def _train_in_folder(options: argparse.Namespace, config: Config) -> None:
    from fashion_gan.runs.train import train_run

    new_dir = unique_dir("logs", preset_name(options))
    with nullcontext(options.run_dir) if options.run_dir else new_dir as run_dir:
        everywhere = " on all workers" if workers() else ""
        options.on_interrupt = (
            "The run is kept.\n"
            f"  resume{everywhere}: fashion-gan train --resume --run-dir {run_dir}\n"
            f"  sample: fashion-gan sample {run_dir}"
        )
        gan = train_run(
            config,
            run_dir,
            data_dir=options.data_dir,
            devices=options.devices,
            resume=options.resume,
            allow_changed_data=options.allow_changed_data,
            backup_interval=options.backup_interval,
            verbose="auto" if sys.stdout.isatty() else 2,  # a bar needs a terminal
        )
    steps = "1 step" if gan.steps == 1 else f"{gan.steps:,} steps"
    print(f"Trained for {steps}. The run is in {run_dir}; look at it with:")
    print(f"  tensorboard --logdir {run_dir}")
    print(f"  fashion-gan sample {run_dir}")
    print(f"  fashion-gan evaluate {run_dir} --baselines")
