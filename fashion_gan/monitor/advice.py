"""Suggests what to change about a training with an issue, without what it already uses."""

from dataclasses import dataclass

__all__ = ["Recipe", "advise"]

_YOUNG = 10_000  # number of steps below which more steps are suggested
_SUGGESTED = 4  # largest number of suggestions


@dataclass(frozen=True)
class Recipe:
    """Parts of a training that the advice depends on.

    Attributes:
        relativistic: Whether the loss pairs reals and fakes.
        penalty_weight: Largest weight of an R1 or R2 penalty, 0 without one.
        ema: Whether there is an average of the generator.
        replay: Whether there is a replay buffer.
        minibatch_stddev: Whether the discriminator has a layer `MinibatchStdDev`.
        g_learning_rate: Present learning rate of the generator, or None if unknown.
        d_learning_rate: Present learning rate of the discriminator, or None if unknown.
        steps: Number of train steps so far, or None if unknown.
    """

    relativistic: bool = False
    penalty_weight: float = 0.0
    ema: bool = False
    replay: bool = False
    minibatch_stddev: bool = False
    g_learning_rate: float | None = None
    d_learning_rate: float | None = None
    steps: int | None = None


def advise(kind: str, recipe: Recipe) -> str:
    """Returns up to four suggestions for an issue, the most effective first.

    Args:
        kind: Kind of the issue, see `Issue`.
        recipe: Recipe of the training. What it already uses is not suggested.
    """
    pairing = [] if recipe.relativistic else ["a relativistic loss"]
    average = [] if recipe.ema else ["an EMA of the generator (ema_decay=0.999)"]
    replay = [] if recipe.replay else ["a replay buffer of 2,048 fakes"]
    stddev = [] if recipe.minibatch_stddev else ["MinibatchStdDev in the discriminator"]
    slower = _rate("learning rates", 0.5, recipe.g_learning_rate, recipe.d_learning_rate)
    penalties = _penalties(recipe.penalty_weight)
    if kind in ("oscillating", "diverging"):
        chosen = [*slower, *penalties, *average]
    elif kind == "rotating":
        chosen = [*slower, *penalties, *average, *replay]
    elif kind == "discriminator saturated":
        slower = _rate("a learning rate of the discriminator", 0.5, recipe.d_learning_rate)
        chosen = [*slower, *penalties, *pairing]
    elif kind == "discriminator at chance level":
        chosen = [
            *_rate("a learning rate of the discriminator", 2, recipe.d_learning_rate),
            *([f"penalty weights of {recipe.penalty_weight / 2:g}"] * bool(recipe.penalty_weight)),
            "a discriminator with more layers",
        ]
    else:
        young = recipe.steps is not None and recipe.steps < _YOUNG
        longer = [f"{recipe.steps:,} more steps"] if young else []
        chosen = [*pairing, *penalties, *longer, *stddev, *replay, *slower]
    chosen = chosen[:_SUGGESTED]
    return " or ".join([", ".join(chosen[:-1]), chosen[-1]] if len(chosen) > 1 else chosen)


def _rate(what: str, factor: float, *rates: float | None) -> list[str]:
    """Returns the suggestion of other learning rates, with numbers if the present are known."""
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        number, _, noun = what.rpartition("learning rate")
        return [f"{number}{'lower' if factor < 1 else 'higher'} learning rate{noun}"]
    return [f"{what} of {' and '.join(f'{factor * rate:.2g}' for rate in known)}"]


def _penalties(weight: float) -> list[str]:
    """Returns the suggestion of penalties, or of twice their weight."""
    return [f"weights of {2 * weight:g} for R1 and R2" if weight else "R1 and R2 of weight 0.5"]
