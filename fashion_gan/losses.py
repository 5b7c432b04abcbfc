"""Adversarial losses: what each network minimises, per example, on the discriminator's logits."""

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from fashion_gan.registry import resolve

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
    """Two formulas on logits: `discriminator(real, fake)` and `generator(real, fake)`.

    Logits have shape `(batch, 1)` and any floating dtype; both methods return one loss per example,
    of the same shape and dtype. The model reduces them to a mean, and scales for replicas.

    Attributes:
        paired: whether the generator's loss looks at the real logits. If not, they are not computed
            for it, and `real` is None.
    """

    paired = False

    @abstractmethod
    def discriminator(self, real: Any, fake: Any) -> Any:
        """Loss of the discriminator for each pair of a real and a fake logit."""

    @abstractmethod
    def generator(self, real: Any, fake: Any) -> Any:
        """Loss of the generator for each fake logit, or for each pair if the loss is `paired`."""

    def boundary(self, real: Any, fake: Any) -> Any:
        """The logit above which the discriminator holds an image for real; by default 0."""
        return 0.0

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

    Args:
        label_smoothing: the discriminator's target for reals is lower than 1 by so much; that for
            fakes stays 0, since smoothing it would reward the generator where it stands.

    Raises:
        ValueError: unless `0 <= label_smoothing < 0.5`.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.
        Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.4: one-sided smoothing.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(
                f"Expected 0 <= label_smoothing < 0.5. Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`(softplus(-real) + softplus(fake)) / 2`, plus `label_smoothing * real / 2`."""
        loss = (ops.softplus(-real) + ops.softplus(fake)) / 2
        return loss + self.label_smoothing / 2 * real if self.label_smoothing else loss

    def generator(self, real: Any, fake: Any) -> Any:
        """`softplus(-fake)`."""
        return ops.softplus(-fake)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("fashion_gan")
class Minimax(BinaryCrossentropy):
    r"""The game of the first paper: the generator minimises $\log(1 - D(G(z)))$.

    Its gradient vanishes where the discriminator is sure, as it is early in training.

    References:
        Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1.
    """

    def generator(self, real: Any, fake: Any) -> Any:
        """`-softplus(fake)`."""
        return -ops.softplus(fake)


@keras.saving.register_keras_serializable("fashion_gan")
class LeastSquares(AdversarialLoss):
    """Squared distances of the outputs to 1 for real and 0 for fake; to 1 for the generator.

    References:
        Mao et al. 2017, https://arxiv.org/abs/1611.04076, equation 9.
    """

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`((real - 1)² + fake²) / 2`."""
        return (ops.square(real - 1) + ops.square(fake)) / 2

    def generator(self, real: Any, fake: Any) -> Any:
        """`(fake - 1)² / 2`."""
        return ops.square(fake - 1) / 2

    def boundary(self, real: Any, fake: Any) -> Any:
        """Half-way between both targets."""
        return 0.5


@keras.saving.register_keras_serializable("fashion_gan")
class Hinge(AdversarialLoss):
    """A margin of 1 on each side for the discriminator, the plain output for the generator.

    References:
        Lim and Ye 2017, https://arxiv.org/abs/1705.02894; Miyato et al. 2018,
        https://arxiv.org/abs/1802.05957, equations 16 and 17.
    """

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`relu(1 - real) + relu(1 + fake)`."""
        return ops.relu(1 - real) + ops.relu(1 + fake)

    def generator(self, real: Any, fake: Any) -> Any:
        """`-fake`."""
        return -fake


@keras.saving.register_keras_serializable("fashion_gan")
class Wasserstein(AdversarialLoss):
    """The difference of the outputs; needs a penalty that bounds the discriminator's slope.

    References:
        Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, equation 2.
    """

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`fake - real`."""
        return fake - real

    def generator(self, real: Any, fake: Any) -> Any:
        """`-fake`."""
        return -fake

    def boundary(self, real: Any, fake: Any) -> Any:
        """Half-way between the means of the batch, since only differences count."""
        return (ops.mean(real) + ops.mean(fake)) / 2


@keras.saving.register_keras_serializable("fashion_gan")
class Relativistic(AdversarialLoss):
    """Each side wants to beat its paired rival.

    References:
        Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734, equations 6 and 7; Huang et al.
        2024, https://arxiv.org/abs/2501.05441, equation 2, with R1 and R2 beside it.
    """

    paired = True

    def discriminator(self, real: Any, fake: Any) -> Any:
        """`softplus(fake - real)`."""
        return ops.softplus(fake - real)

    def generator(self, real: Any, fake: Any) -> Any:
        """`softplus(real - fake)`."""
        return ops.softplus(real - fake)

    def boundary(self, real: Any, fake: Any) -> Any:
        """Half-way between the means of the batch, since only differences count."""
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
    """Resolve a name of `LOSSES`, a dict with it, a serialised loss or a loss to a loss.

    Raises:
        ValueError: for anything else; the message lists the names.
    """
    return resolve(identifier, AdversarialLoss, LOSSES, "loss")
