"""What real images are like, and the signs by which a set of fakes differs from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashion_gan.metrics.distances import nearest
from fashion_gan.metrics.health import rotation, spread
from fashion_gan.metrics.ndb import fit_bins
from fashion_gan.metrics.pca import PCA, fit_pca
from fashion_gan.metrics.samples import Floats, as_samples, check_dims

__all__ = ["Reference", "Signs"]

LEAST = 100
DIM = 64


@dataclass(frozen=True)
class Signs:
    """Numbers that `diagnose` judges; what was not measured is empty or None.

    Attributes:
        names: of the `k` classes, or of the clusters that stand in for them.
        shares: of the fakes in each class, `(k,)`, summing to 1.
        real_shares: of the reals, likewise.
        nearby: shares of the fakes by the class of the nearest real in pixels: a second witness,
            which a classifier's errors on unclear images do not reach. `(k,)`, or empty.
        real_nearby: of the reals, likewise, by the nearest other real.
        imbalance: share of the fakes that would have to change class for the reals' shares, beyond
            what chance explains, in [0, 1].
        diversity: see `diversity`; below 1 the fakes are more alike than the reals.
        rotation: see `rotation`, between this evaluation and the one before.
        oscillation: see `oscillation`; the larger one of both losses.
        rise: see `rise`; the larger one of both losses.
        d_accuracies: shares of the reals and of the fakes that the discriminator got right.
        logit_gap: its mean logit of the reals less that of the fakes.
        gradient: norm of the generator's gradient, over its largest one of late.
    """

    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    real_shares: tuple[float, ...] = ()
    nearby: tuple[float, ...] = ()
    real_nearby: tuple[float, ...] = ()
    imbalance: float | None = None
    diversity: float | None = None
    rotation: float | None = None
    oscillation: float | None = None
    rise: float | None = None
    d_accuracies: tuple[float, float] | None = None
    logit_gap: float | None = None
    gradient: float | None = None

    def numbers(self) -> dict[str, float]:
        """Those that are worth a curve, by the names they have in the logs."""
        numbers = {
            "largest_class_share": max(self.shares, default=None),
            "class_imbalance": self.imbalance,
            "diversity": self.diversity,
            "rotation": self.rotation,
            "loss_oscillation": self.oscillation,
            "loss_rise": self.rise,
            "g_gradient_left": self.gradient,
        }
        return {name: value for name, value in numbers.items() if value is not None}


class Reference:
    """Real images, with their classes if these are known, and else in clusters.

    Clusters are found by k-means among the features, or among the first 64 principal components of
    the pixels if there are none. They stand in for classes, but do not separate what looks alike.

    Args:
        images: real ones `(n, ...)` of `p` pixels, uint8, at least 100.
        features: of them `(n, d)`; by default the principal components.
        labels: integers `(n,)` in `0..k - 1`, from the classifier that will label the fakes.
        names: of the `k` classes; goes with labels.
        clusters: how many, where there are no labels.
        seed: of the clusters.

    Raises:
        TypeError: if images or features are not real numbers.
        ValueError: if they are not finite, too few or not equally many; if only one of `labels` and
            `names` is given.
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
        if len(images) < LEAST:
            raise ValueError(
                f"Expected at least {LEAST} real images; 5,000 are better. Received: {len(images)}."
            )
        if (labels is None) != (names is None):
            raise ValueError(
                "Expected labels and the names of their classes, or neither. Received: "
                f"{'names' if labels is None else 'labels'} alone."
            )
        self._pca: PCA = fit_pca(images / 255, min(DIM, images[0].size, len(images) - 1))
        self._pixels = self._pca.transform(images / 255)
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
            neighbour = nearest(self._pixels, self._pixels, count=2).indices[:, 1]
            self._real_nearby = self._shares(self._labels[neighbour])
        else:
            bins = fit_bins(self._features, min(clusters, len(images) // 20), seed=seed)
            self._centroids = bins.centroids
            self.real_shares = bins.counts / bins.counts.sum()
            self.names = tuple(f"cluster {i}" for i in range(len(bins.counts)))

    @property
    def labelled(self) -> bool:
        """Whether the names are those of classes, not of clusters."""
        return self._centroids is None

    def signs(
        self,
        images: ArrayLike,
        features: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> Signs:
        """The signs in fakes: images, and features and labels if the reals came with them.

        Raises:
            TypeError: if images or features are not real numbers.
            ValueError: if they are not finite or not like the reals'; fewer than two.
        """
        pixels = self._pca.transform(np.asarray(images) / 255)
        fakes = pixels if features is None else as_samples(features, "features of the fakes")
        check_dims(reals=self._features, fakes=fakes)
        nearby: tuple[float, ...] = ()
        real_nearby: tuple[float, ...] = ()
        if self._centroids is not None:
            classes = nearest(fakes, self._centroids).indices[:, 0]
        elif labels is None:
            raise ValueError("Expected labels of the fakes, as there are of the reals.")
        else:
            classes = np.asarray(labels)
            neighbour = nearest(pixels, self._pixels).indices[:, 0]
            nearby = _tuple(self._shares(self._labels[neighbour]))
            real_nearby = _tuple(self._real_nearby)
        shares = self._shares(classes)
        return Signs(
            names=self.names,
            shares=_tuple(shares),
            real_shares=_tuple(self.real_shares),
            nearby=nearby,
            real_nearby=real_nearby,
            imbalance=rotation(self.real_shares, shares, len(fakes)),
            diversity=self._diversity(fakes),
        )

    def _diversity(self, fakes: Floats) -> float:
        """`diversity(reals, fakes)`, with the reals' spread measured once."""
        count = min(len(fakes), len(self._features))
        if count not in self._spreads:
            self._spreads[count] = spread(self._features[:count])
        if self._spreads[count] == 0:
            raise ValueError(
                f"Expected different real images. Received: half of the first {count} are copies."
            )
        return spread(fakes[:count]) / self._spreads[count]

    def _shares(self, labels: NDArray[np.int64]) -> Floats:
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(self.names):
            raise ValueError(
                f"Expected integer labels in 0..{len(self.names) - 1}, a name for each. Received: "
                f"{labels.dtype} from {labels.min()} to {labels.max()}."
            )
        return np.bincount(labels, minlength=len(self.names)) / len(labels)


def _tuple(values: Floats | None) -> tuple[float, ...]:
    return () if values is None else tuple(values.tolist())
