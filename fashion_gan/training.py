"""What a train step is made of: freezing a network, updating one, and running means."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = ["Means", "frozen", "replica_share", "update"]


def frozen(network: keras.Model, compute: Callable[[], Any]) -> Any:
    """`compute()`, with every assignment to a weight of `network` left undone.

    Only the random state of its layers moves on, so that no dropout mask comes twice.
    """
    with keras.StatelessScope() as scope:
        result = compute()
    weights = {id(weight) for weight in network.weights}
    for variable in network.variables:
        value = scope.get_current_value(variable)
        if id(variable) not in weights and value is not None:
            variable.assign(value)
    return result


def replica_share(loss: Any) -> Any:
    """A replica's mean loss as its part of the global one: optimisers add up the gradients."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def update(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, loss: Any
) -> None:
    """One step of `optimizer`, by the gradient of a loss that it has scaled."""
    variables = network.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


class Means(keras.metrics.Metric):
    """Running means of several numbers in one variable, so that a step makes one update."""

    def __init__(self, names: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = names
        self.totals = self.add_variable((len(names),), initializer="zeros", name="totals")
        self.batches = self.add_variable((), initializer="zeros", dtype="int64", name="batches")

    def update_state(self, values: list[Any]) -> None:
        """Add one scalar for each name."""
        self.totals.assign_add(ops.cast(ops.stack(values), self.totals.dtype))
        self.batches.assign_add(1)

    def result(self) -> dict[str, Any]:
        """The mean for each name; 0 before the first update."""
        means = self.totals / ops.cast(ops.maximum(self.batches, 1), self.totals.dtype)
        return dict(zip(self.names, ops.unstack(means), strict=True))
