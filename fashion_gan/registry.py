"""Resolves names to values or objects, with errors that list the choices."""

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "check_suffix",
    "did_you_mean",
    "lookup",
    "printable",
    "resolve",
    "resolve_all",
    "suggest_arguments",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def lookup(choices: Mapping[str, T], name: object, what: str) -> T:
    """Returns `choices[name]`.

    Args:
        choices: Values by name.
        name: Name to look up.
        what: Name of the argument, for the error.

    Raises:
        ValueError: If the name is unknown. The message lists the choices and suggests the closest.
    """
    if isinstance(name, str) and name in choices:
        return choices[name]
    hint = did_you_mean(name, choices)
    raise ValueError(f"Expected one of {sorted(choices)}. Received: {what}={name!r}.{hint}")


def printable(text: object) -> str:
    """Returns a text with escaped control characters, which is safe to print in a terminal.

    Names of folders, classes and layers come from files. They may contain escape sequences, line
    breaks or halves of a surrogate pair.

    Args:
        text: Text, or an object that `str` converts.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """Returns the hint " Did you mean 'this'?", or an empty string if no choice is close.

    Args:
        name: Unknown name.
        choices: Valid names.
    """
    close = get_close_matches(str(name), choices, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def suggest_arguments(**hints: str) -> Callable[[F], F]:
    """Makes a method raise TypeError for an unknown argument with a hint or the closest name.

    Args:
        hints: Hints by the name of an argument that other methods have.

    Returns:
        A decorator of methods.
    """

    def decorate(method: F) -> F:
        names = list(inspect.signature(method).parameters)[1:]

        @functools.wraps(method)
        def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
            for name in kwargs.keys() - set(names):
                hint = f" {hints[name]}" if name in hints else did_you_mean(name, names)
                raise TypeError(f"Expected arguments among {names}. Received: {name!r}.{hint}")
            return method(self, *args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate


def check_suffix(path: str | os.PathLike[str], choices: Iterable[str], folder: bool = False) -> str:
    """Checks the suffix of a path and returns it in lower case.

    Args:
        path: Path of the file to write.
        choices: Valid suffixes, such as `".png"`.
        folder: Whether a folder is valid as well: an existing folder, or a path without a suffix.
            The result is then an empty string. A dot before a digit, as in `run-0.5`, does not
            start a suffix. Defaults to False.

    Raises:
        ValueError: If the suffix is another. The message lists the choices.
    """
    path = Path(path)
    found = re.search(r"\.[A-Za-z]\w*$", path.name)
    suffix = found[0].lower() if found else ""
    if folder and (not suffix or path.is_dir()):
        return ""
    if suffix in choices:
        return suffix
    wanted = [f"a file that ends in {' or '.join(choices)}"] if choices else []
    wanted += ["a folder without an ending"] if folder else []
    raise ValueError(f"Expected {', or '.join(wanted)}. Received: {str(path)!r}.")


def resolve(identifier: Any, kind: type, choices: Mapping[str, type[T]], what: str) -> Any:
    """Resolves an identifier to an object of a class.

    Args:
        identifier: Object of the class, a name of `choices`, a dict with the name and arguments of
            the constructor, such as `{"name": "r1", "weight": 0.1}`, or a config that Keras
            serialized.
        kind: Class of the result.
        choices: Classes by name.
        what: Name of the argument, for the error.

    Raises:
        ValueError: If `identifier` is anything else. The message lists the choices.
    """
    if isinstance(identifier, kind):
        return identifier
    if isinstance(identifier, dict) and "class_name" in identifier:
        import keras

        identifier = keras.saving.deserialize_keras_object(identifier)
        return resolve(identifier, kind, choices, what)
    arguments = dict(identifier) if isinstance(identifier, dict) else {"name": identifier}
    chosen = lookup(choices, arguments.pop("name", None), what)
    try:
        return chosen(**arguments)
    except TypeError as error:
        taken = inspect.signature(chosen).parameters.values()
        wanted = [p.name for p in taken if p.default is p.empty] or [p.name for p in taken]
        example = {"name": identifier if isinstance(identifier, str) else identifier["name"]}
        given = ", ".join([f"'name': {example['name']!r}", *(f"{name!r}: …" for name in wanted)])
        raise ValueError(
            f"Received: {what}={identifier!r}. {error}. Pass {chosen.__name__}("
            f"{', '.join(f'{name}=…' for name in wanted)}), or {{{given}}}."
        ) from error


def resolve_all(
    identifiers: Any, kind: type, choices: Mapping[str, type[T]], what: str
) -> list[Any]:
    """Resolves None, one or several identifiers to a list of objects, see `resolve`."""
    if identifiers is None:
        return []
    if isinstance(identifiers, str | Mapping) or not isinstance(identifiers, Iterable):
        identifiers = [identifiers]
    return [resolve(identifier, kind, choices, what) for identifier in identifiers]
