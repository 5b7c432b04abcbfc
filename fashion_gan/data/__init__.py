"""Loads Fashion-MNIST or your own images, and makes the datasets for `fit()`."""

from fashion_gan.data.byte_limit import MAX_BYTES
from fashion_gan.data.collection import Collection, load_image, load_images
from fashion_gan.data.decoding import ImageOptions
from fashion_gan.data.fashion_mnist import (
    CLASS_NAMES,
    Split,
    find_fashion_mnist,
    load_fashion_mnist,
    read_idx,
)
from fashion_gan.data.image_view import ImageView
from fashion_gan.data.pipeline import make_dataset
from fashion_gan.data.split import split_images

__all__ = [
    "CLASS_NAMES",
    "MAX_BYTES",
    "Collection",
    "ImageOptions",
    "ImageView",
    "Split",
    "find_fashion_mnist",
    "load_fashion_mnist",
    "load_image",
    "load_images",
    "make_dataset",
    "read_idx",
    "split_images",
]
