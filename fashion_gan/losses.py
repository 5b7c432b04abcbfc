"""Provides adversarial losses of both networks, per example, on the discriminator's logits."""

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from fashion_gan.registry import resolve
from fashion_gan.typing import Logits, Tensor

__all__ = [
    "LOSSES",
    "AdversarialLoss",
    "BinaryCrossentropy",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "Relativistic",
    "Wasserstein",
    "get",
]


class AdversarialLoss(ABC):
    """Computes two losses on logits: `discriminator(real, fake)` and `generator(real, fake)`.

    Logits have shape `(batch, 1)` and any floating dtype. Both methods return one loss per example,
    of the same shape and dtype. The model reduces them to a mean and scales the mean for replicas.

    Args:
        label_flip_rate: Fraction of pairs of a real and a fake image whose labels are exchanged in
            the discriminator's loss, at random in each step. Label flipping keeps the discriminator
            from saturating. Defaults to 0.

    Attributes:
        uses_real_logits: Whether the generator's loss uses the real logits. If not, they are not
            computed for it, and `real` is None.

    Raises:
        ValueError: Unless `0 <= label_flip_rate < 0.5`.

    References:
        Chintala et al. 2016, https://github.com/soumith/ganhacks, number 6: flipped labels.
    """

    uses_real_logits = False

    def __init__(self, label_flip_rate: float = 0.0) -> None:
        if not 0 <= label_flip_rate < 0.5:
            raise ValueError(
                f"Expected 0 <= label_flip_rate < 0.5. Received: label_flip_rate={label_flip_rate}."
            )
        self.label_flip_rate = label_flip_rate

    @abstractmethod
    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns the discriminator's loss for each pair of a real and a fake logit."""

    @abstractmethod
    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns the generator's loss for each fake logit, or for each pair of logits."""

    def flip_labels(self, real: Logits, fake: Logits, uniform: Tensor) -> tuple[Logits, Logits]:
        """Exchanges the real and fake logits of some pairs.

        Args:
            real: Logits of the real images.
            fake: Logits of the fake images.
            uniform: Random numbers in [0, 1) of the shape of the logits. A pair is exchanged where
                its number is below `label_flip_rate`.

        Returns:
            The pair `(real, fake)` of logits.
        """
        flipped = uniform < self.label_flip_rate
        return ops.where(flipped, fake, real), ops.where(flipped, real, fake)

    def decision_threshold(self, real: Logits, fake: Logits) -> Tensor:
        """Returns the logit above which an image is classified as real. Defaults to 0."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"label_flip_rate": self.label_flip_rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AdversarialLoss":
        """Returns the loss that `get_config()` describes."""
        return cls(**config)


@keras.saving.register_keras_serializable("fashion_gan")
class BinaryCrossentropy(AdversarialLoss):
    r"""Computes the cross-entropy with targets 0 for fake and 1 for real.

    The discriminator's loss is the mean over both halves of the batch, as in a single
    cross-entropy over fakes and reals together: $(-\log D(x) - \log(1 - D(G(z)))) / 2$.
    The generator's targets are all 1: the non-saturating $-\log D(G(z))$.

    Args:
        label_smoothing: Amount by which the discriminator's target for reals is below 1. The
            target for fakes stays 0, since smoothing it would reinforce the present fakes. Defaults
            to 0.
        label_flip_rate: Fraction of pairs whose labels are exchanged, see `AdversarialLoss`.
            Defaults to 0.

    Raises:
        ValueError: Unless `0 <= label_smoothing < 0.5` and `0 <= label_flip_rate < 0.5`.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.
        Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.4: one-sided smoothing.
    """

    def __init__(self, label_smoothing: float = 0.0, label_flip_rate: float = 0.0) -> None:
        super().__init__(label_flip_rate)
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(
                f"Expected 0 <= label_smoothing < 0.5. Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `(softplus(-real) + softplus(fake)) / 2 + label_smoothing * real / 2`."""
        loss = (ops.softplus(-real) + ops.softplus(fake)) / 2
        return loss + self.label_smoothing / 2 * real if self.label_smoothing else loss

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `softplus(-fake)`."""
        return ops.softplus(-fake)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"label_smoothing": self.label_smoothing, **super().get_config()}


@keras.saving.register_keras_serializable("fashion_gan")
class Minimax(BinaryCrossentropy):
    r"""Computes the minimax loss: the generator minimizes $\log(1 - D(G(z)))$.

    Its gradient vanishes where the discriminator is confident, as it is early in training.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1.
    """

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `-softplus(fake)`."""
        return -ops.softplus(fake)


@keras.saving.register_keras_serializable("fashion_gan")
class LeastSquares(AdversarialLoss):
    """Computes squared distances of the outputs to 1 for real and 0 for fake.

    The generator's target is 1.

    References:
        Mao et al. 2017, https://arxiv.org/abs/1611.04076, equation 9.
    """

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `((real - 1)² + fake²) / 2`."""
        return (ops.square(real - 1) + ops.square(fake)) / 2

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `(fake - 1)² / 2`."""
        return ops.square(fake - 1) / 2

    def decision_threshold(self, real: Logits, fake: Logits) -> Tensor:
        """Returns 0.5, the midpoint of both targets."""
        return 0.5


@keras.saving.register_keras_serializable("fashion_gan")
class Hinge(AdversarialLoss):
    """Computes the hinge loss: a margin of 1 on each side for the discriminator.

    The generator's loss is the negative output.

    References:
        Lim and Ye 2017, https://arxiv.org/abs/1705.02894; Miyato et al. 2018,
        https://arxiv.org/abs/1802.05957, equations 16 and 17.
    """

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `relu(1 - real) + relu(1 + fake)`."""
        return ops.relu(1 - real) + ops.relu(1 + fake)

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `-fake`."""
        return -fake


@keras.saving.register_keras_serializable("fashion_gan")
class Wasserstein(AdversarialLoss):
    """Computes the difference of the outputs.

    Combine it with a gradient penalty.

    References:
        Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, equation 2.
    """

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `fake - real`."""
        return fake - real

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `-fake`."""
        return -fake

    def decision_threshold(self, real: Logits, fake: Logits) -> Tensor:
        """Returns the midpoint of the mean real and fake logits, since only differences matter."""
        return (ops.mean(real) + ops.mean(fake)) / 2


@keras.saving.register_keras_serializable("fashion_gan")
class Relativistic(AdversarialLoss):
    """Computes the relativistic pairing loss on the differences of paired logits.

    References:
        Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734, equations 6 and 7; Huang et al.
        2024, https://arxiv.org/abs/2501.05441, equation 2, combined with R1 and R2.
    """

    uses_real_logits = True

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `softplus(fake - real)`."""
        return ops.softplus(fake - real)

    def generator(self, real: Logits, fake: Logits) -> Tensor:
        """Returns `softplus(real - fake)`."""
        return ops.softplus(real - fake)

    def decision_threshold(self, real: Logits, fake: Logits) -> Tensor:
        """Returns the midpoint of the mean real and fake logits, since only differences matter."""
        return (ops.mean(real) + ops.mean(fake)) / 2


LOSSES: dict[str, type[AdversarialLoss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "minimax": Minimax,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
    "relativistic": Relativistic,
}


def get(identifier: str | dict[str, Any] | AdversarialLoss) -> AdversarialLoss:
    """Resolves a name of `LOSSES`, a dict with a name, a config or a loss to a loss.

    Raises:
        ValueError: If `identifier` is anything else. The message lists the names.
    """
    return resolve(identifier, AdversarialLoss, LOSSES, "loss")
