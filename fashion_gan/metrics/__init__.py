"""Computes metrics of generated samples from NumPy arrays, as float64 numbers."""

from fashion_gan.metrics.bins import NDB, NDBBins, fit_ndb_bins, ndb
from fashion_gan.metrics.classes import ClassBalance, class_balance
from fashion_gan.metrics.distances import Neighbors, nearest
from fashion_gan.metrics.frechet import Gaussian, frechet_distance, gaussian
from fashion_gan.metrics.kernel import KernelDistance, kernel_distance
from fashion_gan.metrics.neighbors import (
    PRDC,
    Manifold,
    NeighborPair,
    closest_pairs,
    copied_share,
    manifold,
    memorization_ratio,
    prdc,
    realism,
)
from fashion_gan.metrics.pca import PCA, fit_pca, pca_images
from fashion_gan.metrics.transport import TransportDistance, sliced_transport_distance
from fashion_gan.metrics.vendi import vendi_score

__all__ = [
    "NDB",
    "PCA",
    "PRDC",
    "ClassBalance",
    "Gaussian",
    "KernelDistance",
    "Manifold",
    "NDBBins",
    "NeighborPair",
    "Neighbors",
    "TransportDistance",
    "class_balance",
    "closest_pairs",
    "copied_share",
    "fit_ndb_bins",
    "fit_pca",
    "pca_images",
    "frechet_distance",
    "gaussian",
    "kernel_distance",
    "manifold",
    "memorization_ratio",
    "ndb",
    "nearest",
    "prdc",
    "realism",
    "sliced_transport_distance",
    "vendi_score",
]
