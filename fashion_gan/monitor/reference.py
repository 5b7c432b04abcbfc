"""Describes real images, and measures the signals by which fakes differ from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.images import premultiply, with_channels
from fashion_gan.metrics.bins import fit_ndb_bins
from fashion_gan.metrics.distances import nearest
from fashion_gan.metrics.pca import PCA, fit_pca, pca_images
from fashion_gan.metrics.samples import Floats, as_samples, check_dims
from fashion_gan.monitor.signals import median_nn_distance, mode_rotation

__all__ = ["MIN_IMAGES", "HealthSignals", "ReferenceSet"]

MIN_IMAGES = 100
"""Number of real images that a monitor needs."""

DIM = 64

_NEIGHBORS = {"patterns": 20, "features": 5}
_CLUSTER_SIZE = {"patterns": 80, "features": 50}
_STANDARDIZED = (0.0, 0.5, 1.0)  # fractions of the way to the mean and spread of the reals
_PATTERN_SIDE = 28  # pixels


@dataclass(frozen=True)
class HealthSignals:
    """Holds health signals for `diagnose`; signals that were not measured are empty or None.

    Attributes:
        names: Names of the `k` classes, or of the clusters that replace classes.
        shares: Fraction of the fakes in each class, `(k,)`, summing to 1.
        real_shares: Fraction of the reals in each class.
        share_z_scores: Difference of `shares` and `real_shares`, divided by its standard deviation
            for random reals, `(k,)`. Measured for clusters, or empty.
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
    share_z_scores: tuple[float, ...] = ()
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

    Clusters are computed by k-means from the first 64 principal components of the features, or of
    the patterns without features. They replace classes, but do not separate classes that look
    alike.

    A color fake with features belongs to the clusters of the 5 reals with the nearest features, a
    fifth to each. Blur and noise, which are no loss of diversity, change the features of all fakes
    alike. The neighbors are therefore also found after each component of the fakes' features is
    shifted and scaled to the mean and the standard deviation of the reals, as in Li et al. 2016
    (https://arxiv.org/abs/1603.04779), and halfway. Of these three, the one with the smallest
    median distance to the nearest real counts. Fakes that only lack some kinds are nearest as they
    are.

    Other fakes are assigned by their patterns, since blur and noise change the features of gray
    images in more ways. The pattern of an image is the smoothed image, minus its mean, with a norm
    of 1. Distances of patterns depend on the correlation of two images. A fake belongs to the
    clusters of the 20 reals with the nearest patterns, a twentieth to each.

    RGBA images are measured after `images.premultiply`.

    Args:
        images: Real images `(n, ...)` of `p` pixels, uint8, at least 100.
        features: Features of the images `(n, d)`. Defaults to principal components, of the pixels
            with labels and of the patterns without labels.
        labels: Integers `(n,)` in `0..k - 1`, from the classifier that also labels the fakes.
            Defaults to None.
        names: Names of the `k` classes. Required with labels.
        clusters: Number of clusters without labels. There are fewer if clusters would have less
            than 80 reals on average, or 50 with features of color images, since small clusters lack
            fakes by chance. Defaults to 20.
        seed: Seed of the clusters.

    Attributes:
        labeled: Whether the names are names of classes, not of clusters.
        needs_features: Whether `signals` needs the features of fakes.
        names: Names of the `k` classes or clusters.
        labels: Class or cluster of each real image, `(n,)`.
        real_shares: Fraction of the reals in each class or cluster, `(k,)`.

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
        clusters: int = 20,
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
        if features is not None:
            features = as_samples(features, "features of the reals")
            if len(features) != len(images):
                raise ValueError(
                    f"Expected features of {len(images)} real images. Received: {len(features)}."
                )
        self.labeled = labels is not None
        self.needs_features = features is not None and (
            self.labeled or with_channels(images).shape[-1] > 1
        )
        self._spreads: dict[int, float] = {}
        self._features = self._pixels
        if labels is not None and names is not None:
            self.names = tuple(names)
            self.labels = np.asarray(labels)
            self._features = self._pixels if features is None else features
            self.real_shares = self._shares(self.labels)
            neighbor = nearest(self._pixels, self._pixels, count=2).indices[:, 1]
            self._real_nearby = self._shares(self.labels[neighbor])
        else:
            space = "features" if self.needs_features else "patterns"
            self._neighbors = _NEIGHBORS[space]
            voters = _patterns(pixels)
            if self.needs_features and features is not None:
                voters = features
            self._vote_pca = _fit_pca(voters)
            self._voters = embedded = self._vote_pca.transform(voters)
            if features is not None and not self.needs_features:
                embedded = _fit_pca(features).transform(features)
            bins = fit_ndb_bins(
                embedded, max(1, min(clusters, len(images) // _CLUSTER_SIZE[space])), seed=seed
            )
            self.names = tuple(f"cluster {i}" for i in range(len(bins.counts)))
            self.labels = nearest(embedded, bins.centroids).indices[:, 0]
            neighbors = nearest(self._voters, self._voters, count=self._neighbors + 1).indices
            votes = self._votes(neighbors[:, 1:])
            self.real_shares, self._vote_variances = votes.mean(axis=0), votes.var(axis=0, ddof=1)

    def signals(
        self,
        images: ArrayLike,
        features: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> HealthSignals:
        """Measures the signals of fakes.

        Args:
            images: Fakes `(m, ...)` of `p` pixels, uint8, at least two.
            features: Features `(m, d)`. Required if the reals have features, and labels or colors.
                Unused otherwise.
            labels: Classes `(m,)`. Required if the reals have labels, and unused otherwise.

        Raises:
            TypeError: If images or features are not real numbers.
            ValueError: If images or features are not finite, do not match the reals, are fewer than
                two, or if required features or labels are missing.
        """
        scaled = premultiply(images) / 255
        pixels = self._pca.transform(scaled)
        fakes = None
        if self.needs_features:
            if features is None:
                raise ValueError("Expected features of the fakes, since the reals have features.")
            fakes = as_samples(features, "features of the fakes")
        if not self.labeled:
            votes = self._votes(self._nearest_reals(scaled, fakes))
            shares, count = votes.mean(axis=0), len(pixels)
            variances = self._vote_variances * (1 / count + 1 / len(self._pixels))
            z_scores = (shares - self.real_shares) / np.sqrt(np.maximum(variances, 1e-12))
            return HealthSignals(
                names=self.names,
                shares=_tuple(shares),
                real_shares=_tuple(self.real_shares),
                share_z_scores=_tuple(z_scores),
                class_imbalance=mode_rotation(self.real_shares, shares, count),
                diversity=self._diversity(pixels),
            )
        if labels is None:
            raise ValueError("Expected labels of the fakes, since the reals have labels.")
        fakes = pixels if fakes is None else fakes
        check_dims(reals=self._features, fakes=fakes)
        shares = self._shares(np.asarray(labels))
        neighbor = nearest(pixels, self._pixels).indices[:, 0]
        return HealthSignals(
            names=self.names,
            shares=_tuple(shares),
            real_shares=_tuple(self.real_shares),
            neighbor_shares=_tuple(self._shares(self.labels[neighbor])),
            real_neighbor_shares=_tuple(self._real_nearby),
            class_imbalance=mode_rotation(self.real_shares, shares, len(fakes)),
            diversity=self._diversity(fakes),
        )

    def _nearest_reals(self, images: Floats, features: Floats | None) -> NDArray[np.int64]:
        """Returns the indices of the reals that vote for the cluster of each fake."""
        if features is None:
            patterns = self._vote_pca.transform(_patterns(images))
            return nearest(patterns, self._voters, count=self._neighbors).indices
        fakes = self._vote_pca.transform(features)
        scale = self._voters.std(axis=0) / np.maximum(fakes.std(axis=0), 1e-12)
        standardized = (fakes - fakes.mean(axis=0)) * scale + self._voters.mean(axis=0)
        found = (
            nearest(fakes + t * (standardized - fakes), self._voters, count=self._neighbors)
            for t in _STANDARDIZED
        )
        return min(found, key=lambda near: np.median(near.distances[:, 0])).indices

    def _votes(self, neighbors: NDArray[np.int64]) -> Floats:
        """Returns the fraction of each image's neighbors in each cluster, `(n, k)`."""
        votes = np.zeros((len(neighbors), len(self.names)))
        for column in neighbors.T:
            votes[np.arange(len(votes)), self.labels[column]] += 1
        return votes / neighbors.shape[1]

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


def _fit_pca(samples: ArrayLike) -> PCA:
    """Fits as many principal components as there can be, at most `DIM`."""
    x = pca_images(np.asarray(samples))
    return fit_pca(x, min(DIM, x.shape[1], len(x) - 1))


def _patterns(images: Floats) -> Floats:
    """Returns smoothed images with a mean of 0 and a norm of 1, `(n, p)`.

    Images of 56 pixels or more are reduced to 28 to 55 pixels first. Then each pixel is replaced
    three times by the sum of 3 x 3 pixels. The norm removes the scale.
    """
    x = with_channels(images).astype(np.float32)
    count, height, width, channels = x.shape
    size = max(min(height, width) // _PATTERN_SIDE, 1)
    height, width = height // size, width // size
    x = x[:, : height * size, : width * size].reshape(count, height, size, width, size, channels)
    x = x.mean(axis=(2, 4))
    for _ in range(3):
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), "edge")
        x = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), "edge")
        x = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    x = x.reshape(count, -1).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
