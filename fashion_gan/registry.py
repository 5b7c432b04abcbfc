"""Looking a name up: the value or object it stands for, or an error that lists the choices."""

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
    """`choices[name]`.

    Raises:
        ValueError: if there is none; the message lists the choices and names the closest.
    """
    if isinstance(name, str) and name in choices:
        return choices[name]
    hint = did_you_mean(name, choices)
    raise ValueError(f"Expected one of {sorted(choices)}. Received: {what}={name!r}.{hint}")


def printable(text: object) -> str:
    """Returns a text in which control characters are escaped, so that a terminal shows them.

    Names of folders, classes and layers come from files, and may hold escape sequences, line breaks
    or halves of a surrogate pair.

    Args:
        text: Text, or an object whose `str` is taken.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """The end of an error: " Did you mean 'this'?", or nothing if no choice is close."""
    close = get_close_matches(str(name), choices, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def suggest_arguments(**hints: str) -> Callable[[F], F]:
    """Let a method answer an unknown argument with a hint, or with the closest name that it has.

    Args:
        hints: what to say of arguments that others have.
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
    """What the name of a file to be written ends in, in lower case: one of `choices`.

    Args:
        path: of the file.
        choices: such as `".png"`.
        folder: also take the name of a folder, which exists or has no ending, and return "". A dot
            before a digit, as in `run-0.5`, begins no ending.

    Raises:
        ValueError: for any other ending; the message lists the choices.
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
    """The object of a `kind` that an identifier stands for.

    Args:
        identifier: such an object, a name of `choices`, a dict with the name and arguments of the
            constructor, `{"name": "r1", "weight": 0.1}`, or what Keras serialised.
        kind: what it has to be.
        choices: classes by name.
        what: in the words of an error.

    Raises:
        ValueError: for anything else; the message lists the choices.
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
            f"Received: {what}={identifier!r}. {error}. Give {chosen.__name__}("
            f"{', '.join(f'{name}=…' for name in wanted)}), or {{{given}}}."
        ) from error


def resolve_all(
    identifiers: Any, kind: type, choices: Mapping[str, type[T]], what: str
) -> list[Any]:
    """The objects that none (also `None`), one or several identifiers stand for; see `resolve`."""
    if identifiers is None:
        return []
    if isinstance(identifiers, str | Mapping) or not isinstance(identifiers, Iterable):
        identifiers = [identifiers]
    return [resolve(identifier, kind, choices, what) for identifier in identifiers]
