"""Diagnoses training issues from health signals, with an explanation and advice for each."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashion_gan.monitor.advice import Recipe, advise
from fashion_gan.monitor.reference import HealthSignals

__all__ = ["COLOR", "LABELED", "UNLABELED", "Issue", "Thresholds", "diagnose", "read_thresholds"]

_MODES = ("labeled", "unlabeled", "color")
_LISTED, _LISTED_CLUSTERS = 10, 4  # largest numbers in a text; `Issue.classes` holds all


@dataclass(frozen=True)
class Thresholds:
    """Limits beyond which `diagnose` reports an issue.

    The first six were fitted to labeled cases, see docs/monitor.md.

    Attributes:
        missing_class_ratio: Ratio of the fraction of fakes in a class to the fraction of reals,
            below which the class is missing.
        missing_z_score: Size of a negative `HealthSignals.share_z_scores`, above which a cluster is
            missing if its ratio is below `missing_class_ratio`. Classes have no such score.
        missing_class_ratio_nn: Limit of this ratio in the nearest-neighbor vote, if there is a
            vote. Both ratios must be below their limits.
        dominant: Difference between the fractions of fakes and of reals in a class, above which
            the class dominates. The nearest-neighbor vote must agree. 1 reports nothing.
        class_imbalance: `HealthSignals.class_imbalance` above which the fakes are unbalanced. 1
            reports nothing.
        diversity: `HealthSignals.diversity` below which the fakes are repetitive.
        min_class_share: Fraction of the reals below which a class is too small to be missing.
        mode_rotation: Fraction of the fakes that change class between two evaluations, above which
            the classes rotate.
        loss_oscillation: Standard deviation of a loss around its trend, divided by its mean, above
            which the losses oscillate.
        loss_growth: Growth of a loss within the window, divided by its initial value, above which
            the loss diverges.
        saturated_accuracy: Accuracy on reals and on fakes, above which the discriminator may be
            saturated.
        saturated_gap: Difference of the logits of reals and fakes, above which the discriminator is
            saturated if no gradient is logged.
        g_gradient_ratio: Norm of the generator's gradient divided by its recent maximum, below
            which the gradient has vanished.
        chance_margin: Difference of the mean accuracy from 0.5, within which the discriminator may
            be at chance level. It is small, since trainings with gradient penalties end just above
            it. At chance level, the standard deviation of the mean accuracy is 0.0015 in an epoch
            of 55,000 images.
        chance_gap: Difference of the logits of reals and fakes, below which the discriminator is at
            chance level.
    """

    missing_class_ratio: float = 0.35
    missing_z_score: float = 4.0
    missing_class_ratio_nn: float = 0.6
    dominant: float = 0.14
    class_imbalance: float = 1.0
    diversity: float = 0.5
    min_class_share: float = 0.015
    mode_rotation: float = 0.2
    loss_oscillation: float = 0.3
    loss_growth: float = 1.5
    saturated_accuracy: float = 0.98
    saturated_gap: float = 10.0
    g_gradient_ratio: float = 0.01
    chance_margin: float = 0.005
    chance_gap: float = 0.1


def read_thresholds(path: Path) -> dict[str, Thresholds]:
    """Reads the thresholds with labels, without them, and for color images without labels.

    Args:
        path: File `{"labeled": {"missing_class_ratio": 0.38, …}, "unlabeled": {…}, "color": {…}}`,
            as written by the scripts in `benchmarks/mode_collapse`. Missing thresholds have their
            defaults.

    Returns:
        Thresholds by mode, `"labeled"`, `"unlabeled"` and `"color"`.

    Raises:
        ValueError: If the file holds anything else.
    """
    known = {field.name for field in dataclasses.fields(Thresholds)}
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or content.keys() != set(_MODES):
            raise ValueError(json.dumps(content))
        for mode, values in content.items():
            if not isinstance(values, dict):
                raise ValueError(f"{mode} thresholds {values!r}")
            if unknown := values.keys() - known:
                raise ValueError(f"{mode} thresholds {sorted(unknown)}")
            for name, value in values.items():
                if type(value) not in (int, float) or not 0 <= value < float("inf"):
                    raise ValueError(f"{mode} threshold {name}={value!r}")
    except ValueError as error:
        raise ValueError(
            f"Expected {path} to hold finite thresholds of at least 0 for each of "
            f"{', '.join(_MODES)}. Received: {error}. Install the package again."
        ) from error
    return {mode: Thresholds(**values) for mode, values in content.items()}


_FITTED = read_thresholds(Path(__file__).parent / "thresholds.json")
LABELED, UNLABELED, COLOR = (_FITTED[mode] for mode in _MODES)


@dataclass(frozen=True)
class Issue:
    """Describes an issue of a training.

    Attributes:
        kind: Kind of the issue: `"missing"`, `"dominant"`, `"unbalanced"`, `"repetitive"`,
            `"rotating"`, `"oscillating"`, `"diverging"`, `"discriminator saturated"` or
            `"discriminator at chance level"`.
        classes: Names of the missing or dominant classes.
        text: Sentence that describes the issue with its numbers.
        advice: Suggested fix.
    """

    kind: str
    classes: tuple[str, ...]
    text: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.text} What helps: {self.advice}."


def diagnose(
    signals: HealthSignals, thresholds: Thresholds = LABELED, recipe: Recipe | None = None
) -> tuple[Issue, ...]:
    """Returns all issues in the signals, and ignores signals that were not measured.

    Args:
        signals: Signals of a training.
        thresholds: Limits beyond which a signal is an issue. Defaults to `LABELED`.
        recipe: Recipe of the training, for the advice. Defaults to one without any remedy.
    """
    issues = [
        *_classes(signals, thresholds),
        *_samples(signals, thresholds),
        *_losses(signals, thresholds),
        *_discriminator(signals, thresholds),
    ]
    recipe = recipe or Recipe()
    return tuple(dataclasses.replace(i, advice=advise(i.kind, recipe)) for i in issues)


def _classes(signals: HealthSignals, limits: Thresholds) -> Iterator[Issue]:
    if not signals.names:
        return
    fake, real = np.asarray(signals.shares), np.asarray(signals.real_shares)
    gone = (fake < limits.missing_class_ratio * real) & (real >= limits.min_class_share)
    if signals.share_z_scores:
        gone &= np.asarray(signals.share_z_scores) < -limits.missing_z_score
    excess = fake - real
    if signals.neighbor_shares:
        near, real_near = (
            np.asarray(signals.neighbor_shares),
            np.asarray(signals.real_neighbor_shares),
        )
        gone &= near < limits.missing_class_ratio_nn * real_near
        excess = np.minimum(excess, near - real_near)
    if gone.any():
        yield _about("missing", "missing or nearly so", gone, signals)
    if (excess > limits.dominant).any():
        yield _about("dominant", "made far too often", excess > limits.dominant, signals)
    if signals.class_imbalance is not None and signals.class_imbalance > limits.class_imbalance:
        # Clusters with at least twice their share, or else the largest one. They change between
        # evaluations, so they are named only in the text.
        crowded = (fake > 2 * real) | (excess == excess.max())
        excess_share = f"{100 * signals.class_imbalance:.0f} % of the samples are in excess"
        much = f"spread unevenly ({excess_share}), above all in"
        yield dataclasses.replace(_about("unbalanced", much, crowded, signals), classes=())


def _about(kind: str, what: str, chosen: np.ndarray, signals: HealthSignals) -> Issue:
    indices = np.flatnonzero(chosen)
    listed = [
        f"{signals.names[i]} ({100 * signals.shares[i]:.1f} % of the samples, "
        f"{100 * signals.real_shares[i]:.1f} % of the real images)"
        for i in sorted(indices, key=lambda i: -signals.real_shares[i])
    ]
    limit = _LISTED_CLUSTERS if signals.share_z_scores else _LISTED
    if len(listed) > limit:
        listed[limit - 1 :] = [f"and {len(listed) - limit + 1} more"]
    names = tuple(signals.names[i] for i in indices)
    return Issue(kind, names, f"Mode collapse, {what}: {', '.join(listed)}.")


def _samples(signals: HealthSignals, limits: Thresholds) -> Iterator[Issue]:
    if signals.diversity is not None and signals.diversity < limits.diversity:
        yield Issue(
            "repetitive",
            (),
            "Mode collapse: the samples repeat themselves; their nearest neighbors are "
            f"{signals.diversity:.2f} times as far apart as those of real images.",
        )
    if signals.mode_rotation is not None and signals.mode_rotation > limits.mode_rotation:
        yield Issue(
            "rotating",
            (),
            f"The classes rotate: {signals.mode_rotation:.0%} of the samples changed their class "
            "since the last evaluation, beyond chance.",
        )


def _losses(signals: HealthSignals, limits: Thresholds) -> Iterator[Issue]:
    if (
        signals.loss_oscillation is not None
        and limits.loss_oscillation < signals.loss_oscillation < float("inf")
    ):
        yield Issue(
            "oscillating",
            (),
            f"The losses oscillate by {signals.loss_oscillation:.0%} of their size.",
        )
    if signals.loss_growth is not None and signals.loss_growth > limits.loss_growth:
        finite = signals.loss_growth < float("inf")
        much = (
            f"a loss grew by {signals.loss_growth:.0%} of its size"
            if finite
            else "a loss is not finite"
        )
        yield Issue("diverging", (), f"Training diverges: {much}.")


def _discriminator(signals: HealthSignals, limits: Thresholds) -> Iterator[Issue]:
    if signals.d_accuracies is None or signals.logit_gap is None:
        return
    low, high = sorted(signals.d_accuracies)
    sure = (
        signals.logit_gap > limits.saturated_gap
        if signals.g_gradient_ratio is None
        else signals.g_gradient_ratio < limits.g_gradient_ratio
    )
    seen = (
        f"it is right on {signals.d_accuracies[0]:.0%} of the real and "
        f"{signals.d_accuracies[1]:.0%} of the generated images"
    )
    if low > limits.saturated_accuracy and sure:
        left = f", and the logits are {signals.logit_gap:.1f} apart"
        if signals.g_gradient_ratio is not None:
            left = f", and {signals.g_gradient_ratio:.1%} of the generator's gradient is left"
        yield Issue("discriminator saturated", (), f"The discriminator is saturated: {seen}{left}.")
    guesses = abs((low + high) / 2 - 0.5) < limits.chance_margin
    if guesses and abs(signals.logit_gap) < limits.chance_gap:
        yield Issue(
            "discriminator at chance level",
            (),
            f"The discriminator is at chance level: {seen}, with equal logits. Unless the samples "
            "are perfect, it teaches nothing.",
        )
