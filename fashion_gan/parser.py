"""How the commands read their arguments: one line about what is wrong, and a guess at the right."""

import argparse
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NoReturn

__all__ = ["Parser", "natural", "port", "positive", "seconds"]


class Parser(argparse.ArgumentParser):
    """Answers wrong use in one line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; an empty argument, a variable of a shell without a value, is wrong.

        Each command has a parser of its own, of which argparse calls this.
        """
        found, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(found, action.dest, None)
            if value == "" or (isinstance(value, list) and "" in value):
                self.error(
                    str(argparse.ArgumentError(action, "expected a value, not an empty one"))
                )
        return found, rest

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line."""
        self.exit(2, f"{self.prog}: error: {message}{self._hint(message)} (--help shows more)\n")

    def _hint(self, message: str) -> str:
        """The flag, command or choice that a wrong one is closest to."""
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w.-]+", wrong[2])
        else:
            wrong = re.search(r"unrecognized arguments: .*?(--[\w-]+)", message)
            choices = list(self._flags())
        close = get_close_matches(wrong[1], choices, n=1) if wrong else []
        return f". Did you mean {close[0]}?" if close else ""

    def _flags(self) -> Iterator[str]:
        """Those of this parser and of all commands."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action.choices, dict):
                for parser in action.choices.values():
                    yield from parser._flags()


def positive(text: str) -> int:
    """An integer of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, not {number}")
    return number


def natural(text: str) -> int:
    """An integer of at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, not {number}")
    return number


def port(text: str) -> int:
    """The number of a port."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port, 1 to 65535, not {number}")
    return number


def seconds(text: str) -> float:
    """A time of 0 or more seconds."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 or more seconds, not {text}")
    return number


positive.__name__ = "positive integer"  # argparse names the type of what it cannot read
natural.__name__, port.__name__, seconds.__name__ = "integer", "port", "number"
