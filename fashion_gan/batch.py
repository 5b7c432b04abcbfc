"""A batch of images with the labels that belong to them."""

from typing import Any, NamedTuple

from keras import ops

__all__ = ["LabeledImages"]


class LabeledImages(NamedTuple):
    """Images `(batch, height, width[, channels])` and labels `(batch,)`, or None without labels."""

    images: Any
    labels: Any = None

    def split(self, count: int) -> "list[LabeledImages]":
        """Returns `count` equal parts."""
        parts = [part if part is None else ops.split(part, count) for part in self]
        return [LabeledImages(*(p if p is None else p[i] for p in parts)) for i in range(count)]

    def concatenate(self, other: "LabeledImages") -> "LabeledImages":
        """Returns one batch of these images and then the others."""
        pairs = zip(self, other, strict=True)
        return LabeledImages(*(a if a is None else ops.concatenate([a, b]) for a, b in pairs))

    def with_images(self, images: Any) -> "LabeledImages":
        """Returns other images with the same labels."""
        return LabeledImages(images, self.labels)

    def network_inputs(self) -> Any:
        """Returns what a network is called with: the images, or `[images, labels]`."""
        return self.images if self.labels is None else [self.images, self.labels]
