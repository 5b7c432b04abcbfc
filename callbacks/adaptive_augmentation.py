"""Provides a callback that adapts the probability of the augmentations to the overfitting."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.augmentations import AdaptiveProbability
from fashion_gan.images import with_channels
from fashion_gan.training.distribute import mean_over_replicas
from fashion_gan.typing import Images, LabeledImages, Labels

__all__ = ["AdaptiveAugmentation"]


class AdaptiveAugmentation(keras.callbacks.Callback):
    """Measures how far the discriminator overfits, and adapts `augment_p`.

    The GAN must be compiled with `augment_p="adaptive"`. Every `interval` steps, at the end of an
    execution, the discriminator scores a few training, held-out and generated images. These images
    are augmented as in training. `augment_p` then rises or falls, see
    `augmentations.AdaptiveProbability`. The last measurement of an epoch is logged as `d_overfit`.

    The state of this callback is saved with the GAN, so a resumed training continues with it. Put
    this callback before the callbacks that write logs or backups.

    Args:
        train_images: Training images `(n, height, width[, channels])`, uint8 or floats in the
            range of the generator.
        held_out_images: Images on which nothing is trained, in the same form.
        batch_size: Number of real images in a train step.
        train_labels: Labels `(n,)` of the training images, for conditional networks. Defaults to
            None.
        held_out_labels: Labels of the held-out images, for conditional networks. Defaults to None.
        interval: Number of train steps between two measurements. Defaults to 20.
        num_images: Largest number of images of each kind. They are chosen at random, once. Defaults
            to 128.
        seed: Seed for choosing the images. Defaults to 0.

    Raises:
        ValueError: If a number is below 1. When training begins, if the GAN was compiled without
            `augment_p="adaptive"`, or if conditional networks get no labels.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, section 3.1.
    """

    adapts_augment_p = True
    """Whether `GAN.fit` may rely on this callback to adapt `augment_p`."""

    def __init__(
        self,
        train_images: Images,
        held_out_images: Images,
        batch_size: int,
        *,
        train_labels: Labels | None = None,
        held_out_labels: Labels | None = None,
        interval: int = 20,
        num_images: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("batch_size", batch_size),
            ("interval", interval),
            ("num_images", num_images),
        ):
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"Expected an integer of at least 1. Received: {name}={value!r}.")
        self.batch_size = batch_size
        self.interval = interval
        rng = np.random.default_rng(seed)
        self._sets = []
        for images, labels in ((train_images, train_labels), (held_out_images, held_out_labels)):
            chosen = np.sort(rng.permutation(len(images))[:num_images])
            self._sets.append((images[chosen], None if labels is None else labels[chosen]))
        self._measure: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks the GAN and prepares the measurement."""
        probability = getattr(self.model, "augment_probability", None)
        if not isinstance(probability, AdaptiveProbability):
            raise ValueError(
                'Expected a GAN with augment_p="adaptive". Received: one with '
                f'augment_p={probability!r}. Call compile(augment_p="adaptive", ...).'
            )
        train, held_out = (self._on_device(*part) for part in self._sets)
        self._measure = tf.function(
            lambda: self.model.measure_overfitting(train, held_out), autograph=False
        )

    def _on_device(self, images: np.ndarray, labels: Any) -> LabeledImages:
        """Returns images in the range of the GAN, with labels if its networks take some."""
        low, high = self.model.value_range
        pixels = with_channels(images).reshape(-1, *self.model.image_shape)
        if pixels.dtype == np.uint8:
            pixels = low + (high - low) * (pixels.astype("float32") / 255)
        pixels = tf.constant(pixels, self.model.generator.variable_dtype)
        if self.model.num_classes is None:
            return LabeledImages(pixels)
        if labels is None:
            raise ValueError(
                "Expected labels of the images, since the networks are conditional. Received: "
                "none. Pass train_labels and held_out_labels."
            )
        return LabeledImages(pixels, tf.constant(np.reshape(labels, -1), "int32"))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures the overfitting and adapts `augment_p`, every `interval` steps."""
        if self.model.is_skipping:
            return  # the restored state belongs to a later batch
        probability, steps = self.model.augment_probability, self.model.steps
        if steps - int(probability.adapted_at.numpy()) < self.interval:
            return
        overfitting = float(self._measure())
        overfitting = mean_over_replicas(self.model.distribute_strategy, overfitting)
        probability.adapt(overfitting, steps, self.batch_size)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the last measurement of the overfitting."""
        if logs is not None:
            logs["d_overfit"] = float(self.model.augment_probability.overfitting.numpy())

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Releases the compiled measurement."""
        self._measure = None
