"""Implements the command `fashion-gan train`."""

import argparse
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
    parser = add_command(
        commands,
        "train",
        _train,
        "train a preset on Fashion-MNIST or on images of your own",
        examples=(
            "fashion-gan train --data photos --image-size 64 --run-dir logs/photos",
            "fashion-gan train --preset resnet_conditional --batch-size 128",
            "fashion-gan train --resume --run-dir logs/photos",
        ),
    )
    parser.usage = "%(prog)s [--preset PRESET] [--data IMAGES] [--run-dir FOLDER] [OPTION …]"
    parser.add_argument(
        "--preset",
        help=f"settings to begin with (default {PRESET}; with --data projected, or else images): "
        f"{', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings as a .toml file, or the config.json of a run; flags replace them",
    )
    parser.add_argument(
        "--run-dir", metavar="FOLDER", help="folder of the run (default: a new one in logs/)"
    )
    add_data_dir(parser)
    parser.add_argument(
        "--devices",
        type=positive_int,
        metavar="N",
        help="train on N devices of this host (default 1); TF_CONFIG names the workers of many",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in --run-dir with its own settings; begin it if there is none; "
        "--epochs may grow, or shrink to what is done, and --data may name another place of the "
        "same images",
    )
    parser.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="resume with images that have changed since the run began",
    )
    parser.add_argument(
        "--backup-interval",
        type=non_negative_float,
        default=60.0,
        metavar="SECONDS",
        help="time between two backups within an epoch; each epoch ends with one (default 60)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, print the plan, write nothing"
    )
    add_settings(parser)


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
    if config.data and not (options.preset or options.resume):
        print(f"{'preset':<14} {preset_name(options)}")
        if not has_imagenet_weights():
            print(
                f"{'':<14} The preset projected draws color images better. Install it by "
                'pip install "fashion-gan[features]".'
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
        print("\n".join(plan))
        return
    with lossy_streams():
        _train_in_folder(options, config)


def _train_in_folder(options: argparse.Namespace, config: Config) -> None:
    from fashion_gan.runs.train import train_run

    new_dir = unique_dir("logs", preset_name(options))
    with nullcontext(options.run_dir) if options.run_dir else new_dir as run_dir:
        everywhere = " on all workers" if workers() else ""
        options.on_interrupt = (
            f"The run is kept; resume it{everywhere} with: "
            f"fashion-gan train --resume --run-dir {run_dir}; "
            f"sample from it with: fashion-gan sample {run_dir}"
        )
        gan = train_run(
            config,
            run_dir,
            data_dir=options.data_dir,
            devices=options.devices,
            resume=options.resume,
            allow_changed_data=options.allow_changed_data,
            backup_interval=options.backup_interval,
        )
    steps = "1 step" if gan.steps == 1 else f"{gan.steps:,} steps"
    print(f"Trained for {steps}. The run is in {run_dir}; look at it with:")
    print(f"  tensorboard --logdir {run_dir}")
    print(f"  fashion-gan sample {run_dir}")
    print(f"  fashion-gan evaluate {run_dir}")
