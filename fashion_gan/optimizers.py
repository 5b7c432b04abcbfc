"""The two optimisers: made ready for their networks, and as Keras' callbacks look for them."""

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["OptimizerPair", "make"]


def make(
    identifier: Any, network: keras.Model, name: str, scale_loss: bool
) -> keras.optimizers.Optimizer:
    """The optimiser that Keras finds for `identifier`, renamed and built for `network`.

    Args:
        identifier: a name, a config or an optimiser.
        network: whose trainable variables it will update.
        name: under which callbacks log its learning rate.
        scale_loss: wrap it in a `LossScaleOptimizer`, if it is not one: gradients in float16 then
            neither vanish nor end training when they overflow.
    """
    optimizer = keras.optimizers.get(identifier)
    if scale_loss and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.name = name
    optimizer.build(network.trainable_variables)
    return optimizer


class OptimizerPair:
    """What `gan.optimizer` is: Keras' callbacks find both optimisers, and act on both.

    `LearningRateScheduler` and `ReduceLROnPlateau` set, and `TensorBoard` logs, the learning rate
    of each of `optimizers`. A callback that knows of one alone reads the first one's, the
    generator's; `callbacks.OneOptimizer` shows it the other.
    """

    built = True

    def __init__(
        self, optimizers: list[keras.optimizers.Optimizer], iterations: Callable[[], Any]
    ) -> None:
        self.optimizers = optimizers
        self._iterations = iterations

    @property
    def iterations(self) -> Any:
        """Number of train steps, an int64 scalar."""
        return self._iterations()

    @property
    def learning_rate(self) -> Any:
        """That of the first optimiser."""
        return self.optimizers[0].learning_rate

    @property
    def variables(self) -> list[Any]:
        """Those of all of them, which `gan.summary()` counts."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def get_config(self) -> dict[str, Any]:
        """The settings of all of them, each after its optimiser's name: `g_optimizer_beta_1`."""
        return {
            f"{optimizer.name}_{setting}": value
            for optimizer in self.optimizers
            for setting, value in optimizer.get_config().items()
        }
