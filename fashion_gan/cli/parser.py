"""Parses the arguments of the commands, with one-line errors and suggestions."""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NoReturn

__all__ = [
    "HelpFormatter",
    "Parser",
    "fraction",
    "frames_per_second",
    "non_negative_float",
    "non_negative_int",
    "port",
    "positive_float",
    "positive_int",
    "seed_list",
]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions, but keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


_SYNONYMS = {"--lr": "--learning-rate"}


class Parser(argparse.ArgumentParser):
    """Parses arguments, and reports wrong use in one line.

    Flags cannot be abbreviated, since a new flag would make an abbreviation ambiguous.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses arguments as argparse does, but rejects empty arguments.

        An empty argument is usually a shell variable without a value. Unknown arguments raise here
        as well, since the parser of the command knows its flags. Each command has its own parser,
        on which argparse calls this method.
        """
        found, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(found, action.dest, None)
            if value == "" or (isinstance(value, list) and "" in value):
                self.error(
                    str(argparse.ArgumentError(action, "expected a value, not an empty one"))
                )
        if rest and "--data" in self._option_string_actions and os.path.exists(rest[0]):
            self.error(f"Expected a flag. Received: {rest[0]!r}. Did you mean --data {rest[0]}?")
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Exits with status 2 and a one-line message."""
        self.exit(2, f"{self.prog}: error: {message}{self._hint(message)} (--help shows more)\n")

    def _hint(self, message: str) -> str:
        """Returns a hint at the flag, command or choice that is closest to a wrong one."""
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w.-]+", wrong[2])
        else:
            wrong = re.search(r"unrecognized arguments: .*?(--[\w-]+)", message)
            choices = list(self._option_string_actions)
        if not wrong:
            return ""
        name = _SYNONYMS.get(wrong[1], wrong[1])
        longer = [choice for choice in choices if choice.startswith(name)]
        longer += [choice for choice in choices if choice.endswith(f"-{name.lstrip('-')}")]
        close = longer or get_close_matches(name, choices, n=1)
        return f". Did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""


def _within(kind: type, name: str, least: float, most: float, wanted: str) -> Callable[[str], Any]:
    """Returns a function that parses numbers within bounds, named for argparse's messages."""

    def read(text: str) -> Any:
        number = kind(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected {wanted}, not {text}")
        return number

    read.__name__ = name
    return read


positive_int = _within(int, "positive integer", 1, math.inf, "at least 1")
non_negative_int = _within(int, "integer", 0, math.inf, "at least 0")
port = _within(int, "port", 1, 65535, "a port, 1 to 65535")
non_negative_float = _within(float, "number", 0, sys.float_info.max, "0 or more seconds")
positive_float = _within(float, "number", sys.float_info.min, math.inf, "a number above 0")
fraction = _within(float, "number", sys.float_info.min, 1, "a fraction above 0, at most 1")
frames_per_second = _within(float, "number", 0.1, 100, "0.1 to 100 frames a second")


def seed_list(text: str) -> list[int]:
    """Returns the seeds in a text such as `3,17,42` or `0-31`, in order."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip(), re.ASCII)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise argparse.ArgumentTypeError(f"expected seeds such as 3,17,42 or 0-31, not {text}")
        seeds += range(int(found[1]), int(found[2] or found[1]) + 1)
    return seeds
