"""From signs to findings: what is wrong with a training, in plain words, and what helps."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashion_gan.metrics.reference import Signs

__all__ = ["LABELLED", "UNLABELLED", "Finding", "Thresholds", "diagnose", "read_thresholds"]

_LISTED = 10  # classes in a text; all are in `Finding.classes`
_BALANCE = "lower learning rates, R1 and R2 penalties or an EMA of the generator"
_VARIETY = (
    "a relativistic loss with R1 and R2 penalties, minibatch standard deviation, experience "
    "replay or lower learning rates"
)
_WEAKER = (
    "a lower learning rate of the discriminator, R1 and R2 penalties, or a loss that does not "
    "saturate, such as the relativistic one"
)
_STRONGER = "a higher learning rate of the discriminator, or one with more layers"


@dataclass(frozen=True)
class Thresholds:
    """Where health ends. The first five were fitted to labelled cases, see docs/alarm.md.

    Attributes:
        vanished: share of the fakes in a class, over that of the reals, below which it is gone.
        vanished_nearby: the same for the second witness; both have to agree. Unused without labels.
        dominant: share of the fakes in a class beyond that of the reals, above which it dominates;
            where there is a second witness, both have to agree. 1 never fires.
        imbalance: see `Signs`; above it, the fakes are unevenly spread. 1 never fires.
        diversity: see `Signs`; below it, the fakes repeat themselves.
        sizeable: share of the reals below which a class is too small to be missed.
        rotation: share of the fakes that change class between two evaluations, above which the
            classes rotate.
        oscillation: standard deviation of a loss around its trend, over its mean, likewise.
        rise: growth of a loss within the window, in units of its start, above which it diverges.
        won: accuracy on both reals and fakes, above which the discriminator may have won.
        won_gap: logits between reals and fakes, above which it has, if no gradient is known.
        gradient: of the generator, over its largest of late, below which it is gone.
        blind: distance of the mean accuracy on reals and fakes from 0.5, within which the
            discriminator may be blind. Gradient penalties end not far above it, so it is small: a
            blind one's has a standard deviation of 0.0015 in an epoch of 55,000 images.
        blind_gap: logits between reals and fakes, below which it is.
    """

    vanished: float = 0.35
    vanished_nearby: float = 0.6
    dominant: float = 0.14
    imbalance: float = 1.0
    diversity: float = 0.5
    sizeable: float = 0.015
    rotation: float = 0.2
    oscillation: float = 0.3
    rise: float = 1.5
    won: float = 0.98
    won_gap: float = 10.0
    gradient: float = 0.01
    blind: float = 0.005
    blind_gap: float = 0.1


def read_thresholds(path: Path) -> dict[str, Thresholds]:
    """Reads the thresholds with and without labels from a JSON file.

    Args:
        path: File `{"labelled": {"vanished": 0.38, …}, "unlabelled": {…}}`, which
            `benchmarks/alarm_quality.py` writes. A threshold that it leaves out has its default.

    Returns:
        Thresholds by mode, `"labelled"` and `"unlabelled"`.

    Raises:
        ValueError: If the file holds anything else.
    """
    known = {field.name for field in dataclasses.fields(Thresholds)}
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or content.keys() != {"labelled", "unlabelled"}:
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
            f'Expected {path} to hold finite thresholds of at least 0 for "labelled" and '
            f'"unlabelled". Received: {error}. Install the package again.'
        ) from error
    return {mode: Thresholds(**values) for mode, values in content.items()}


_FITTED = read_thresholds(Path(__file__).parent / "thresholds.json")
LABELLED, UNLABELLED = _FITTED["labelled"], _FITTED["unlabelled"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: `"vanished"`, `"dominant"`, `"unbalanced"`, `"repetitive"`, `"rotating"`,
            `"oscillating"`, `"diverging"`, `"discriminator won"` or `"discriminator blind"`.
        classes: that vanished or dominate, by name.
        text: one sentence with the numbers.
        remedies: what helps.
    """

    kind: str
    classes: tuple[str, ...]
    text: str
    remedies: str

    def __str__(self) -> str:
        return f"{self.text} What helps: {self.remedies}."


def diagnose(signs: Signs, thresholds: Thresholds = LABELLED) -> tuple[Finding, ...]:
    """All that is wrong by these signs; signs that were not measured say nothing."""
    return tuple(
        [
            *_classes(signs, thresholds),
            *_samples(signs, thresholds),
            *_losses(signs, thresholds),
            *_discriminator(signs, thresholds),
        ]
    )


def _classes(signs: Signs, limits: Thresholds) -> Iterator[Finding]:
    if not signs.names:
        return
    fake, real = np.asarray(signs.shares), np.asarray(signs.real_shares)
    gone = (fake < limits.vanished * real) & (real >= limits.sizeable)
    excess = fake - real
    if signs.nearby:
        near, real_near = np.asarray(signs.nearby), np.asarray(signs.real_nearby)
        gone &= near < limits.vanished_nearby * real_near
        excess = np.minimum(excess, near - real_near)
    if gone.any():
        yield _about("vanished", "vanished or nearly so", gone, signs)
    if (excess > limits.dominant).any():
        yield _about("dominant", "made far too often", excess > limits.dominant, signs)
    if signs.imbalance is not None and signs.imbalance > limits.imbalance:
        # The clusters that are at least twice too full, or else the fullest one. They change from
        # one evaluation to the next, so that it is the text that names them.
        crowded = (fake > 2 * real) | (excess == excess.max())
        much = f"spread unevenly: {signs.imbalance:.0%} of the samples are too many in some places"
        yield dataclasses.replace(_about("unbalanced", much, crowded, signs), classes=())


def _about(kind: str, what: str, chosen: np.ndarray, signs: Signs) -> Finding:
    indices = np.flatnonzero(chosen)
    listed = [
        f"{signs.names[i]} ({100 * signs.shares[i]:.1f} % of the samples, "
        f"{100 * signs.real_shares[i]:.1f} % of the real images)"
        for i in sorted(indices, key=lambda i: -signs.real_shares[i])
    ]
    if len(listed) > _LISTED:
        listed[_LISTED - 1 :] = [f"and {len(listed) - _LISTED + 1} more"]
    names = tuple(signs.names[i] for i in indices)
    return Finding(kind, names, f"Mode collapse, {what}: {', '.join(listed)}.", _VARIETY)


def _samples(signs: Signs, limits: Thresholds) -> Iterator[Finding]:
    if signs.diversity is not None and signs.diversity < limits.diversity:
        yield Finding(
            "repetitive",
            (),
            "Mode collapse: the samples repeat themselves; their nearest neighbours are "
            f"{signs.diversity:.2f} times as far apart as those of real images.",
            _VARIETY,
        )
    if signs.rotation is not None and signs.rotation > limits.rotation:
        yield Finding(
            "rotating",
            (),
            f"The classes rotate: {signs.rotation:.0%} of the samples belong to another class than "
            "at the last evaluation, beyond chance.",
            f"{_BALANCE}, or experience replay",
        )


def _losses(signs: Signs, limits: Thresholds) -> Iterator[Finding]:
    if signs.oscillation is not None and limits.oscillation < signs.oscillation < float("inf"):
        yield Finding(
            "oscillating",
            (),
            f"The losses oscillate by {signs.oscillation:.0%} of their size.",
            _BALANCE,
        )
    if signs.rise is not None and signs.rise > limits.rise:
        finite = signs.rise < float("inf")
        much = f"a loss grew by {signs.rise:.0%} of its size" if finite else "a loss is not finite"
        yield Finding("diverging", (), f"Training diverges: {much}.", _BALANCE)


def _discriminator(signs: Signs, limits: Thresholds) -> Iterator[Finding]:
    if signs.d_accuracies is None or signs.logit_gap is None:
        return
    low, high = sorted(signs.d_accuracies)
    sure = (
        signs.logit_gap > limits.won_gap
        if signs.gradient is None
        else signs.gradient < limits.gradient
    )
    seen = (
        f"it is right on {signs.d_accuracies[0]:.0%} of the real and "
        f"{signs.d_accuracies[1]:.0%} of the generated images"
    )
    if low > limits.won and sure:
        left = f", and the logits are {signs.logit_gap:.1f} apart"
        if signs.gradient is not None:
            left = f", and {signs.gradient:.1%} of the generator's gradient is left"
        yield Finding("discriminator won", (), f"The discriminator has won: {seen}{left}.", _WEAKER)
    guesses = abs((low + high) / 2 - 0.5) < limits.blind
    if guesses and abs(signs.logit_gap) < limits.blind_gap:
        yield Finding(
            "discriminator blind",
            (),
            f"The discriminator is blind: {seen}, with equal logits. Unless the samples are "
            "perfect, it teaches nothing.",
            _STRONGER,
        )
