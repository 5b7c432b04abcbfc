"""Provides differentiable augmentations of the real and fake images of the discriminator.

With few images, augmentations keep the discriminator from memorizing the real images. Real and fake
images change in the same way and the gradient passes, so that the generator does not learn the
change.

Color augmentations do not change the alpha channel of RGBA images. Saturation and hue do not change
gray images.

References:
    Zhao et al. 2020, https://arxiv.org/abs/2006.10738, and the authors' code, the source of the
    default strengths.
    Karras et al. 2020, https://arxiv.org/abs/2006.06676, appendix B: the other changes.
"""

from typing import Any

from fashion_gan.registry import resolve_all

from .base import Augmentation
from .color import Brightness, Contrast, Hue, Saturation
from .corruption import Cutout, InstanceNoise
from .geometry import Mirror, Rotation, Scale, Translation
from .probability import AdaptiveProbability, get_probability, overfitting

__all__ = [
    "AUGMENTATIONS",
    "AdaptiveProbability",
    "Augmentation",
    "Brightness",
    "Contrast",
    "Cutout",
    "Hue",
    "InstanceNoise",
    "Mirror",
    "Rotation",
    "Saturation",
    "Scale",
    "Translation",
    "get_all",
    "get_probability",
    "overfitting",
]

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "instance_noise": InstanceNoise,
    "mirror": Mirror,
    "scale": Scale,
    "rotation": Rotation,
    "translation": Translation,
    "cutout": Cutout,
    "brightness": Brightness,
    "contrast": Contrast,
    "saturation": Saturation,
    "hue": Hue,
}


def get_all(identifiers: Any) -> list[Augmentation]:
    """Resolves none, one or several augmentations: objects, names, configs or dicts with a name.

    Raises:
        ValueError: For anything else; the message lists the names.
    """
    return resolve_all(identifiers, Augmentation, AUGMENTATIONS, "augmentation")
