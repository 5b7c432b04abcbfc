"""What the alarm remembers from one epoch to the next: losses, classes, and what it has said."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fashion_gan.metrics.diagnosis import Finding
from fashion_gan.metrics.health import oscillation, rise, rotation
from fashion_gan.metrics.reference import Signs

__all__ = ["Memory"]

_SEEN = ("accuracy", "logit")
_SERIES = ("d_loss", "g_loss", "g_gradient_norm")


@dataclass
class Memory:
    """State across epochs; `dataclasses.asdict` gives what JSON can keep, `Memory(**it)` reads it.

    Attributes:
        series: the last values of the losses, and of the generator's gradient if it is logged.
        shares: of the classes at the last evaluation.
        streaks: of each finding, named by kind and class: evaluations in a row that showed it, or,
            negative, that did not.
        said: the findings that were news and have not gone away.
        restorations: how often the model was put back.
    """

    series: dict[str, list[float]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    streaks: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    restorations: int = 0

    def note(self, logs: Mapping[str, Any], window: int) -> None:
        """Keep the numbers of an epoch, and of the last `window` epochs in all."""
        for name in _SERIES:
            if name in logs:
                values = [*self.series.get(name, []), float(logs[name])]
                self.series[name] = values[-window:]

    def complete(self, signs: Signs, logs: Mapping[str, Any], count: int, window: int) -> Signs:
        """The signs of an epoch's samples, and those that take the epochs before it.

        Losses are judged once there is a whole window of them, or if one is not finite.

        Args:
            signs: of `count` samples.
            logs: of the epoch; the discriminator's accuracies and logits are taken if they are
                there.
            count: of the samples.
            window: epochs.
        """
        losses = [
            values
            for values in map(self.series.get, ("d_loss", "g_loss"))
            if values and (len(values) == window or not np.isfinite(values).all())
        ]
        gradients = self.series.get("g_gradient_norm", [])
        d_numbers = [logs.get(f"d_{what}_{side}") for what in _SEEN for side in ("real", "fake")]
        known = [float(number) for number in d_numbers if number is not None]
        turned = 0.0
        if self.shares and signs.shares:
            turned = rotation(self.shares, signs.shares, count)
        self.shares = list(signs.shares)
        return dataclasses.replace(
            signs,
            rotation=turned,
            oscillation=max(map(oscillation, losses), default=0.0),
            rise=max(map(rise, losses), default=0.0),
            d_accuracies=(known[0], known[1]) if len(known) == 4 else None,
            logit_gap=known[2] - known[3] if len(known) == 4 else None,
            gradient=gradients[-1] / max(gradients) if gradients and max(gradients) > 0 else None,
        )

    def news(self, findings: Iterable[Finding], patience: int) -> list[Finding]:
        """The findings to speak of: seen `patience` times in a row, and not yet spoken of.

        A finding is news again once it was away for `patience` evaluations, or with a further
        class.
        """
        findings = list(findings)
        present = {key for finding in findings for key in _keys(finding)}
        for key in present | set(self.streaks):
            before = self.streaks.get(key, 0)
            self.streaks[key] = max(before, 0) + 1 if key in present else min(before, 0) - 1
        for key in [key for key, streak in self.streaks.items() if -streak >= patience]:
            del self.streaks[key]
            if key in self.said:
                self.said.remove(key)
        fresh = [
            finding
            for finding in findings
            if any(self.streaks[key] >= patience and key not in self.said for key in _keys(finding))
        ]
        for finding in fresh:
            self.said.extend(key for key in _keys(finding) if key not in self.said)
        return fresh

    def standing(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Those of the findings that were spoken of."""
        return tuple(f for f in findings if any(key in self.said for key in _keys(f)))


def _keys(finding: Finding) -> list[str]:
    return [f"{finding.kind}: {name}" for name in finding.classes] or [finding.kind]
