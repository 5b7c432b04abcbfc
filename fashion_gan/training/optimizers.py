"""Builds the two optimizers, and exposes both to Keras' callbacks."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fashion_gan.keras_compat import optimized_variables

__all__ = ["LearningRates", "OptimizerPair", "build_optimizer", "resolve_optimizer"]


def build_optimizer(
    identifier: Any, network: keras.Model, name: str, scale_loss: bool
) -> keras.optimizers.Optimizer:
    """Resolves an optimizer, renames it and builds it for the trainable variables of a network.

    Args:
        identifier: Name, config or optimizer.
        network: Network whose trainable variables the optimizer updates.
        name: Name under which callbacks log the learning rate.
        scale_loss: Whether to wrap the optimizer in a `LossScaleOptimizer`, unless it is one.
            Gradients in float16 then do not underflow, and an overflow does not end training.

    Raises:
        ValueError: If the optimizer was built for other weights.
    """
    optimizer = resolve_optimizer(identifier, name)
    if scale_loss and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.name = name
    variables = network.trainable_variables
    if optimizer.built and [*map(id, optimized_variables(optimizer))] != [*map(id, variables)]:
        raise ValueError(
            f"Expected an optimizer for the {len(variables)} trainable weights of "
            f"{network.name!r}. Received: {name}, which was built for other weights. Pass a new "
            "optimizer."
        )
    optimizer.build(variables)
    return optimizer


def resolve_optimizer(identifier: Any, name: str) -> keras.optimizers.Optimizer:
    """Resolves a name, a config or an optimizer to an optimizer.

    Args:
        identifier: Name, config or optimizer.
        name: Name of the argument, for the error.

    Raises:
        ValueError: If `identifier` is anything else.
    """
    try:
        if isinstance(identifier, dict):  # deserialization would change the caller's dict
            identifier = keras.tree.map_structure(lambda leaf: leaf, identifier)
            if "module" in identifier:
                return keras.saving.deserialize_keras_object(identifier)
        return keras.optimizers.get(identifier)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"Expected an optimizer or the name of one. Received: {name}={identifier!r}. {error}"
        ) from error


class LearningRates(np.lib.mixins.NDArrayOperatorsMixin):
    """Reads the learning rate of the first optimizer, and assigns to all optimizers.

    It can be used as a number in arithmetic.

    Args:
        optimizers: Optimizers whose learning rates are read and set.
    """

    def __init__(self, optimizers: list[keras.optimizers.Optimizer]) -> None:
        self._optimizers = optimizers

    def assign(self, learning_rate: Any) -> None:
        """Sets the learning rate of all optimizers.

        Raises:
            TypeError: If `learning_rate` is a number and an optimizer has a schedule. Then no
                learning rate changes.
        """
        scheduled = [o.name for o in self._optimizers if _has_schedule(o)]
        if scheduled and isinstance(learning_rate, float | int):
            raise TypeError(
                f"Expected optimizers with constant learning rates. Received: {scheduled} with a "
                "schedule. Set the learning rate of the other optimizer, gan.g_optimizer or "
                "gan.d_optimizer."
            )
        for optimizer in self._optimizers:
            optimizer.learning_rate = learning_rate

    def numpy(self) -> Any:
        """Returns the learning rate of the first optimizer as a NumPy scalar."""
        return np.asarray(keras.ops.convert_to_numpy(self._optimizers[0].learning_rate))[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        kwargs.pop("out", None)  # `rates *= 2` returns a number, which the setter assigns to all
        values = [x.numpy() if isinstance(x, LearningRates) else x for x in inputs]
        return getattr(ufunc, method)(*values, **kwargs)

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(self), digits)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec)

    def __float__(self) -> float:
        return float(self.numpy())

    def __repr__(self) -> str:
        rates = {optimizer.name: float(optimizer.learning_rate) for optimizer in self._optimizers}
        return f"LearningRates({rates})"


def _has_schedule(optimizer: keras.optimizers.Optimizer) -> bool:
    learning_rate = optimizer.get_config().get("learning_rate")
    return isinstance(learning_rate, dict)


class OptimizerPair:
    """Exposes both optimizers as `gan.optimizer`, so that Keras' callbacks act on both.

    `LearningRateScheduler` and `ReduceLROnPlateau` set the learning rates of all `optimizers`, and
    `TensorBoard` logs them. A callback for a single optimizer reads the generator's learning rate
    and sets both. `callbacks.ForOptimizer` applies it to one optimizer.

    Args:
        optimizers: Optimizers of the generator and the discriminator.
        iterations: Function that returns the number of train steps.
    """

    built = True

    def __init__(
        self, optimizers: list[keras.optimizers.Optimizer], iterations: Callable[[], Any]
    ) -> None:
        self.optimizers = optimizers
        self._iterations = iterations

    @property
    def iterations(self) -> Any:
        """Returns the number of train steps as an int64 scalar."""
        return self._iterations()

    @property
    def learning_rate(self) -> LearningRates:
        """Returns the learning rate of the generator's optimizer; assignment sets both."""
        return LearningRates(self.optimizers)

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        LearningRates(self.optimizers).assign(learning_rate)

    @property
    def variables(self) -> list[Any]:
        """Returns the variables of both optimizers, which `gan.summary()` counts."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def get_config(self) -> dict[str, Any]:
        """Returns the settings of both optimizers, with prefixed names: `g_optimizer_beta_1`."""
        return {
            f"{optimizer.name}_{setting}": value
            for optimizer in self.optimizers
            for setting, value in optimizer.get_config().items()
        }
