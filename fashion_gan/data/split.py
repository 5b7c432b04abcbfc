"""Splits a collection of images into training images and held-out images."""

from typing import Any

import numpy as np

from fashion_gan.data.collection import Collection
from fashion_gan.data.fashion_mnist import Split
from fashion_gan.data.image_view import ImageView, fits_memory

__all__ = ["parse_held_out", "split_images"]

MIN_IMAGES = 20
_MIN_FOR_AUTO = 200
_MIN_HELD_OUT, _MAX_HELD_OUT = 100, 5_000


def split_images(collection: Collection, held_out: str = "auto", seed: int = 0) -> Split:
    """Splits images into training images and held-out images.

    Parts in the layout determine the split. Without parts, the held-out images are drawn at random.

    Args:
        collection: Images to split.
        held_out: Number of images to hold out, or a fraction below 1, as text. `"0"` trains on all
            images and compares with the same images. `"auto"` holds out a tenth of the images, at
            least 100 and at most 5,000, but none of fewer than 200. Defaults to `"auto"`.
        seed: Seed of the random split. Defaults to 0.

    Raises:
        ValueError: If there are fewer than 20 images, or too few for `held_out`; if the layout has
            parts and `held_out` is not `"auto"`.
    """
    images, labels = collection.images, collection.labels
    count = len(images)
    if count < MIN_IMAGES:
        raise ValueError(
            f"Expected at least {MIN_IMAGES} images. Received: {count}. Add images. Hundreds are "
            "better."
        )

    def part(chosen: np.ndarray) -> tuple[Any, Any]:
        view = ImageView(images, chosen)
        selected = np.asarray(view) if fits_memory(view) else view
        return selected, None if labels is None else labels[chosen]

    if collection.parts is not None and held_out != "auto":
        raise ValueError(
            "Expected held_out='auto' for images in parts. Received: "
            f"held_out={held_out!r}. Name the folder of one part to divide it."
        )
    if collection.parts is not None:
        names = np.array(collection.parts)
        train, validation, test = (
            np.flatnonzero(names == name) for name in ("train", "validation", "test")
        )
        if len(train) < MIN_IMAGES:
            raise ValueError(
                f"Expected at least {MIN_IMAGES} images in the part train. Received: {len(train)}. "
                "Add images, or name another folder."
            )
        validation = validation if len(validation) else test
        test = test if len(test) else validation
    else:
        number = _num_held_out(held_out, count)
        order = np.random.default_rng(seed).permutation(count)
        validation, train = np.split(order, [number])
        if not number:
            validation = train
        test = validation
    training = part(train)
    held = training if validation is train else part(validation)
    return Split(
        *training,
        *held,
        *(held if test is validation else part(test)),
        class_names=collection.class_names,
        held_out=0 if validation is train else len(validation),
    )


def parse_held_out(text: str) -> float | None:
    """Returns a number of images or a fraction below 1, or None for `"auto"`.

    Args:
        text: Number, fraction or `"auto"`, as text.

    Raises:
        ValueError: If `text` has another form.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (value >= 1 and value != int(value)):
        raise ValueError(
            f"Expected auto, a number of images or a fraction below 1. Received: held_out={text!r}."
        )
    return value


def _num_held_out(text: str, count: int) -> int:
    value = parse_held_out(text)
    if value is None:
        if count < _MIN_FOR_AUTO:
            return 0
        return max(_MIN_HELD_OUT, min(count // 10, _MAX_HELD_OUT))
    number = int(value) if value >= 1 else round(value * count)
    if count - number < MIN_IMAGES:
        raise ValueError(
            f"Expected at least {MIN_IMAGES} images to train on. Received: held_out={text} of "
            f"{count:,} images. Hold out fewer."
        )
    return number
