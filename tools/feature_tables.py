"""Makes the tables of ImageNet features: layers and sizes, their cost, and the order test."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import mean, median
from typing import Any

from markdown_tables import describe, read, table

from fashion_gan.models.efficientnet import LAYERS, SIZE

DISTANCES = ("kernel_distance", "transport_distance")
KINDS = {
    "blur": "blurred",
    "noise": "noisy",
    "blend": "blended",
    "removed": "clusters removed",
    "repeated": "few repeated",
}
SMALLER_IS_BETTER = (*DISTANCES, "transport_distance_biased", "frechet_distance")
COPYING = ("copied_share", "nearest_ratio")
SPACES = {"imagenet": "ImageNet", "pixels": "pixels"}
LIMIT = 10.0
"""Seconds that features of 1,000 images may take."""
TOLERANCE = 2
"""Standard deviations of the training images that a difference has to exceed."""


def layers() -> str:
    """Makes the table of layers and sizes: the fraction of right comparisons, and separations."""
    result = read("feature-space")
    sizes = list(result["layers"])
    rows = [
        [name, *(_cell(result["layers"][size], name) for size in sizes)]
        for name in next(iter(result["layers"][sizes[0]].values()))
    ]
    return table(["layer", *(f"{size} pixels" for size in sizes)], rows)


def cost() -> str:
    """Makes the table of the seconds that 1,000 images take up to each layer."""
    result = read("feature-space")
    names = list(next(iter(result["cost"].values())))
    rows = [
        [f"{size} pixels", *(f"{measured[name]:.1f}" for name in names)]
        for size, measured in result["cost"].items()
    ]
    return table(["seconds for 1,000 images", *names], rows) + f"\n{describe(result['machine'])}.\n"


def _cell(collections: dict[str, Any], name: str) -> str:
    return f"{100 * ordered(collections, name):.1f} %, {weakest(collections, name):.1f}"


def ordered(collections: dict[str, Any], name: str) -> float:
    """Returns a layer's fraction of right comparisons, over collections and distances."""
    return mean(
        x[name][distance]["ordered"] for x in collections.values() for distance in DISTANCES
    )


def weakest(collections: dict[str, Any], name: str) -> float:
    """Returns the smallest separation of a layer over all kinds of degradation."""
    return min(
        median(
            x[name][distance]["separation"][kind]
            for x in collections.values()
            if kind in x[name][distance]["separation"]
        )
        for kind in KINDS
        for distance in DISTANCES
    )


def order() -> str:
    """Makes the table of the order test: the result of each number for each degradation."""
    found = read("feature-space")["order"]["collections"]
    rows = []
    for space, title in SPACES.items():
        first = next(iter(next(iter(found.values())).values()))[space]
        for name in first:
            if name in COPYING:
                continue
            verdicts = {kind: Counter(judge(found, space, name, kind)) for kind in KINDS}
            noise = Counter(_noise(found, space, name))
            passed = not any(count["wrong"] for count in (*verdicts.values(), noise))
            rows.append(
                [
                    f"`{name}`, {title}",
                    *(_counts(verdicts[kind]) for kind in KINDS),
                    f"{noise['wrong']} of {noise.total()}",
                    "**yes**" if passed else "no",
                ]
            )
    return table(["number", *KINDS.values(), "noise is best", "passes"], rows)


def copying() -> str:
    """Makes the table of the copying metrics, as means over collections and counts."""
    found = read("feature-space")["order"]["collections"]
    shares = list(next(iter(next(iter(found.values())).values()))["imagenet"]["copied_share"])
    rows = []
    for space, title in SPACES.items():
        for name in COPYING:
            cells = [x[space][name] for _, _, x in _sets(found) if x[space][name]]
            values = [[cell[share] for cell in cells] for share in shares]
            texts = [f"{mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in values]
            rows.append([f"`{name}`, {title}", *texts])
    titles = [f"{float(share.split()[1]):.0%} copies" for share in shares]
    return table(["number", *titles], rows)


def judge(found: dict[str, Any], space: str, name: str, kind: str) -> Iterator[str]:
    """Yields for each collection and count whether a number is right, blind or wrong."""
    sign = 1 if name in SMALLER_IS_BETTER else -1
    for values, std in _values(found, space, name):
        steps = [key for key in values if key.split()[0] == kind and key != "noise alone"]
        chain = [sign * values[key] for key in ("train", *steps)]
        if any(b < a - TOLERANCE * std for a, b in pairwise(chain)) or min(chain) < (
            chain[0] - TOLERANCE * std
        ):
            yield "wrong"
        elif steps:
            yield "right" if chain[-1] > chain[0] + TOLERANCE * std else "blind"


def _noise(found: dict[str, Any], space: str, name: str) -> Iterator[str]:
    sign = 1 if name in SMALLER_IS_BETTER else -1
    for values, _ in _values(found, space, name):
        yield "wrong" if sign * values["noise alone"] <= sign * values["train"] else "right"


def _values(
    found: dict[str, Any], space: str, name: str
) -> Iterator[tuple[dict[str, float], float]]:
    """Yields values and their spread.

    If a draw is the whole pool, the spread is that of the next smaller count, divided by the square
    root of the ratio of the counts.
    """
    std, measured = 0.0, 1
    for _, count, spaces in _sets(found):
        values = spaces[space][name]
        if "std" in values:
            std, measured = values["std"], int(count)
        yield values, std * math.sqrt(measured / int(count))


def _sets(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for collection, counts in found.items():
        for count, spaces in counts.items():
            yield collection, count, spaces


def _counts(verdicts: Counter[str]) -> str:
    parts = [f"{verdicts[v]} {v}" for v in ("right", "blind", "wrong") if verdicts[v]]
    return ", ".join(parts)


def choice() -> str:
    """Returns a sentence that names the layer and the size that the rule chooses.

    Raises:
        ValueError: If the package uses another layer or size.
    """
    result = read("feature-space")
    affordable = [size for size in result["layers"] if max(result["cost"][size].values()) <= LIMIT]
    shares = {
        (size, name): ordered(result["layers"][size], name)
        for size in affordable
        for name in next(iter(result["layers"][size].values()))
    }
    good = [key for key in shares if shares[key] >= max(shares.values()) - 0.01]
    size, name = max(good, key=lambda key: weakest(result["layers"][key[0]], key[1]))
    if (size, [f"stage_{n}" for n in re.findall(r"\d", name)]) != (str(SIZE), list(LAYERS)):
        raise ValueError(f"Expected {LAYERS} at {SIZE} pixels. Received: {name} at {size}.")
    return f"It chooses {name} at {size} pixels.\n"


TABLES: dict[str, Callable[[], str]] = {
    "docs/results/feature-space.json, layers": layers,
    "docs/results/feature-space.json, cost": cost,
    "docs/results/feature-space.json, choice": choice,
    "docs/results/feature-space.json, order": order,
    "docs/results/feature-space.json, copying": copying,
}
