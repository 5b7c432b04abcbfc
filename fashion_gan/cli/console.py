"""What is printed: tables as wide as the terminal, errors and warnings in a line of words."""

import sys
from pathlib import Path
from typing import Any

from fashion_gan.files import is_partial

__all__ = ["format_error", "show", "show_warning"]

_WIDTH = 200  # of a pipe or file, in characters


def show(*tables: Any) -> None:
    """Print `rich` tables, one below the other; in full where there is no terminal."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(*tables, sep="\n")


def format_error(error: Exception, out: str | None = None) -> str:
    """Formats an exception as one line, with the path of an `OSError` that has no message of ours.

    Args:
        error: Exception to format.
        out: Path that was to be written, if any. It replaces a temporary path in the message.
    """
    if not isinstance(error, OSError) or error.filename is None:
        return " ".join(str(error).split())
    path = Path(str(error.filename2 or error.filename))
    if out and is_partial(path):
        path = Path(out)
    return f"{path} cannot be opened or created ({error.strerror}). Name another path."


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as a line of its own, without the place in the code that gave it."""
    print(f"\nfashion-gan: warning: {message}", file=sys.stderr, flush=True)
