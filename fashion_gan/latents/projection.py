"""Projects images into the latent space by random starts, Adam and Gauss-Newton steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from fashion_gan import metrics
from fashion_gan.images import premultiply
from fashion_gan.models import introspection
from fashion_gan.training import validation
from fashion_gan.typing import LabeledImages, Labels, Tensor

if TYPE_CHECKING:
    from fashion_gan.gan import GAN

__all__ = ["Projection", "project"]

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

_GROUP = 16  # number of images that are projected together
_RENDERED = 512  # number of images in a batch of the generator, as in `GAN.sample`
_LEARNING_RATE, _BETA_1, _BETA_2, _EPSILON = 0.1, 0.9, 0.99, 1e-8
_SURVIVORS = 2  # number of starts of an image that the Gauss-Newton steps refine
_STEP = 0.01  # step of the finite differences, in standard deviations
_FOUND = 1e-3  # error below which the search for an image ends
_HOPELESS = 1e6  # damping above which no step lowers the error
_BEYOND = 3.0  # largest excess over the mean norm; one normal latent in 100,000 exceeds it


@dataclass(frozen=True)
class Projection:
    """Holds the images of a generator that are closest to given images.

    Attributes:
        latents: float32 latents `(n, latent_dim)`.
        images: float32 images `(n, height, width, channels)` in the generator's value range.
        errors: Root mean square differences of the pixels in [0, 1], float32 `(n,)`. The colors of
            RGBA images are multiplied by their alpha.
        labels: int32 classes `(n,)` of a conditional GAN, else None.
    """

    latents: Floats
    images: Floats
    errors: Floats
    labels: NDArray[np.int32] | None


def project(
    model: "GAN | keras.Model",
    images: ArrayLike,
    labels: Labels | None = None,
    *,
    features: keras.Model | None = None,
    feature_weight: float = 1.0,
    candidates: int = 1024,
    starts: int = 8,
    steps: int = 60,
    refinements: int = 40,
    seed: int = 0,
    use_ema: bool = True,
    progress: Progress | None = None,
) -> Projection:
    """Finds the latents whose generated images are closest to given images.

    The generator renders random latents. Adam starts from the latents whose images are closest to
    the target, with a cosine learning rate schedule. Damped Gauss-Newton steps refine the two best
    results, since the error of a GAN is steep in some directions of its latents and flat in others.
    The norm of a latent is at most `sqrt(latent_dim) + 3`, which very few normal latents exceed.

    Args:
        model: GAN, or an unconditional generator.
        images: Images `(n, height, width[, channels])` of the generator's size, uint8 or floats in
            its value range.
        labels: Classes of the images for a conditional GAN, an integer or integers `(n,)`. Defaults
            to None, which tries all classes.
        features: Network of images `(batch, height, width, channels)` in [0, 1]. The loss then
            includes the distance of its outputs. Defaults to None, which compares pixels only.
        feature_weight: Weight of the mean squared difference of the features. The pixels have
            weight 1. Defaults to 1.
        candidates: Number of random latents. Defaults to 1024.
        starts: Number of random latents from which Adam starts for each image. Defaults to 8.
        steps: Number of steps of Adam. Defaults to 60.
        refinements: Number of Gauss-Newton steps. Each renders `latent_dim + 2` images for each
            latent. Defaults to 40.
        seed: Seed of the random latents. Defaults to 0.
        use_ema: Whether to use the averaged generator, if there is one. Defaults to True.
        progress: Function that is called with the number of finished steps and the number of all
            steps. Defaults to None.

    Returns:
        A `Projection`. It depends only on the arguments. The result for an image may differ in the
        last digits if other images are projected with it.

    Raises:
        ValueError: If the images or labels do not fit the generator, if a number is out of range,
            or if a conditional generator is passed without its GAN.

    References:
        Zhu et al. 2016, https://arxiv.org/abs/1609.03552: projection by gradients.
        Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1. Marquardt 1963, An
        algorithm for least-squares estimation of nonlinear parameters: the damping.
    """
    _check_counts(candidates=candidates, starts=starts, steps=steps, refinements=refinements)
    generator = _Generator.of(model, use_ema)
    targets = _unit_images(images, generator)
    classes = _check_labels(labels, len(targets), generator.num_classes)
    search = _Search(generator, features, feature_weight)
    wanted = search.describe(targets)
    starting = _starting_points(search, wanted, classes, candidates, starts, seed)

    chosen = np.empty((len(targets), generator.latent_dim), "float32")
    chosen_classes = np.empty(len(targets), "int32")
    groups = range(0, len(targets), _GROUP)
    finished = _Counter(len(groups) * (steps + refinements), progress)
    for number, first in enumerate(groups):
        group = slice(first, first + _GROUP)
        rows = _Rows.from_starts(*(part[group] for part in starting))
        rows = search.descend(rows, wanted[group], steps, finished)
        rows = search.refine(rows.best(_SURVIVORS), wanted[group], refinements, finished).best(1)
        chosen[group], chosen_classes[group] = rows.latents, rows.labels
        finished.reach((number + 1) * (steps + refinements))

    given = None if generator.num_classes is None else chosen_classes
    drawn = search.draw(chosen, chosen_classes)
    return Projection(chosen, drawn, _distances(_to_unit(drawn, generator), targets), given)


@dataclass(frozen=True, eq=False)
class _Generator:
    """Holds what the search needs of a GAN, or of an unconditional generator."""

    network: keras.Model
    latent_dim: int
    image_shape: tuple[Any, ...]
    value_range: tuple[float, float]
    num_classes: int | None = None

    @classmethod
    def of(cls, model: Any, use_ema: bool) -> "_Generator":
        """Returns the parts of a GAN, or of a built generator."""
        if hasattr(model, "sampling_network"):
            network = model.sampling_network(use_ema)
            size, shape = model.latent_dim, model.image_shape
            return cls(network, size, shape, model.value_range, model.num_classes)
        if len(introspection.input_shapes(model) or [None]) != 1:
            raise ValueError(
                "Expected a GAN, or a generator of latents alone. Received: a generator of latents "
                "and labels. Pass its GAN."
            )
        size = introspection.infer_latent_dim(model, None)
        inputs = keras.Input((size,))
        shape = introspection.build_network(model, inputs)[1:]
        return cls(model, size, shape, introspection.infer_value_range(model, inputs))


class _Counter:
    """Counts finished steps and reports their number."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done = 0
        self._total = total
        self._progress = progress

    def advance(self) -> None:
        """Counts a step."""
        self.reach(self._done + 1)

    def reach(self, done: int) -> None:
        """Sets the number of finished steps, including skipped steps."""
        if self._progress is not None and done != self._done:
            self._progress(done, self._total)
        self._done = done


@dataclass(frozen=True)
class _Rows:
    """Holds the current latents of a group of images.

    Attributes:
        latents: float32 latents `(rows, latent_dim)`.
        labels: int32 classes `(rows,)`, 0 without classes.
        owners: Index of the target image of each row, ascending, `(rows,)`.
        losses: Squared distances of the rendered latents to their targets, float32 `(rows,)`.
    """

    latents: Floats
    labels: NDArray[np.int32]
    owners: NDArray[np.intp]
    losses: Floats

    @classmethod
    def from_starts(cls, latents: Floats, labels: np.ndarray, losses: np.ndarray) -> "_Rows":
        """Returns the rows of arrays `(images, starts, …)`."""
        owners = np.repeat(np.arange(len(latents)), latents.shape[1])
        flat = latents.reshape(-1, latents.shape[-1]), labels.ravel(), owners, losses.ravel()
        return cls(*flat)

    def best(self, count: int) -> "_Rows":
        """Returns the rows of each image with the smallest losses."""
        ranked = np.lexsort((self.losses, self.owners)).reshape(self.owners[-1] + 1, -1)
        kept = ranked[:, :count].ravel()
        return _Rows(self.latents[kept], self.labels[kept], self.owners[kept], self.losses[kept])


class _Search:
    """Optimizes latents so that their images approach the targets.

    Images are compared as vectors. Their squared distance is the mean squared difference of the
    pixels, plus the weighted mean squared difference of the features.
    """

    def __init__(
        self, generator: _Generator, features: keras.Model | None, feature_weight: float
    ) -> None:
        self.generator = generator
        self._features = features
        self._feature_weight = feature_weight
        latents = tf.TensorSpec((None, generator.latent_dim), "float32")
        labels = tf.TensorSpec((None,), "int32")
        vectors = tf.TensorSpec((None, None), "float32")
        row = tf.TensorSpec((None,), "float32")
        scalar = tf.TensorSpec((), "float32")
        images = tf.TensorSpec((None, *generator.image_shape), "float32")
        # These run without XLA, whose convolutions are slow on a CPU.
        self._describe = tf.function(self._vectors, input_signature=[images])
        self._draw = tf.function(self._images, input_signature=[latents, labels])
        self._render = tf.function(self._rendered, input_signature=[latents, labels])
        self._adam_step = tf.function(
            self._adam, input_signature=[latents, latents, latents, labels, vectors, scalar, scalar]
        )
        self._gauss_newton_step = tf.function(
            self._gauss_newton, input_signature=[latents, labels, vectors, row, row]
        )

    def describe(self, images: Floats) -> Floats:
        """Returns the vectors `(n, size)` of images in [0, 1]."""
        return _in_batches(self._describe, _RENDERED, images)[0]

    def draw(self, latents: Floats, labels: np.ndarray) -> Floats:
        """Returns the images `(n, height, width, channels)` of latents, in the value range."""
        return _in_batches(self._draw, _RENDERED, latents, labels)[0]

    def render(self, latents: Floats, labels: np.ndarray) -> Floats:
        """Returns the vectors `(n, size)` of the images of latents."""
        return _in_batches(self._render, _RENDERED, latents, labels)[0]

    def descend(self, rows: _Rows, wanted: Floats, steps: int, finished: _Counter) -> _Rows:
        """Optimizes rows by Adam."""
        if not steps:
            return rows
        latents = tf.constant(rows.latents)
        first = second = tf.zeros_like(latents)
        targets = tf.constant(wanted[rows.owners])
        for step in range(steps):
            rate = _LEARNING_RATE * (1 + np.cos(np.pi * step / steps)) / 2
            latents, first, second = self._adam_step(
                latents, first, second, rows.labels, targets, np.float32(rate), np.float32(step + 1)
            )
            finished.advance()
        drawn = self.render(latents.numpy(), rows.labels)
        losses = np.square(drawn - wanted[rows.owners]).sum(axis=1)
        return _Rows(latents.numpy(), rows.labels, rows.owners, losses)

    def refine(self, rows: _Rows, wanted: Floats, steps: int, finished: _Counter) -> _Rows:
        """Refines rows by Gauss-Newton steps, with more damping where the loss does not decrease.

        Rows of images that are already found are skipped, and so are rows that no step improves.
        """
        latents, losses = rows.latents.copy(), rows.losses.copy()
        damping = np.full(len(losses), 0.01, "float32")
        batch = max(1, _RENDERED // (self.generator.latent_dim + 1))
        for _ in range(steps):
            least = np.full(len(wanted), np.inf)
            np.minimum.at(least, rows.owners, losses)
            (moving,) = np.nonzero((least[rows.owners] > _FOUND**2) & (damping < _HOPELESS))
            if not len(moving):
                break
            latents[moving], losses[moving], damping[moving] = _in_batches(
                self._gauss_newton_step,
                batch,
                latents[moving],
                rows.labels[moving],
                wanted[rows.owners[moving]],
                losses[moving],
                damping[moving],
            )
            finished.advance()
        return _Rows(latents, rows.labels, rows.owners, losses)

    def _vectors(self, images: Tensor) -> Tensor:
        count = tf.shape(images)[0]
        seen = images
        if images.shape[-1] == 4:
            seen = tf.concat([images[..., :3] * images[..., 3:], images[..., 3:]], axis=-1)
        vectors = tf.reshape(seen, (count, -1)) / np.sqrt(np.prod(self.generator.image_shape))
        if self._features is None:
            return vectors
        features = tf.cast(self._features(images, training=False), "float32")
        features = tf.reshape(features, (count, -1))
        size = tf.cast(tf.shape(features)[1], "float32")
        return tf.concat([vectors, features * tf.sqrt(self._feature_weight / size)], axis=1)

    def _images(self, latents: Tensor, labels: Tensor) -> Tensor:
        network = self.generator.network
        given = None if self.generator.num_classes is None else labels
        inputs = LabeledImages(tf.cast(latents, network.variable_dtype), given)
        images = network(inputs.network_inputs(), training=False)
        return tf.reshape(tf.cast(images, "float32"), (-1, *self.generator.image_shape))

    def _rendered(self, latents: Tensor, labels: Tensor) -> Tensor:
        low, high = self.generator.value_range
        return self._vectors((self._images(latents, labels) - low) / (high - low))

    def _adam(
        self,
        latents: Tensor,
        first: Tensor,
        second: Tensor,
        labels: Tensor,
        targets: Tensor,
        rate: Tensor,
        step: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(latents)
            loss = tf.reduce_sum(tf.square(self._rendered(latents, labels) - targets))
        gradient = tape.gradient(loss, latents)
        first = _BETA_1 * first + (1 - _BETA_1) * gradient
        second = _BETA_2 * second + (1 - _BETA_2) * tf.square(gradient)
        scale = tf.sqrt(second / (1 - _BETA_2**step)) + _EPSILON
        return self._shortened(latents - rate * first / (1 - _BETA_1**step) / scale), first, second

    def _shortened(self, latents: Tensor) -> Tensor:
        return tf.clip_by_norm(latents, self.generator.latent_dim**0.5 + _BEYOND, axes=[1])

    def _gauss_newton(
        self, latents: Tensor, labels: Tensor, targets: Tensor, losses: Tensor, damping: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = self.generator.latent_dim
        offsets = tf.concat([tf.zeros((1, size)), _STEP * tf.eye(size)], axis=0)
        around = tf.reshape(latents[:, tf.newaxis] + offsets, (-1, size))
        drawn = self._rendered(around, tf.repeat(labels, size + 1))
        drawn = tf.reshape(drawn, (tf.shape(latents)[0], size + 1, -1))
        slopes = (drawn[:, 1:] - drawn[:, :1]) / _STEP
        gradient = tf.linalg.matvec(slopes, drawn[:, 0] - targets)
        curvature = tf.matmul(slopes, slopes, transpose_b=True)
        diagonal = tf.linalg.diag_part(curvature)
        floor = 1e-3 * tf.reduce_mean(diagonal, axis=1, keepdims=True) + 1e-9
        damped = curvature + tf.linalg.diag(damping[:, tf.newaxis] * (diagonal + floor))
        factor = tf.linalg.cholesky(damped)
        step = tf.linalg.cholesky_solve(factor, gradient[..., tf.newaxis])[..., 0]
        moved = self._shortened(latents - step)
        new_losses = tf.reduce_sum(tf.square(self._rendered(moved, labels) - targets), axis=1)
        falls = new_losses < losses
        return (
            tf.where(falls[:, tf.newaxis], moved, latents),
            tf.where(falls, new_losses, losses),
            tf.where(falls, damping * 0.3, damping * 4.0),
        )


def _in_batches(function: Callable[..., Any], size: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Applies a function to batches of rows, and returns each of its results as one array."""
    parts = []
    for start in range(0, len(arrays[0]), size):
        outputs = function(*(array[start : start + size] for array in arrays))
        parts.append([output.numpy() for output in keras.tree.flatten(outputs)])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _starting_points(
    search: _Search,
    wanted: Floats,
    classes: np.ndarray | None,
    candidates: int,
    starts: int,
    seed: int,
) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Returns the random latents whose images are closest to each target, with classes and losses.

    Returns:
        Arrays `(images, starts, latent_dim)`, `(images, starts)` and `(images, starts)`.
    """
    generator = search.generator
    tried = np.arange(generator.num_classes or 1) if classes is None else np.unique(classes)
    each = max(-(-candidates // len(tried)), starts)
    points = np.random.default_rng(seed).standard_normal((each * len(tried), generator.latent_dim))
    latents = points.astype("float32")
    labels = np.resize(tried, len(latents)).astype("int32")
    drawn = search.render(latents, labels)
    indices = np.empty((len(wanted), starts), np.intp)
    losses = np.empty((len(wanted), starts), "float32")
    if classes is None:
        parts = [(np.arange(len(wanted)), np.arange(len(latents)))]
    else:
        parts = [(np.flatnonzero(classes == c), np.flatnonzero(labels == c)) for c in tried]
    for images, among in parts:
        found = metrics.nearest(wanted[images], drawn[among], starts)
        indices[images], losses[images] = among[found.indices], found.distances**2
    return latents[indices], labels[indices], losses


def _unit_images(images: ArrayLike, generator: _Generator) -> Floats:
    """Returns images as float32 `(n, *image_shape)` in [0, 1].

    Raises:
        ValueError: If the images have another shape, or values outside of the value range.
    """
    pixels = np.asarray(images)
    if pixels.shape[1:] == generator.image_shape[:-1] and generator.image_shape[-1:] == (1,):
        pixels = pixels[..., np.newaxis]
    if pixels.shape[1:] != generator.image_shape or not len(pixels):
        shape = ", ".join(map(str, generator.image_shape))
        raise ValueError(
            f"Expected images of shape (n, {shape}). Received: images.shape={pixels.shape}. "
            "Resize the images."
        )
    if pixels.dtype == np.uint8:
        return (pixels / np.float32(255)).astype("float32")
    low, high = generator.value_range
    if not (pixels.dtype.kind == "f" and pixels.min() >= low and pixels.max() <= high):
        raise ValueError(
            f"Expected images of uint8, or floats from {low:g} to {high:g}. Received: "
            f"{pixels.dtype} from {pixels.min():g} to {pixels.max():g}. Scale the images."
        )
    return _to_unit(pixels, generator)


def _to_unit(images: np.ndarray, generator: _Generator) -> Floats:
    """Converts images from the generator's value range to float32 in [0, 1]."""
    low, high = generator.value_range
    unit = ((images - low) / (high - low)).astype("float32")
    return unit.reshape(len(unit), *generator.image_shape)


def _check_labels(
    labels: Labels | None, count: int, num_classes: int | None
) -> NDArray[np.int32] | None:
    """Returns int32 classes `(count,)`, or None if `labels` is None."""
    if labels is None:
        return None
    return validation.sample_labels(labels, count, num_classes)


def _check_counts(candidates: int, starts: int, steps: int, refinements: int) -> None:
    given = {
        "candidates": (candidates, 1),
        "starts": (starts, 1),
        "steps": (steps, 0),
        "refinements": (refinements, 0),
    }
    for name, (value, least) in given.items():
        if value < least:
            raise ValueError(f"Expected {name} of at least {least}. Received: {name}={value}.")


def _distances(images: Floats, others: Floats) -> Floats:
    """Computes the root mean square differences of images in [0, 1], float32 `(n,)`."""
    apart = np.square(premultiply(images) - premultiply(others))
    return np.sqrt(apart.reshape(len(apart), -1).mean(axis=1)).astype("float32")
