"""Prints tables, errors and warnings as text, to any terminal or pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from fashion_gan.files import is_partial
from fashion_gan.registry import printable

__all__ = ["discard", "format_error", "lossy_streams", "show", "show_warning", "use_streams"]

_WIDTH = 200  # characters in a line of a pipe or file


def use_streams() -> None:
    """Makes printing safe for closed streams, which drop output, and for ASCII terminals.

    A closed descriptor is reopened as the null device. Otherwise the next opened file would get its
    number, and output would be written into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def discard(stream: TextIO) -> None:
    """Redirects further output of a stream without reader to the null device."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _LossyStream:
    """Drops output, instead of raising, once its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            discard(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lossy_streams() -> Iterator[None]:
    """Lets work continue when its output is closed, as by `| head`, or the disk is full."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_LossyStream, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def show(*tables: Any) -> None:
    """Prints `rich` tables below each other, without truncation if there is no terminal."""
    from rich.console import Console

    options: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
    console = Console(**options)
    if not console.is_terminal:
        console = Console(width=_WIDTH, **options)
    console.print(*tables, sep="\n")


def format_error(error: Exception, out: str | None = None) -> str:
    """Formats an exception as one line, with the path for a system `OSError`.

    Args:
        error: Exception to format.
        out: Path of the output, which replaces a temporary path in the message. Defaults to None.
    """
    if not isinstance(error, OSError) or error.filename is None:
        return printable(" ".join(str(error).split()))
    path = Path(os.fsdecode(error.filename2 or error.filename))
    if out and is_partial(path):
        path = Path(out)
    return printable(f"{path} cannot be opened or created ({error.strerror}). Name another path.")


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Prints a warning as a separate line, without its location in the code."""
    text = printable(" ".join(str(message).split()))
    print(f"\nfashion-gan: warning: {text}", file=sys.stderr, flush=True)
