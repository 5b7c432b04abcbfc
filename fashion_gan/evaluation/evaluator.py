"""Evaluates generators: draws samples, computes their features, and measures their scores."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fashion_gan import data, metrics, runtime
from fashion_gan import images as pictures
from fashion_gan.data.image_view import sample_in_memory
from fashion_gan.evaluation.classifier import load_classifier
from fashion_gan.evaluation.imagenet import load_imagenet_features
from fashion_gan.evaluation.reference_stats import (
    ReferenceStats,
    cached,
    compute_reference_stats,
    num_components,
    project_pixels,
)
from fashion_gan.files import cache_dir
from fashion_gan.runtime import has_imagenet_weights

__all__ = [
    "FULL",
    "QUICK",
    "EvalConfig",
    "Evaluator",
    "baselines",
    "fashion_mnist_evaluator",
    "image_evaluator",
]

Features = Callable[[np.ndarray], Any]

SCORES = (
    "frechet_distance",
    "kernel_distance",
    "precision",
    "recall",
    "density",
    "coverage",
)
"""Scores in the features of a classifier or of an extractor that names none; the first is watched.
"""

PIXEL_SCORES = ("frechet_distance", "kernel_distance", "recall")
"""Scores in components of the pixels that pass the order test of docs/evaluation.md."""


@dataclass(frozen=True)
class EvalConfig:
    """Sets the protocol of an evaluation. Distances of different counts are not comparable.

    Args:
        count: Number of generated images, and of real images.
        seed: Seed of the latents and of random choices within metrics.
        kernel_subsets: Number of subsets of the kernel distance.
        kernel_size: Number of images in each subset. None measures all images at once, with the
            standard error from `kernel_subsets` halves. If a subset holds all images, only one
            subset is measured, without a standard deviation.
        bins: Number of k-means bins of the pixels. 0 omits the scores that need the training
            images: `ndb`, `copied_share` and `memorization_ratio`.
    """

    count: int = 10_000
    seed: int = 0
    kernel_subsets: int = 100
    kernel_size: int | None = 1_000
    bins: int = 100


FULL = EvalConfig()
"""Protocol of reported scores: 10,000 generated images against the 10,000 test images."""

QUICK = EvalConfig(count=1_000, kernel_subsets=5, kernel_size=500, bins=0)
"""Protocol of the quick evaluation after an epoch of a training."""


class Evaluator:
    """Evaluates generated images against real images, in two feature spaces.

    Computes the scores of `fashion_gan.metrics`. Scores in the space of `features` have plain
    names. Scores in the space of the first 64 principal components of the pixels are named
    `pixel_…`. Scores that fail the order test of docs/evaluation.md are omitted. If `features` also
    returns labels, class shares are measured as well. RGBA images are measured after
    `images.premultiply`, so that the colors of transparent pixels do not count.

    Args:
        real: uint8 `(n, height, width, channels)`, `n >= protocol.count`. Real images to compare
            with. Pass held-out images, so that copies of training images do not score well.
        train: uint8 images that the generator was trained on. The principal components, the bins
            and the nearest neighbors are computed from them.
        features: Function from uint8 images to an array `(n, d)`, or to a pair of such an array and
            labels `(n,)`. None measures the pixels only. Its optional attribute `scores` names the
            scores to compute, beginning with the score to watch, and defaults to `SCORES`.
        class_names: Names of the classes, in the order of the labels. None without labels.
        protocol: Protocol of the evaluation.
        name: Name of the real images, for records.
        cache: Folder in which reference statistics are cached, for `features` with a `sha256`, such
            as the classifier. None disables the cache.

    Raises:
        ValueError: If there are fewer real images than the protocol needs, or if its count does not
            exceed the number of features in a Fréchet distance, such as 128 for the classifier.
    """

    def __init__(
        self,
        real: np.ndarray,
        train: np.ndarray,
        features: Features | None,
        class_names: Sequence[str] | None = None,
        protocol: EvalConfig = FULL,
        name: str = "real images",
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if len(real) < protocol.count:
            raise ValueError(
                f"The protocol needs {protocol.count:,} real images. Received: {len(real):,}. "
                "Lower its count, and compare only with scores of that count."
            )
        self.real = pictures.with_channels(real)[: protocol.count]
        self.train = pictures.with_channels(train)
        self.class_names = class_names
        self.protocol = protocol
        self.name = name
        self._features = features
        self._cache = cache if hasattr(features, "sha256") else None
        known = self._measured(self.real[:1])[0]
        num_features = 0 if known is None else np.shape(known)[1]
        dims = num_components(self.train, protocol.count)
        self._scores = () if known is None else getattr(features, "scores", SCORES)
        if "frechet_distance" in self._scores:
            dims = max(dims, num_features)
        if protocol.count <= dims:
            raise ValueError(
                f"Distances in {dims} features need at least {dims + 1} images on each side. "
                f"Received: count={protocol.count}."
            )

    @property
    def watched_score(self) -> str:
        """Returns the name of the score that ranks generators, where lower is better."""
        return self._scores[0] if self._scores else f"pixel_{PIXEL_SCORES[0]}"

    def sample(self, gan: Any, use_ema: bool = True) -> np.ndarray:
        """Samples `protocol.count` uint8 images from a GAN with the protocol's seed."""
        samples = gan.sample(self.protocol.count, seed=self.protocol.seed, use_ema=use_ema)
        return pictures.with_channels(pictures.to_uint8(samples, gan.value_range))

    def evaluate(self, gan: Any, use_ema: bool = True) -> dict[str, Any]:
        """Computes the scores of a GAN's samples.

        Conditional networks sample the classes in turn. `conditional_accuracy` is the fraction of
        samples that the classifier assigns to the requested class.
        """
        classes = gan.num_classes
        labels = None if classes is None else np.arange(self.protocol.count) % classes
        return self(self.sample(gan, use_ema), labels)

    def __call__(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, Any]:
        """Computes the scores of `protocol.count` uint8 images.

        Args:
            images: Images to measure.
            labels: Requested classes of the images, `(protocol.count,)`. Defaults to None, for
                unconditional images.

        Returns:
            Scores by name. `missing_classes` is a list of class names.

        Raises:
            ValueError: If the number of images differs from the protocol, or if their shape differs
                from that of the real images.
        """
        images = pictures.with_channels(images)
        if images.shape != self.real.shape:
            raise ValueError(
                f"Expected images of shape {self.real.shape}, as the protocol requires. Received: "
                f"images.shape={images.shape}."
            )
        reference = self.reference_stats
        features, predicted = self._measured(images)
        in_components = project_pixels(reference.pca, images)
        scores: dict[str, Any] = {}
        if features is not None and reference.features is not None:
            scores = self._distances(features, reference.features, self._gaussians[0], self._scores)
        in_pixels = self._distances(
            in_components, reference.pixels, self._gaussians[1], PIXEL_SCORES
        )
        scores.update({f"pixel_{name}": score for name, score in in_pixels.items()})
        if predicted is not None and self.class_names is not None:
            names = list(self.class_names)
            balance = metrics.class_balance(predicted, len(names), names=names)
            if labels is not None:
                scores["conditional_accuracy"] = float(np.mean(predicted == labels))
            scores["class_entropy"] = balance.normalized_entropy
            scores["class_total_variation"] = balance.total_variation
            scores["missing_classes"] = list(balance.missing)
            scores["class_shares"] = dict(zip(names, balance.shares, strict=True))
        if reference.bins is not None and reference.nearest_train_distance is not None:
            difference = metrics.ndb(reference.bins, pictures.premultiply(images))
            scores["ndb"] = difference.ratio
            scores["bin_divergence"] = difference.divergence
            nearest = self.nearest_train(images).distances[:, 0]
            scores["copied_share"] = metrics.copied_share(reference.nearest_train_distance, nearest)
            if np.median(reference.nearest_train_distance) > 0:  # 0 if most are duplicates
                scores["memorization_ratio"] = metrics.memorization_ratio(
                    reference.nearest_train_distance, nearest
                )
        return scores

    def record(self, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Returns a record of named sets of scores, with everything that they depend on."""
        return {
            "scores": scores,
            "real": self.name,
            "protocol": dataclasses.asdict(self.protocol),
            "classifier": getattr(self._features, "sha256", None),
            "watched_score": self.watched_score,
            "versions": runtime.versions(),
        }

    def nearest_train(self, images: np.ndarray) -> metrics.Neighbors:
        """Finds the nearest training image of each uint8 image, by the principal components."""
        return metrics.nearest(
            project_pixels(self.reference_stats.pca, images), self._train_components
        )

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns the features `(n, d)` of uint8 images in the space of the watched score."""
        features, _ = self._measured(images)
        return project_pixels(self.reference_stats.pca, images) if features is None else features

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Returns the predicted classes `(n,)` of uint8 images.

        Raises:
            ValueError: If the evaluator has no classifier.
        """
        _, labels = self._measured(images)
        if labels is None:
            raise ValueError("Expected an evaluator with a classifier. Received: features only.")
        return labels

    def _measured(self, images: np.ndarray) -> tuple[Any, Any]:
        """Returns the features and the labels of images, each None if not available."""
        output = None if self._features is None else self._features(images)
        return output if isinstance(output, tuple) else (output, None)

    def _distances(
        self,
        fake: np.ndarray,
        real: metrics.Manifold,
        gaussian: metrics.Gaussian | None,
        names: Sequence[str],
    ) -> dict[str, Any]:
        protocol = self.protocol
        whole = protocol.kernel_size == len(fake)
        kernel = metrics.kernel_distance(
            real.samples,
            fake,
            subsets=1 if whole else protocol.kernel_subsets,
            size=protocol.kernel_size,
            seed=protocol.seed,
        )
        scores = {
            "kernel_distance": kernel.mean,
            **({} if whole else {"kernel_distance_std": kernel.std}),
            **dataclasses.asdict(metrics.prdc(real, fake)),
        }
        if gaussian is not None:
            scores["frechet_distance"] = metrics.frechet_distance(gaussian, fake)
        if "transport_distance" in names:
            transport = metrics.sliced_transport_distance(real.samples, fake, seed=protocol.seed)
            scores["transport_distance"] = transport.mean
            scores["transport_distance_std"] = transport.std
        printed = [name for of in names for name in (of, f"{of}_std")]
        return {name: scores[name] for name in printed if name in scores}

    @cached_property
    def reference_stats(self) -> ReferenceStats:
        """Returns the reference statistics, from the cache or computed now."""
        protocol = self.protocol
        dependencies = [
            self.real,
            self.train,
            getattr(self._features, "sha256", None),
            protocol.bins,
            protocol.seed,
        ]
        return cached(
            self._cache,
            dependencies,
            lambda: compute_reference_stats(
                self._measured(self.real)[0],
                self.real,
                self.train,
                protocol.bins,
                protocol.seed,
            ),
        )

    @cached_property
    def _gaussians(self) -> tuple[metrics.Gaussian | None, metrics.Gaussian]:
        """Fits Gaussians to the real features, if the Fréchet distance needs them, and pixels."""
        features, known = self.reference_stats.features, None
        if features is not None and "frechet_distance" in self._scores:
            known = metrics.gaussian(features.samples)
        return known, metrics.gaussian(self.reference_stats.pixels.samples)

    @cached_property
    def _train_components(self) -> np.ndarray:
        return project_pixels(self.reference_stats.pca, self.train)


def fashion_mnist_evaluator(
    protocol: EvalConfig = FULL,
    *,
    split: str = "test",
    images: data.Split | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Evaluator:
    """Returns the evaluator of Fashion-MNIST, with the classifier of the package.

    Args:
        protocol: Protocol of the evaluation. Defaults to the full protocol.
        split: Real images to compare with: `"test"` for scores to report, `"validation"` (5,000
            images) for choices during development. Defaults to `"test"`.
        images: Loaded Fashion-MNIST. Defaults to None, which loads it.
        data_dir: Folder to load Fashion-MNIST from, see `data.find_fashion_mnist`.
    """
    fashion = data.load_fashion_mnist(data_dir) if images is None else images
    real = getattr(fashion, f"{split}_images")
    return Evaluator(
        real,
        fashion.train_images,
        load_classifier(),
        data.CLASS_NAMES,
        protocol,
        name=f"Fashion-MNIST, {split}",
        cache=cache_dir(),
    )


def image_evaluator(images: data.Split, protocol: EvalConfig = FULL) -> Evaluator:
    """Returns the evaluator of your own images, which compares with the held-out images.

    Measures in ImageNet features if the extra `features` is installed, and in pixel space
    otherwise.

    Args:
        images: Training images and held-out images. If the training images do not fit into memory,
            only the first ones are used.
        protocol: Protocol of the evaluation. The count is limited to the number of held-out images,
            and the number of bins to a tenth of the different training images. The kernel distance
            uses all these images at once. Defaults to the full protocol.
    """
    count = min(protocol.count, len(images.test_images))
    train = sample_in_memory(images.train_images)
    bins = protocol.bins if images.held_out else 0  # copying needs held-out images as a baseline
    different = len({image.tobytes() for image in pictures.premultiply(train)}) if bins else 0
    fitting = dataclasses.replace(
        protocol, count=count, kernel_size=None, bins=min(bins, different // 10)
    )
    return Evaluator(
        images.test_images,
        train,
        load_imagenet_features() if has_imagenet_weights() else None,
        protocol=fitting,
        name="held-out images" if images.held_out else "training images",
        cache=cache_dir(),
    )


def baselines(
    images: np.ndarray, labels: np.ndarray | None, count: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns baselines for scores: sets of `count` uint8 images of known quality, by name.

    The sets are training images, which the evaluator does not compare with, and degraded versions
    of these images. With labels, one set lacks a class: the eighth class, or the last one if there
    are fewer.

    Args:
        images: uint8 training images `(n, height, width, channels)`, `n >= count`.
        labels: Classes of the images `(n,)`, or None.
        count: Number of images in each set.
        seed: Seed of the selection and of the noise. Defaults to 0.

    Raises:
        ValueError: If there are fewer than `count` images.
    """
    if len(images) < count:
        raise ValueError(
            f"Expected at least {count:,} training images. Received: {len(images):,}. Lower the "
            "number of images to measure."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    real = images[np.sort(order[:count])]
    sets = {"training images": real}
    if labels is not None:
        kept = order[labels[order] != min(7, int(labels.max()))]
        sets["a class removed"] = images[np.sort(rng.choice(kept, count, len(kept) < count))]
    sets["blends of two"] = pictures.to_uint8((real / 255 + real[rng.permutation(count)] / 255) / 2)
    sets["blurred"] = pictures.to_uint8(_blurred(real / 255, 1.0))
    sets["with noise"] = pictures.to_uint8(real / 255 + rng.normal(0, 0.1, real.shape))
    sets["a twentieth repeated"] = real[np.arange(count) % max(count // 20, 1)]
    sets["noise alone"] = rng.integers(0, 256, real.shape, np.uint8)
    return sets


def _blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs images with a Gaussian along height and width, with repeated edges."""
    radius = round(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    for axis in (1, 2):
        widths = [(radius, radius) if other == axis else (0, 0) for other in range(images.ndim)]
        padded = np.pad(images, widths, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis)
        images = windows @ (weights / weights.sum())
    return images
