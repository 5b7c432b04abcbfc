"""Measures of generated samples: NumPy arrays in, float64 numbers out, no network anywhere."""

from fashion_gan.metrics.classes import ClassBalance, class_balance
from fashion_gan.metrics.diagnosis import LABELLED, UNLABELLED, Finding, Thresholds, diagnose
from fashion_gan.metrics.distances import Neighbours, nearest
from fashion_gan.metrics.frechet import Gaussian, frechet_distance, gaussian
from fashion_gan.metrics.health import (
    diversity,
    oscillation,
    rise,
    rotation,
    sampling_noise,
    spread,
)
from fashion_gan.metrics.kernel import KernelDistance, kernel_distance
from fashion_gan.metrics.memory import Memory
from fashion_gan.metrics.ndb import BinDifference, Bins, bin_difference, fit_bins
from fashion_gan.metrics.neighbours import (
    Manifold,
    Overlap,
    Pair,
    closest_pairs,
    copying_ratio,
    manifold,
    overlap,
)
from fashion_gan.metrics.pca import PCA, fit_pca
from fashion_gan.metrics.reference import Reference, Signs

__all__ = [
    "LABELLED",
    "PCA",
    "UNLABELLED",
    "BinDifference",
    "Bins",
    "ClassBalance",
    "Finding",
    "Gaussian",
    "KernelDistance",
    "Manifold",
    "Memory",
    "Neighbours",
    "Overlap",
    "Pair",
    "Reference",
    "Signs",
    "Thresholds",
    "bin_difference",
    "class_balance",
    "closest_pairs",
    "copying_ratio",
    "diagnose",
    "diversity",
    "fit_bins",
    "fit_pca",
    "frechet_distance",
    "gaussian",
    "kernel_distance",
    "manifold",
    "nearest",
    "oscillation",
    "overlap",
    "rise",
    "rotation",
    "sampling_noise",
    "spread",
]
