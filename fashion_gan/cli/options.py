"""Defines flags that commands share, and builds a config from the flags of settings."""

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fashion_gan.cli.parser import HelpFormatter, positive_int
from fashion_gan.files import check_no_links_out
from fashion_gan.registry import lookup, printable
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.presets import PRESETS, default_preset
from fashion_gan.runs.settings_file import read_settings
from fashion_gan.runtime import check_backend, load_tensorflow

__all__ = [
    "PRESET",
    "RUN",
    "add_class",
    "add_command",
    "add_data_dir",
    "add_no_ema",
    "add_setting",
    "add_settings",
    "add_which",
    "config_from_options",
    "preset_name",
    "report",
    "settings_from_options",
    "start_tensorflow",
]

PRESET = "dense"
RUN = "folder of a run, .keras file, or a generator of the package such as resnet"

GROUPS = {
    "data": ("training images", None),
    "model": ("networks", None),
    "loss": (
        "loss and regularization",
        "All penalties and regularizations combine with all losses.",
    ),
    "instance_noise": (
        "augmentations",
        "Random changes of real and generated images before the discriminator sees them. Pixels "
        "range from 0 to 1 in the models dense and infogan, and from -1 to 1 in the others.",
    ),
    "ema_decay": ("average and optimizers", None),
    "epochs": ("length and batches", None),
    "init_from": ("start, precision and compilation", None),
    "log_gradients": (
        "logs and monitoring",
        "Logs, grids of samples and scores are in the run folder; TensorBoard shows them.",
    ),
}
"""Titles and descriptions of the groups of settings, by the first setting of each group."""

_STEPS_BETWEEN_SCORES = 100  # at least, unless --eval-freq is given


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    help: str,
    examples: Sequence[str],
    details: str = "",
) -> argparse.ArgumentParser:
    """Adds a command and the flags that all commands have.

    Args:
        commands: Sub-parsers to add the command to.
        name: Name of the command.
        run: Function that runs the command.
        help: Help text. One phrase, from which the description is made.
        examples: Command lines for the end of the help text.
        details: Further sentences for the description. Defaults to none.

    Returns:
        The parser of the command.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}. {details}",
        epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument(
        "--tensorflow-log", action="store_true", help="show TensorFlow's own messages"
    )
    return parser


def start_tensorflow(options: argparse.Namespace) -> None:
    """Imports TensorFlow, which takes seconds, without its messages unless requested."""
    check_backend()
    load_tensorflow(quiet=not options.tensorflow_log)
    import keras

    # A user's keras.json may change these defaults, but a run has its own settings.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def add_data_dir(parser: Any) -> None:
    """Adds `--data-dir`, which is checked when it is parsed."""

    def folder(text: str) -> str:
        from fashion_gan import data

        try:
            return str(data.find_fashion_mnist(text))
        except FileNotFoundError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    help = "folder with the four files of Fashion-MNIST (default: searched, then downloaded)"
    parser.add_argument("--data-dir", type=folder, metavar="FOLDER", help=help)


def add_class(parser: argparse.ArgumentParser) -> None:
    """Adds `--class`, which `Source.class_index` reads from `label`."""
    help = "class of the images, by name or number; for conditional generators"
    parser.add_argument("--class", dest="label", metavar="CLASS", help=help)


def add_no_ema(parser: argparse.ArgumentParser) -> None:
    """Adds `--no-ema`, which sets `use_ema` to False."""
    help = "use the trained weights of the generator, not their moving average (EMA)"
    parser.add_argument("--no-ema", dest="use_ema", action="store_false", help=help)


def add_which(parser: argparse.ArgumentParser) -> None:
    """Adds `--which`, the state of a run."""
    help = "state of a run: last, or best by the scores during training (default last)"
    parser.add_argument(
        "--which", choices=("last", "best"), default="last", metavar="STATE", help=help
    )


def report(line: str) -> None:
    """Prints a line to the standard error stream, apart from the output of a command."""
    print(printable(line), file=sys.stderr, flush=True)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each setting of a config, for `config_from_options`."""
    group: Any = parser
    for field in dataclasses.fields(Config):
        if field.name in GROUPS:
            group = parser.add_argument_group(*GROUPS[field.name])
        if field.name == "epochs":
            _add_length(group)
        add_setting(group, field)


def _add_length(group: Any) -> None:
    group.add_argument(
        "--steps",
        type=positive_int,
        metavar="N",
        help="total number of train steps, rounded up to whole epochs; sets the length of the "
        "epochs, or with --steps-per-epoch their number",
    )
    group.add_argument(
        "--images",
        type=positive_int,
        metavar="N",
        help="total number of real images that the discriminator sees, in place of --steps",
    )


def add_setting(group: Any, field: "dataclasses.Field[Any]") -> None:
    """Adds a flag for a setting of a config to a parser or a group of it."""
    name = f"--{field.name.replace('_', '-')}"
    help = f"{field.metadata['help']}{_defaults(field)}"
    if isinstance(field.default, bool):
        group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=help)
        return
    if field.metadata["choices"]:
        words = {str(choice).lower(): choice for choice in field.metadata["choices"]}
        metavar = f"{{{','.join(words)}}}"
        group.add_argument(name, type=lambda text: _choose(text, words), metavar=metavar, help=help)
    else:
        metavar = field.metadata["metavar"]
        group.add_argument(name, type=type(field.default), metavar=metavar, help=help)


def _defaults(field: "dataclasses.Field[Any]") -> str:
    """Returns the value of a setting in the default presets, for help texts."""
    own = getattr(PRESETS[default_preset({"data": "images", "channels": "3"})], field.name)
    shown = [] if field.default == "" else [_as_text(field.default)]
    if own != field.default:
        shown.append(f"with --data {_as_text(own)}")
    return f" (default {', '.join(shown)})" if shown else ""


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _choose(text: str, words: dict[str, Any]) -> Any:
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(
            f"invalid choice: {text!r} (choose from {', '.join(words)})"
        )
    return words[text.lower()]


def settings_from_options(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings given as flags, by name."""
    values = {
        field.name: getattr(options, field.name, None) for field in dataclasses.fields(Config)
    }
    return {name: value for name, value in values.items() if value is not None}


def preset_name(options: argparse.Namespace) -> str:
    """Returns the given preset, or the default preset for the given settings."""
    return options.preset or options.default_preset


def _progress_of_reading(options: argparse.Namespace) -> Callable[[int, int], None]:
    """Returns a progress bar that imports TensorFlow only once the first image is decoded."""
    bar: Callable[[int, int], None] | None = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            start_tensorflow(options)
            from fashion_gan.runs.builder import ProgressBar

            bar = ProgressBar("image")
        bar(done, total)

    return show


def config_from_options(options: argparse.Namespace) -> Config:
    """Returns the preset, or the config of the run to resume, with the given settings.

    Settings in a file override the preset, and flags override both. A file that names every
    setting, such as the config of a run, needs no preset.

    If a preset is given, `RunDirectory.check_available` compares it with the run to resume.

    Raises:
        ValueError: If a setting is out of bounds; if a given setting has no effect with the other
            settings; if the preset is unknown.
    """
    in_file = read_settings(options.config) if options.config else {}
    given = {**in_file, **settings_from_options(options)}
    if options.resume and options.run_dir is None:
        raise ValueError(
            "Expected --run-dir with --resume. Received: none. Name the folder of the run."
        )
    has_run = options.resume and RunDirectory(options.run_dir).exists()
    begins = options.preset or options.config or "data" in given
    if options.resume and not (begins or os.path.lexists(options.run_dir)):
        raise FileNotFoundError(
            f"There is no run in {options.run_dir}. Name the folder of a run, which `fashion-gan "
            "runs` lists, or pass --data or --preset to begin one there."
        )
    needs_default = not (options.preset or has_run)
    options.default_preset = default_preset(
        given if needs_default else {}, _progress_of_reading(options)
    )
    base = lookup(PRESETS, preset_name(options), "preset")
    if options.resume and options.preset is None:
        check_no_links_out(options.run_dir)
        base = RunDirectory(options.run_dir).read_config(default=base)
    if len(in_file) == len(dataclasses.fields(Config)):
        base = Config(**in_file)
    config = dataclasses.replace(base, **given)
    resumes = has_run and options.preset is None
    config = _with_length(config, options, resumes, "eval_freq" in given)
    changed = [name for name, value in given.items() if value != getattr(base, name)]
    for name, needs in config.idle(changed).items():
        raise ValueError(
            f"{name} does nothing without {needs}. Received: {name}={given[name]!r}. Pass that as "
            f"well, or omit {name}."
        )
    return config


def _with_length(
    config: Config, options: argparse.Namespace, resumes: bool, is_eval_freq_given: bool
) -> Config:
    """Returns the config with the length given by `--steps` or `--images`.

    The epochs of a resumed run keep their length. Short epochs are not all evaluated, since
    evaluations would take much of the time.
    """
    lengths = [name for name in ("steps", "images") if getattr(options, name)]
    if not lengths:
        return config
    if len(lengths) > 1 or (options.epochs and options.steps_per_epoch):
        lengths += [name for name in ("epochs", "steps_per_epoch") if getattr(options, name)]
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in lengths)
        raise ValueError(f"Expected one length of the training. Received: {flags}. Omit one.")
    batch = config.batch_size * config.d_steps
    steps = options.steps or math.ceil(options.images / batch)
    fixed = options.steps_per_epoch or (config.steps_per_epoch if resumes else 0)
    config = config.with_steps(steps, fixed)
    if fixed or is_eval_freq_given or not config.eval_freq:
        return config
    rare = min(math.ceil(_STEPS_BETWEEN_SCORES / config.steps_per_epoch), config.epochs)
    return dataclasses.replace(config, eval_freq=max(config.eval_freq, rare))
