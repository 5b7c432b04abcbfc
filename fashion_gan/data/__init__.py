"""Images to train on: Fashion-MNIST, images of your own, and the datasets that `fit()` takes."""

from fashion_gan.data.byte_limit import MAX_BYTES
from fashion_gan.data.fashion_mnist import (
    CLASS_NAMES,
    Split,
    find_fashion_mnist,
    load_fashion_mnist,
    read_idx,
)
from fashion_gan.data.image_folder import Collection, load_images, read_samples, split_images
from fashion_gan.data.image_view import ImageView
from fashion_gan.data.pipeline import make_dataset

__all__ = [
    "CLASS_NAMES",
    "MAX_BYTES",
    "Collection",
    "ImageView",
    "Split",
    "find_fashion_mnist",
    "load_fashion_mnist",
    "load_images",
    "make_dataset",
    "read_idx",
    "read_samples",
    "split_images",
]
