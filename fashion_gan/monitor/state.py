"""Keeps the state of the monitor between epochs: losses, class shares and reported issues."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fashion_gan.monitor.diagnosis import Issue
from fashion_gan.monitor.reference import HealthSignals
from fashion_gan.monitor.signals import loss_growth, loss_oscillation, mode_rotation

__all__ = ["MonitorState"]

_SEEN = ("accuracy", "logit")
_SERIES = ("d_loss", "g_loss", "g_gradient_norm")


@dataclass
class MonitorState:
    """Holds the state that the monitor keeps between epochs.

    `dataclasses.asdict` converts it to a dict for JSON, and `from_dict` restores it.

    Attributes:
        series: Recent values of the losses, and of the generator's gradient if it is logged.
        shares: Shares of the classes at the last evaluation.
        streaks: Number of consecutive evaluations with each issue, by kind and class. Negative for
            consecutive evaluations without the issue.
        reported: Reported issues that are still active.
        restores: Number of times that the model was restored.
    """

    series: dict[str, list[float]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    streaks: dict[str, int] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    restores: int = 0

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "MonitorState":
        """Restores a state from the result of `dataclasses.asdict`.

        Raises:
            ValueError: If the content is anything else.
        """
        kinds: dict[str, Any] = {
            "series": lambda value: {str(k): [float(x) for x in v] for k, v in value.items()},
            "shares": lambda value: [float(x) for x in value],
            "streaks": lambda value: {str(k): int(v) for k, v in value.items()},
            "reported": lambda value: [str(x) for x in value],
            "restores": int,
        }
        try:
            return cls(**{name: kinds[name](value) for name, value in content.items()})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{error!r} in {str(content)[:80]}") from error

    def record(self, logs: Mapping[str, Any], window: int) -> None:
        """Records the numbers of an epoch, and drops all but the last `window` epochs."""
        for name in _SERIES:
            if name in logs:
                values = [*self.series.get(name, []), float(logs[name])]
                self.series[name] = values[-window:]

    def add_history(
        self, signals: HealthSignals, logs: Mapping[str, Any], count: int, window: int
    ) -> HealthSignals:
        """Adds the signals that depend on earlier epochs to the signals of an epoch's samples.

        Losses are evaluated once there is a whole window of them, or if one is not finite.

        Args:
            signals: Signals of the samples.
            logs: Logs of the epoch. The discriminator's accuracies and logits are used if present.
            count: Number of samples.
            window: Number of epochs in a window.
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
        if self.shares and signals.shares:
            turned = mode_rotation(self.shares, signals.shares, count)
        self.shares = list(signals.shares)
        return dataclasses.replace(
            signals,
            mode_rotation=turned,
            loss_oscillation=max(map(loss_oscillation, losses), default=0.0),
            loss_growth=max(map(loss_growth, losses), default=0.0),
            d_accuracies=(known[0], known[1]) if len(known) == 4 else None,
            logit_gap=known[2] - known[3] if len(known) == 4 else None,
            g_gradient_ratio=gradients[-1] / max(gradients)
            if gradients and max(gradients) > 0
            else None,
        )

    def new_issues(self, issues: Iterable[Issue], patience: int) -> list[Issue]:
        """Returns the issues to report: present `patience` times in a row and not yet reported.

        An issue is reported again after `patience` evaluations without it, or with an additional
        class.
        """
        issues = list(issues)
        present = {key for issue in issues for key in _keys(issue)}
        for key in present | set(self.streaks):
            before = self.streaks.get(key, 0)
            self.streaks[key] = max(before, 0) + 1 if key in present else min(before, 0) - 1
        for key in [key for key, streak in self.streaks.items() if -streak >= patience]:
            del self.streaks[key]
            if key in self.reported:
                self.reported.remove(key)
        fresh = [
            issue
            for issue in issues
            if any(
                self.streaks[key] >= patience and key not in self.reported for key in _keys(issue)
            )
        ]
        for issue in fresh:
            self.reported.extend(key for key in _keys(issue) if key not in self.reported)
        return fresh

    def active(self, issues: Iterable[Issue]) -> tuple[Issue, ...]:
        """Returns the issues that have been reported."""
        return tuple(f for f in issues if any(key in self.reported for key in _keys(f)))


def _keys(issue: Issue) -> list[str]:
    return [f"{issue.kind}: {name}" for name in issue.classes] or [issue.kind]
