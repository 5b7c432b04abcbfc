"""Looking a name up: the value, or an error that lists the choices."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

__all__ = ["lookup"]

T = TypeVar("T")


def lookup(choices: Mapping[str, T], name: object, what: str) -> T:
    """`choices[name]`.

    Raises:
        ValueError: if there is none; the message lists the choices and names the closest.
    """
    if isinstance(name, str) and name in choices:
        return choices[name]
    close = get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"Expected one of {sorted(choices)}. Received: {what}={name!r}.{hint}")
