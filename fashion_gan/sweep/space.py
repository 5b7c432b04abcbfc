"""Defines the search space of a sweep: settings, each with a list of values or a range."""

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fashion_gan.registry import lookup
from fashion_gan.runs.config import Config, check_setting

if TYPE_CHECKING:
    import optuna

__all__ = ["Range", "Space", "covering_points", "grid", "parse", "grid_size", "suggest"]


class Range(NamedTuple):
    """Describes a range from `low` to `high`, sampled uniformly or log-uniformly."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' * self.log}"


Space = Mapping[str, Sequence[Any] | Range]
"""Values of each setting, by name."""


def parse(text: str) -> tuple[str, list[Any] | Range]:
    """Parses `NAME=A,B,C`, `NAME=LOW..HIGH` or `NAME=LOW..HIGH:log` into a name and values.

    Raises:
        ValueError: If the text has another form; if `NAME` is not a setting; if the setting does
            not allow a value.
    """
    name, _, values = text.partition("=")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    name = name.strip().replace("-", "_")
    field = lookup(fields, name, "setting")
    kind = type(field.default)
    if ".." in values and kind not in (int, float) and name != "data":  # whose paths may have it
        raise ValueError(
            f"Expected a setting with numbers for a range. Received: {text!r}. Pass {name}=A,B,C."
        )
    try:
        if ".." in values and kind in (int, float):
            ends, _, scale = values.partition(":")
            low, high = (kind(end) for end in ends.split(".."))
            if not low < high or scale not in ("", "log") or (scale and low <= 0):
                raise ValueError
            read: list[Any] | Range = Range(low, high, scale == "log")
            tried = [low, high]
        else:
            read = tried = [_value(kind, value.strip()) for value in values.split(",")]
            if not values or len(set(tried)) < len(tried):
                raise ValueError
    except ValueError:
        raise ValueError(
            f"Expected NAME=A,B,C with different values of type {kind.__name__}, or, for numbers, "
            f"NAME=LOW..HIGH or NAME=LOW..HIGH:log. Received: {text!r}."
        ) from None
    for value in tried:
        check_setting(field, value)
    return name, read


def _value(kind: type, text: str) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def grid_size(space: Space) -> int | None:
    """Returns the number of points in the grid, or None if a setting has a range."""
    if any(isinstance(values, Range) for values in space.values()):
        return None
    return math.prod(len(values) for values in space.values())


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Yields the points of a grid in a fixed random order, or nothing if a setting has a range."""
    if grid_size(space) is not None:
        values = [tuple(values) for values in space.values()]
        made = [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]
        yield from random.Random(0).sample(made, len(made))


def covering_points(space: Space) -> list[dict[str, Any]]:
    """Returns points that together contain each value, or both ends of each range."""
    values = {
        name: [tried.low, tried.high] if isinstance(tried, Range) else list(tried)
        for name, tried in space.items()
    }
    longest = max(map(len, values.values()))
    return [{name: v[i % len(v)] for name, v in values.items()} for i in range(longest)]


def suggest(trial: "optuna.Trial", name: str, values: Sequence[Any] | Range) -> Any:
    """Suggests the value of a setting in a trial."""
    if not isinstance(values, Range):
        return trial.suggest_categorical(name, values)
    if isinstance(values.low, int):
        return trial.suggest_int(name, values.low, int(values.high), log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)
