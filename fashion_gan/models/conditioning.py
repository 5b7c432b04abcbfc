"""Provides class-conditional pairs of networks."""

from typing import Any

import keras
from keras import layers, ops

from fashion_gan.typing import Labels

__all__ = ["OneHot", "conditional"]


@keras.saving.register_keras_serializable("fashion_gan")
class OneHot(layers.Layer):
    """Encodes labels `(batch,)` as one-hot vectors `(batch, num_classes)`.

    A dense layer after it makes an embedding whose gradient is dense. The gradient of an
    `Embedding` layer is sparse: for repeated rows, an adaptive optimizer squares each row by
    itself instead of their sum.

    Args:
        num_classes: Number of classes.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, labels: Labels) -> Any:
        """Returns the one-hot vectors."""
        return ops.one_hot(labels, self.num_classes, dtype=self.compute_dtype)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape with an axis of size `num_classes` appended."""
        return (*shape, self.num_classes)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}


def conditional(
    generator: keras.Model, discriminator: keras.Model, num_classes: int
) -> tuple[keras.Model, keras.Model]:
    """Converts an unconditional pair to a pair that also takes labels, int32 `(batch,)`.

    The new generator takes `[latents, labels]`. The one-hot label replaces the last `num_classes`
    components of the old latents. The new discriminator takes `[images, labels]` and returns the
    logits `(batch, 1)` of `conditional_logits` for the old discriminator's last features.

    Args:
        generator: Network of latents `(batch, latent_dim)`, with `latent_dim > num_classes`.
        discriminator: Network that ends in a dense layer of one unit.
        num_classes: Number of classes. Labels range from 0 to `num_classes - 1`.

    Returns:
        The conditional pair `(generator, discriminator)`.

    Raises:
        ValueError: If the latents are too few, or if the last layer is not such a dense layer.

    References:
        Mirza and Osindero 2014, https://arxiv.org/abs/1411.1784.
    """
    latent_dim = generator.input_shape[-1] - num_classes
    if num_classes < 1 or latent_dim < 1:
        raise ValueError(
            "Expected at least one class, and more latents than classes. "
            f"Received: num_classes={num_classes}, for {latent_dim + num_classes} latents."
        )
    last = discriminator.layers[-1]
    if not isinstance(last, layers.Dense) or last.units != 1:
        raise ValueError(
            "Expected a discriminator that ends in a dense layer of one unit. "
            f"Received: one that ends in {last.name!r}."
        )
    labels = keras.Input((), dtype="int32", name="labels")
    latents = keras.Input((latent_dim,), name="latents")
    images = generator(layers.Concatenate()([latents, OneHot(num_classes)(labels)]))
    conditional_generator = keras.Model([latents, labels], images, name="generator")

    trunk = keras.Model(discriminator.inputs[0], last.input, name="features")
    labels = keras.Input((), dtype="int32", name="labels")
    images = keras.Input(discriminator.input_shape[1:], name="images")
    dtype = last.dtype_policy
    one_hot = OneHot(num_classes, dtype=dtype)(labels)
    logits = conditional_logits(trunk(images), one_hot, dtype)
    return conditional_generator, keras.Model([images, labels], logits, name="discriminator")


def conditional_logits(
    features: keras.KerasTensor, one_hot: keras.KerasTensor, dtype: Any, suffix: str = ""
) -> keras.KerasTensor:
    """Applies the layers that compute logits from features and labels.

    A logit is the output of a dense layer on the features, plus the inner product of the features
    with an embedding of the label.

    Args:
        features: Features `(batch, d)`.
        one_hot: One-hot labels `(batch, num_classes)`.
        dtype: Dtype or dtype policy of the layers.
        suffix: End of the names of the layers. Defaults to `""`.

    Returns:
        The logits `(batch, 1)`.

    References:
        Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637, equation 3.
    """
    width = features.shape[-1]
    embedding = layers.Dense(width, use_bias=False, dtype=dtype, name=f"judged_class{suffix}")
    any_class = layers.Dense(1, dtype=dtype, name=f"any_class{suffix}")(features)
    this_class = layers.Dot(1, dtype=dtype, name=f"this_class{suffix}")(
        [features, embedding(one_hot)]
    )
    return layers.Add(dtype=dtype, name=f"logits{suffix}")([any_class, this_class])
