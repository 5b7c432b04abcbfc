"""Adversarial losses: what each network minimises, per example, on the discriminator's logits."""

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from fashion_gan.registry import lookup

__all__ = ["LOSSES", "AdversarialLoss", "BinaryCrossentropy", "get"]


class AdversarialLoss(ABC):
    """Two formulas on logits: `discriminator(real, fake)` and `generator(fake)`.

    Logits have shape `(batch, 1)` and any floating dtype; both methods return one loss per example,
    of the same shape and dtype. The model reduces them to a mean, and scales for replicas.
    """

    @abstractmethod
    def discriminator(self, real: Any, fake: Any) -> Any:
        """Loss of the discriminator for each pair of a real and a fake logit."""

    @abstractmethod
    def generator(self, fake: Any) -> Any:
        """Loss of the generator for each fake logit."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AdversarialLoss":
        """Rebuild the loss from `get_config()`."""
        return cls(**config)


@keras.saving.register_keras_serializable("fashion_gan")
class BinaryCrossentropy(AdversarialLoss):
    r"""Cross-entropy with targets 0 for fake and 1 for real; the generator's targets are all 1.

    The discriminator's loss is the mean over both halves of the batch, as in a single
    cross-entropy over fakes and reals together: $(-\log D(x) - \log(1 - D(G(z)))) / 2$.
    The generator's is the non-saturating $-\log D(G(z))$.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.
    """

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`(softplus(-real) + softplus(fake)) / 2`."""
        return (ops.softplus(-real) + ops.softplus(fake)) / 2

    def generator(self, fake: Any) -> Any:
        """`softplus(-fake)`."""
        return ops.softplus(-fake)


LOSSES: dict[str, type[AdversarialLoss]] = {"binary_crossentropy": BinaryCrossentropy}


def get(identifier: str | dict[str, Any] | AdversarialLoss) -> AdversarialLoss:
    """Resolve a name of `LOSSES`, a serialised loss or a loss object to a loss object.

    Raises:
        ValueError: for anything else; the message lists the names.
    """
    if isinstance(identifier, AdversarialLoss):
        return identifier
    if isinstance(identifier, dict):
        return get(keras.saving.deserialize_keras_object(identifier))
    return lookup(LOSSES, identifier, "loss")()
