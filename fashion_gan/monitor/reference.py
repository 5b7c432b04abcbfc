"""Describes real images, and measures the signals by which fakes differ from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.images import premultiply
from fashion_gan.metrics.bins import fit_ndb_bins
from fashion_gan.metrics.distances import nearest
from fashion_gan.metrics.pca import PCA, fit_pca, pca_images
from fashion_gan.metrics.samples import Floats, as_samples, check_dims
from fashion_gan.monitor.signals import median_nn_distance, mode_rotation

__all__ = ["MIN_IMAGES", "HealthSignals", "ReferenceSet"]

MIN_IMAGES = 100
"""Number of real images that a monitor needs."""

DIM = 64


@dataclass(frozen=True)
class HealthSignals:
    """Holds health signals for `diagnose`; signals that were not measured are empty or None.

    Attributes:
        names: Names of the `k` classes, or of the clusters that replace classes.
        shares: Fraction of the fakes in each class, `(k,)`, summing to 1.
        real_shares: Fraction of the reals in each class.
        neighbor_shares: Fraction of the fakes whose nearest real in pixel space is in each class,
            `(k,)`, or empty. This vote does not share a classifier's errors on unclear images.
        real_neighbor_shares: Fraction of the reals whose nearest other real is in each class.
        class_imbalance: Fraction of the fakes that would have to change class to match the reals,
            beyond what chance explains, in [0, 1].
        diversity: Result of `diversity`. Below 1 the fakes are less diverse than the reals.
        mode_rotation: Result of `mode_rotation` for this and the previous evaluation.
        loss_oscillation: Larger result of `loss_oscillation` for the two losses.
        loss_growth: Larger result of `loss_growth` for the two losses.
        d_accuracies: Fractions of the reals and of the fakes that the discriminator classifies
            correctly.
        logit_gap: Mean logit of the reals minus mean logit of the fakes.
        g_gradient_ratio: Norm of the generator's gradient divided by its recent maximum.
    """

    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    real_shares: tuple[float, ...] = ()
    neighbor_shares: tuple[float, ...] = ()
    real_neighbor_shares: tuple[float, ...] = ()
    class_imbalance: float | None = None
    diversity: float | None = None
    mode_rotation: float | None = None
    loss_oscillation: float | None = None
    loss_growth: float | None = None
    d_accuracies: tuple[float, float] | None = None
    logit_gap: float | None = None
    g_gradient_ratio: float | None = None

    def numbers(self) -> dict[str, float]:
        """Returns the scalar signals to plot, by their names in the logs."""
        numbers = {
            "largest_class_share": max(self.shares, default=None),
            "class_imbalance": self.class_imbalance,
            "diversity": self.diversity,
            "mode_rotation": self.mode_rotation,
            "loss_oscillation": self.loss_oscillation,
            "loss_growth": self.loss_growth,
            "g_gradient_ratio": self.g_gradient_ratio,
        }
        return {name: value for name, value in numbers.items() if value is not None}


class ReferenceSet:
    """Holds real images, with their classes if known, or with clusters otherwise.

    Clusters are computed by k-means from the features, or from the first 64 principal components of
    the pixels without features. They replace classes, but do not separate classes that look alike.
    RGBA images are measured after `images.premultiply`.

    Args:
        images: Real images `(n, ...)` of `p` pixels, uint8, at least 100.
        features: Features of the images `(n, d)`. Defaults to the principal components.
        labels: Integers `(n,)` in `0..k - 1`, from the classifier that also labels the fakes.
            Defaults to None.
        names: Names of the `k` classes. Required with labels.
        clusters: Number of clusters without labels.
        seed: Seed of the clusters.

    Raises:
        TypeError: If images or features are not real numbers.
        ValueError: If images or features are not finite, too few, or differ in number; if only one
            of `labels` and `names` is given.
    """

    def __init__(
        self,
        images: ArrayLike,
        features: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        *,
        clusters: int = 30,
        seed: int = 0,
    ) -> None:
        images = np.asarray(images)
        if len(images) < MIN_IMAGES:
            raise ValueError(
                f"Expected at least {MIN_IMAGES} real images; 5,000 are better. Received: "
                f"{len(images)}."
            )
        if (labels is None) != (names is None):
            raise ValueError(
                "Expected labels and the names of their classes, or neither. Received: "
                f"only {'names' if labels is None else 'labels'}."
            )
        pixels = premultiply(images) / 255
        self._pca: PCA = fit_pca(pca_images(pixels), min(DIM, images[0].size, len(images) - 1))
        self._pixels = self._pca.transform(pixels)
        self._features = (
            self._pixels if features is None else as_samples(features, "features of the reals")
        )
        if len(self._features) != len(images):
            raise ValueError(
                f"Expected features of {len(images)} real images. Received: {len(self._features)}."
            )
        self._spreads: dict[int, float] = {}
        self._centroids: Floats | None = None
        self._real_nearby: Floats | None = None
        if labels is not None and names is not None:
            self.names = tuple(names)
            self._labels = np.asarray(labels)
            self.real_shares = self._shares(self._labels)
            neighbor = nearest(self._pixels, self._pixels, count=2).indices[:, 1]
            self._real_nearby = self._shares(self._labels[neighbor])
        else:
            bins = fit_ndb_bins(self._features, min(clusters, len(images) // 20), seed=seed)
            self._centroids = bins.centroids
            self.real_shares = bins.counts / bins.counts.sum()
            self.names = tuple(f"cluster {i}" for i in range(len(bins.counts)))

    @property
    def labeled(self) -> bool:
        """Returns whether the names are names of classes, not of clusters."""
        return self._centroids is None

    def signals(
        self,
        images: ArrayLike,
        features: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> HealthSignals:
        """Measures the signals of fakes.

        Features and labels are required if the reals have them.

        Raises:
            TypeError: If images or features are not real numbers.
            ValueError: If images or features are not finite, do not match the reals, or are fewer
                than two.
        """
        pixels = self._pca.transform(premultiply(images) / 255)
        fakes = pixels if features is None else as_samples(features, "features of the fakes")
        check_dims(reals=self._features, fakes=fakes)
        neighbor_shares: tuple[float, ...] = ()
        real_neighbor_shares: tuple[float, ...] = ()
        if self._centroids is not None:
            classes = nearest(fakes, self._centroids).indices[:, 0]
        elif labels is None:
            raise ValueError("Expected labels of the fakes, since the reals have labels.")
        else:
            classes = np.asarray(labels)
            neighbor = nearest(pixels, self._pixels).indices[:, 0]
            neighbor_shares = _tuple(self._shares(self._labels[neighbor]))
            real_neighbor_shares = _tuple(self._real_nearby)
        shares = self._shares(classes)
        return HealthSignals(
            names=self.names,
            shares=_tuple(shares),
            real_shares=_tuple(self.real_shares),
            neighbor_shares=neighbor_shares,
            real_neighbor_shares=real_neighbor_shares,
            class_imbalance=mode_rotation(self.real_shares, shares, len(fakes)),
            diversity=self._diversity(fakes),
        )

    def _diversity(self, fakes: Floats) -> float:
        """Computes `diversity(reals, fakes)` with the spread of the reals cached."""
        count = min(len(fakes), len(self._features))
        if count not in self._spreads:
            self._spreads[count] = median_nn_distance(self._features[:count])
        if self._spreads[count] == 0:
            raise ValueError(
                f"Expected different real images. Received: half of the first {count} are copies."
            )
        return median_nn_distance(fakes[:count]) / self._spreads[count]

    def _shares(self, labels: NDArray[np.int64]) -> Floats:
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(self.names):
            raise ValueError(
                f"Expected integer labels in 0..{len(self.names) - 1}, a name for each. Received: "
                f"{labels.dtype} from {labels.min()} to {labels.max()}."
            )
        return np.bincount(labels, minlength=len(self.names)) / len(labels)


def _tuple(values: Floats | None) -> tuple[float, ...]:
    return () if values is None else tuple(values.tolist())
