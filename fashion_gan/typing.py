"""The types that public signatures name, and a batch of images with its labels."""

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
    """Images `(batch, height, width[, channels])` and labels `(batch,)`, or None without labels."""

    images: Images
    labels: Labels | None = None

    def batches(self, size: int) -> "Iterator[LabeledImages]":
        """Yields parts of `size` images, and what is left."""
        for start in range(0, len(self.images), size):
            yield LabeledImages(*(p if p is None else p[start : start + size] for p in self))

    def split(self, count: int) -> "list[LabeledImages]":
        """Returns `count` equal parts."""
        parts = [part if part is None else ops.split(part, count) for part in self]
        return [LabeledImages(*(p if p is None else p[i] for p in parts)) for i in range(count)]

    def concatenate(self, other: "LabeledImages") -> "LabeledImages":
        """Returns one batch of these images and then the others."""
        pairs = zip(self, other, strict=True)
        return LabeledImages(*(a if a is None else ops.concatenate([a, b]) for a, b in pairs))

    def with_images(self, images: Images) -> "LabeledImages":
        """Returns other images with the same labels."""
        return LabeledImages(images, self.labels)

    def network_inputs(self) -> Any:
        """Returns what a network is called with: the images, or `[images, labels]`."""
        return self.images if self.labels is None else [self.images, self.labels]
