"""What a sweep varies: settings, each with a list of values or a range."""

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fashion_gan.config import Config
from fashion_gan.registry import lookup

if TYPE_CHECKING:
    import optuna

__all__ = ["Range", "Space", "grid", "parse", "points", "suggest"]


class Range(NamedTuple):
    """Values from `low` to `high`, drawn evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Sequence[Any] | Range]
"""Settings to their values."""


def parse(text: str) -> tuple[str, list[Any] | Range]:
    """`NAME=A,B,C` or `NAME=LOW..HIGH` or `NAME=LOW..HIGH:log`, as name and values.

    Raises:
        ValueError: if it is none of these, or `NAME` no setting, or a value none of its values.
    """
    name, _, values = text.partition("=")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    name = name.strip().replace("-", "_")
    kind = type(lookup(fields, name, "setting").default)
    try:
        if ".." in values and kind in (int, float):
            ends, _, scale = values.partition(":")
            low, high = (kind(end) for end in ends.split(".."))
            if not low < high or scale not in ("", "log") or (scale and low <= 0):
                raise ValueError
            return name, Range(low, high, scale == "log")
        chosen = [_value(kind, value.strip()) for value in values.split(",")]
        if not values or len(set(chosen)) < len(chosen):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"Expected NAME=A,B,C with different values of type {kind.__name__}, or, of numbers, "
            f"NAME=LOW..HIGH or NAME=LOW..HIGH:log. Received: {text!r}."
        ) from None
    for value in chosen:
        dataclasses.replace(Config(), **{name: value})
    return name, chosen


def _value(kind: type, text: str) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def points(space: Space) -> int | None:
    """How many points there are; None if one of the settings has a range."""
    if any(isinstance(values, Range) for values in space.values()):
        return None
    return math.prod(len(values) for values in space.values())


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """The points of a space of lists, in an order without pattern; none if there is a range."""
    if points(space) is not None:
        values = [tuple(values) for values in space.values()]
        made = [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]
        yield from random.Random(0).sample(made, len(made))


def suggest(trial: "optuna.Trial", name: str, values: Sequence[Any] | Range) -> Any:
    """The value of a setting in a trial."""
    if not isinstance(values, Range):
        return trial.suggest_categorical(name, values)
    if isinstance(values.low, int):
        return trial.suggest_int(name, values.low, int(values.high), log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)
