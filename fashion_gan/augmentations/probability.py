"""Provides the factor of the probabilities of all augmentations: fixed, scheduled or adaptive."""

from typing import Any

import keras
from keras import ops

from fashion_gan.registry import resolve
from fashion_gan.typing import Tensor

__all__ = ["AdaptiveProbability", "get_probability", "overfitting"]


@keras.saving.register_keras_serializable("fashion_gan")
class AdaptiveProbability(keras.layers.Layer):
    """Lets a probability rise while the discriminator overfits, and fall while it does not.

    The probability begins at 0. It is saved with the model, as is the overfitting measured last.
    `callbacks.AdaptiveAugmentation` measures it.

    Args:
        target: Overfitting above which the probability rises, see `overfitting`. Defaults to 0.6.
        ramp_images: Number of real images in which the probability can rise from 0 to 1. Defaults
            to 100,000.
        maximum: Largest probability. Defaults to 1. Below 0.8, generators were seen to leave out
            the changes (Karras et al. 2020, section 2.2).

    Attributes:
        probability: Float variable.
        overfitting: Float variable, the overfitting measured last.
        adapted_at: Int64 variable, the number of train steps at that time.

    Raises:
        ValueError: Unless `0 < target < 1`, `ramp_images >= 1` and `0 < maximum <= 1`.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, section 3.
    """

    def __init__(
        self,
        target: float = 0.6,
        ramp_images: int = 100_000,
        maximum: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if not 0 < target < 1 or not ramp_images >= 1 or not 0 < maximum <= 1:
            raise ValueError(
                "Expected 0 < target < 1, ramp_images >= 1 and 0 < maximum <= 1. Received: "
                f"target={target}, ramp_images={ramp_images}, maximum={maximum}."
            )
        super().__init__(**kwargs)
        self.target = target
        self.ramp_images = ramp_images
        self.maximum = maximum

    def build(self, input_shape: Any = None) -> None:
        """Creates the variables."""
        for name, dtype in (
            ("probability", self.variable_dtype),
            ("overfitting", self.variable_dtype),
            ("adapted_at", "int64"),
        ):
            weight = self.add_weight(
                name=name,
                shape=(),
                dtype=dtype,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            setattr(self, name, weight)
        self.built = True

    def call(self, step: Tensor) -> Tensor:
        """Returns the probability."""
        return ops.convert_to_tensor(self.probability)

    def adapt(self, overfitting: float, step: int, batch_size: int) -> None:
        """Moves the probability up or down, as far as the images since the last time allow.

        Args:
            overfitting: Overfitting of the discriminator.
            step: Number of train steps so far.
            batch_size: Number of real images in a step.
        """
        images = (step - int(self.adapted_at.numpy())) * batch_size
        change = images / self.ramp_images * (1 if overfitting > self.target else -1)
        probability = float(self.probability.numpy()) + change
        self.probability.assign(min(max(probability, 0.0), self.maximum))
        self.overfitting.assign(overfitting)
        self.adapted_at.assign(step)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("target", "ramp_images", "maximum")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def overfitting(train: Tensor, held_out: Tensor, generated: Tensor) -> Tensor:
    """Computes how far the discriminator overfits, from the means of its logits.

    It is 0 if held-out images are scored like training images, and 1 if they are scored like
    generated images. It depends only on differences of logits, so it works with every loss. It is
    also 0 if training images do not score higher than generated images.

    Args:
        train: Mean logit of training images, a scalar.
        held_out: Mean logit of held-out images, a scalar.
        generated: Mean logit of generated images, a scalar.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, equation 1: r_v.
    """
    gap = train - generated
    prefers = gap > 0
    return ops.where(prefers, (train - held_out) / ops.where(prefers, gap, 1.0), 0.0)


def get_probability(identifier: Any) -> Any:
    """Resolves None, a number, `"adaptive"`, a dict, a config or an object to a probability.

    Returns:
        A number; a schedule of Keras, as a function of the number of train steps; or an
        `AdaptiveProbability`.

    Raises:
        ValueError: For anything else.
    """
    if identifier is None:
        return 1.0
    if isinstance(identifier, int | float) and not isinstance(identifier, bool):
        if not 0 <= identifier <= 1:
            raise ValueError(f"Expected 0 <= augment_p <= 1. Received: augment_p={identifier}.")
        return float(identifier)
    if isinstance(identifier, dict) and "class_name" in identifier:
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, keras.optimizers.schedules.LearningRateSchedule):
        return identifier
    return resolve(identifier, AdaptiveProbability, {"adaptive": AdaptiveProbability}, "augment_p")
