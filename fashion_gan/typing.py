"""Defines the types of public signatures, and a batch of images with its labels."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from keras import ops

__all__ = ["Images", "LabeledImages", "Labels", "Latents", "Logits", "Tensor"]

Tensor: TypeAlias = Any
"""Tensor of the backend."""

Images: TypeAlias = Any
"""Tensor or array of images, float `(batch, height, width[, channels])` in the GAN's value range,
or uint8 where a docstring says so."""

Latents: TypeAlias = Any
"""Tensor or array of latent vectors, float `(batch, latent_dim)`, drawn from N(0, 1)."""

Logits: TypeAlias = Any
"""Tensor of the discriminator's logits, float `(batch, 1)`: above 0 for real, below for fake."""

Labels: TypeAlias = Any
"""Tensor or array of class indices, integer `(batch,)`."""


class LabeledImages(NamedTuple):
    """Holds images `(batch, height, width[, channels])` and labels `(batch,)` or None.

    Attributes:
        images: Batch of images.
        labels: Labels of the images, or None.
    """

    images: Images
    labels: Labels | None = None

    def batches(self, size: int) -> "Iterator[LabeledImages]":
        """Yields parts of `size` images, the last of which may be smaller."""
        for start in range(0, len(self.images), size):
            yield LabeledImages(*(p if p is None else p[start : start + size] for p in self))

    def split(self, count: int) -> "list[LabeledImages]":
        """Returns `count` equal parts."""
        parts = [part if part is None else ops.split(part, count) for part in self]
        return [LabeledImages(*(p if p is None else p[i] for p in parts)) for i in range(count)]

    def concatenate(self, other: "LabeledImages") -> "LabeledImages":
        """Returns one batch of these images followed by the images of `other`."""
        pairs = zip(self, other, strict=True)
        return LabeledImages(*(a if a is None else ops.concatenate([a, b]) for a, b in pairs))

    def with_images(self, images: Images) -> "LabeledImages":
        """Returns a batch of other images with the same labels."""
        return LabeledImages(images, self.labels)

    def network_inputs(self) -> Any:
        """Returns the inputs of a network: the images, or `[images, labels]`."""
        return self.images if self.labels is None else [self.images, self.labels]
