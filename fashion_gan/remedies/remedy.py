"""What a remedy is: it changes a train step at one of three places."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

__all__ = ["Draws", "Remedy", "Shown"]


class Draws(NamedTuple):
    """Random numbers `(batch, *shape_of_one)`: for one remedy at one place, equal at each call."""

    uniform: Callable[[Any], Any]  # in [0, 1)
    normal: Callable[[Any], Any]


class Shown(NamedTuple):
    """Images `(batch, height, width[, channels])`, and their labels `(batch,)` if they have any."""

    images: Any
    labels: Any = None

    def split(self, count: int) -> "list[Shown]":
        """So many equal parts."""
        parts = [part if part is None else ops.split(part, count) for part in self]
        return [Shown(*(p if p is None else p[i] for p in parts)) for i in range(count)]

    def followed_by(self, other: "Shown") -> "Shown":
        """These and then the others, as one batch."""
        pairs = zip(self, other, strict=True)
        return Shown(*(a if a is None else ops.concatenate([a, b]) for a, b in pairs))


class Remedy:
    """Three places to change a train step at; each returns what it was given unless overridden."""

    def learned(self, fake: Shown, draws: Draws) -> Shown:
        """The fakes that the discriminator learns from, in place of the generator's latest."""
        return fake

    def seen(self, images: Any, draws: Draws, step: Any, low: float) -> Any:
        """The images as the discriminator sees them: reals and fakes, in both phases.

        The generator's gradient goes through it. `step` is the number of train steps done so far,
        `low` the darkest shade.
        """
        return images

    def told(self, real: Any, fake: Any, draws: Draws) -> tuple[Any, Any]:
        """The logits that count as those of reals and of fakes in the discriminator's loss."""
        return real, fake

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values.

        By default all attributes: a remedy that has others overrides it.
        """
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Remedy":
        """Rebuild the remedy from `get_config()`."""
        return cls(**config)
