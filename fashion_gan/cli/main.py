"""Implements the command `fashion-gan`: its sub-commands and its exit status."""

import argparse
import errno
import sys
import warnings
from collections.abc import Sequence

from fashion_gan._version import __version__
from fashion_gan.cli import (
    average,
    benchmark,
    evaluate,
    generate,
    inspect,
    project,
    runs,
    sweep,
    train,
    walk,
)
from fashion_gan.cli.console import discard, format_error, show_warning, use_streams
from fashion_gan.cli.parser import HelpFormatter, Parser

__all__ = ["build_parser", "main"]

_EXAMPLES = """\
examples:
  fashion-gan sample resnet
  fashion-gan inspect photos --image-size 32
  fashion-gan train --data photos --image-size 32 --run-dir logs/photos
  fashion-gan evaluate logs/photos --baselines

The help of each command has more: fashion-gan train --help. Some commands need an extra, which
is installed in a clone of the repository: pip install ".[explore]"."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Arguments of the command line. Defaults to those of the process.

    Returns:
        Exit status: 0 after success, 1 if another worker was lost, 2 for wrong use or input, and
        130 after Ctrl-C.
    """
    use_streams()
    options = build_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `| head`
        discard(sys.stdout)
    except ConnectionError as error:
        if options.debug:
            raise
        print(f"fashion-gan: error: {error} {options.on_interrupt}".rstrip(), file=sys.stderr)
        return 1
    except (
        ValueError,
        TypeError,
        OSError,
        ImportError,
        FloatingPointError,
        MemoryError,
        Warning,  # under `python -W error`
    ) as error:
        if options.debug:
            raise
        message = format_error(error, getattr(options, "out", None))
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            discard(sys.stdout)  # its disk may be full
        print(f"fashion-gan: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nfashion-gan: interrupted. {options.on_interrupt}".rstrip(), file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = Parser(
        prog="fashion-gan",
        description="Trains GANs on small images, and samples, scores and exports them.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fashion-gan {__version__}")
    parser.set_defaults(on_interrupt="")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    for module in (
        inspect,
        train,
        average,
        evaluate,
        generate,
        walk,
        project,
        runs,
        sweep,
        benchmark,
    ):
        module.add_commands(commands)
    return parser
