"""Scores generated images against real images, in network features and in pixel space."""

from fashion_gan.evaluation.classifier import Classifier, load_classifier
from fashion_gan.evaluation.evaluator import (
    FULL,
    QUICK,
    EvalConfig,
    Evaluator,
    baselines,
    fashion_mnist_evaluator,
    image_evaluator,
)
from fashion_gan.evaluation.imagenet import ImageNetFeatures, load_imagenet_features
from fashion_gan.runtime import has_imagenet_weights

__all__ = [
    "FULL",
    "QUICK",
    "Classifier",
    "EvalConfig",
    "Evaluator",
    "ImageNetFeatures",
    "baselines",
    "fashion_mnist_evaluator",
    "has_imagenet_weights",
    "image_evaluator",
    "load_classifier",
    "load_imagenet_features",
]
