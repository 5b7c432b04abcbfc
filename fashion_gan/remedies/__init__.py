"""Remedies: what the discriminator is shown and told, so that it does not win and does not forget.

A remedy changes one of three things in a train step: the fakes that the discriminator learns from,
the images that it sees, or the logits that its loss sees. Several go together, in their order.
"""

from typing import Any

from fashion_gan.registry import resolve_all
from fashion_gan.remedies.augmentation import Brightness, Contrast, Cutout, Translation
from fashion_gan.remedies.doubt import InstanceNoise, LabelFlips
from fashion_gan.remedies.remedy import Draws, Remedy, Shown
from fashion_gan.remedies.replay import Replay

__all__ = [
    "REMEDIES",
    "Brightness",
    "Contrast",
    "Cutout",
    "Draws",
    "InstanceNoise",
    "LabelFlips",
    "Remedy",
    "Replay",
    "Shown",
    "Translation",
    "get_all",
]

REMEDIES: dict[str, type[Remedy]] = {
    "replay": Replay,
    "label_flips": LabelFlips,
    "instance_noise": InstanceNoise,
    "translation": Translation,
    "cutout": Cutout,
    "brightness": Brightness,
    "contrast": Contrast,
}


def get_all(identifiers: Any) -> list[Remedy]:
    """Resolve none, one or several remedies: objects, names, serialised ones, or dicts with a name.

    Raises:
        ValueError: for anything else; the message lists the names.
    """
    return resolve_all(identifiers, Remedy, REMEDIES, "remedy")
