"""What is printed: tables as wide as the terminal, and in full where there is none."""

from typing import Any

__all__ = ["show"]

_WIDTH = 200  # of a pipe or file, in characters


def show(*tables: Any) -> None:
    """Print `rich` tables, one below the other."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(*tables, sep="\n")
