"""Defines the variants of a benchmark, different ways to run the same train step."""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from fashion_gan.registry import lookup
from fashion_gan.runs.config import Config

__all__ = ["BOOK_MODELS", "VARIANTS", "Variant", "find_variant"]


@dataclass(frozen=True)
class Variant:
    """Describes a way to train a preset, with other settings and on one or several devices."""

    help: str
    settings: dict[str, Any] = field(default_factory=dict)
    many_steps: bool = True  # many steps per execution, rather than one
    book: bool = False  # the chapter's loop instead of fit()
    devices: int = 1

    def config(self, preset: Config, steps_per_execution: int) -> Config:
        """Returns the config of a preset in this variant.

        Args:
            preset: Config of the preset.
            steps_per_execution: Steps per execution, if the variant has many.
        """
        steps = steps_per_execution if self.many_steps else 1
        return dataclasses.replace(preset, **self.settings, steps_per_execution=steps)


VARIANTS: dict[str, Variant] = {
    "book": Variant(
        "the chapter's loop: train_on_batch on two models, trainable toggled",
        {"jit_compile": False},
        many_steps=False,
        book=True,
    ),
    "fit": Variant("one step per call, no XLA", {"jit_compile": False}, many_steps=False),
    "fit-many": Variant("many steps per call, no XLA", {"jit_compile": False}),
    "xla": Variant("one step per call, XLA", {"jit_compile": True}, many_steps=False),
    "xla-many": Variant("many steps per call, XLA", {"jit_compile": True}),
    "auto": Variant("many steps per call, XLA if it is faster here", {"jit_compile": "auto"}),
    "bfloat16": Variant("auto, in mixed_bfloat16", {"dtype_policy": "mixed_bfloat16"}),
    "float16": Variant("auto, in mixed_float16", {"dtype_policy": "mixed_float16"}),
}
"""Variants by name. `devices-N` is an additional variant for each N: auto, on N devices."""


BOOK_MODELS = ("dense", "dcgan")
"""Networks that the chapter's loop can train, since they output probabilities."""


def find_variant(name: str) -> Variant:
    """Returns the variant of a name.

    Raises:
        ValueError: If the name is unknown. The message lists the names.
    """
    if match := re.fullmatch(r"devices-([1-9]\d*)", name):
        devices = int(match[1])
        return Variant(f"auto, on {devices} devices", devices=devices)
    return lookup({**VARIANTS, "devices-2": Variant("")}, name, "variant")
