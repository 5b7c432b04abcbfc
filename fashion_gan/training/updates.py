"""Updates and freezes networks, and tracks means of logs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fashion_gan.training.distribute import scale_loss_for_replicas

__all__ = ["MeanTracker", "frozen", "minimize"]


def frozen(network: keras.Model, compute: Callable[[], Any]) -> Any:
    """Runs `compute()` without updating any weight of `network`.

    Seed generators still advance, so that dropout masks are not reused.

    Args:
        network: Network whose weights are frozen.
        compute: Function to run.

    Returns:
        The result of `compute()`.
    """
    with keras.StatelessScope() as scope:
        result = compute()
    weights = {id(weight) for weight in network.weights}
    for variable in network.variables:
        value = scope.get_current_value(variable)
        if id(variable) not in weights and value is not None:
            variable.assign(value)
    return result


def minimize(
    loss_fn: Callable[..., tuple[Any, dict[str, Any]]],
    parts: Sequence[tuple[Any, ...]],
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    log_gradients: bool = False,
) -> dict[str, Any]:
    """Updates a network once by the gradient of a loss, averaged over the parts of a batch.

    Parts run one after the other, so that only one of them is in memory.

    Args:
        loss_fn: Function of a part that returns the scalar loss of this replica and a dict of logs.
        parts: Arguments of `loss_fn`, a tuple for each part of the batch.
        network: Network whose trainable variables are updated.
        optimizer: Optimizer that is built for these variables.
        log_gradients: Whether to add `gradient_norm`, the norm of the unscaled gradient, and
            `update_ratio`, the norm of the update divided by the norm of the weights. Each replica
            reports its own part of the gradient, times the number of replicas. Defaults to False.

    Returns:
        The logs, averaged over the parts.
    """
    variables = network.trainable_variables
    gradients, logs = _gradients(loss_fn, parts[0], variables, optimizer)
    for part in parts[1:]:
        with tf.control_dependencies([g for g in gradients if g is not None]):
            more, more_logs = _gradients(loss_fn, part, variables, optimizer)
        gradients = [_add(a, b) for a, b in zip(gradients, more, strict=True)]
        logs = {name: value + more_logs[name] for name, value in logs.items()}
    if len(parts) > 1:
        gradients = [g if g is None else tf.convert_to_tensor(g) / len(parts) for g in gradients]
        logs = {name: value / len(parts) for name, value in logs.items()}
    before = [ops.copy(variable) for variable in variables] if log_gradients else []
    _apply(optimizer, list(zip(gradients, variables, strict=True)))
    if not log_gradients:
        return logs
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    updates = [variable - old for variable, old in zip(variables, before, strict=True)]
    return {
        **logs,
        "gradient_norm": _norm(gradients) * replicas / optimizer.scale_loss(1.0),
        "update_ratio": _norm(updates) / _norm(before),
    }


def _gradients(
    loss_fn: Callable[..., tuple[Any, dict[str, Any]]],
    part: tuple[Any, ...],
    variables: list[Any],
    optimizer: keras.optimizers.Optimizer,
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the gradients of the scaled loss of a part, and its logs."""
    with tf.GradientTape() as tape:
        loss, logs = loss_fn(*part)
        scaled = optimizer.scale_loss(scale_loss_for_replicas(loss))
    return tape.gradient(scaled, variables), logs


def _add(a: Any, b: Any) -> Any:
    """Returns the sum of two gradients, of which either may be None."""
    if a is None or b is None:
        return b if a is None else a
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)  # an embedding's are sparse


def _apply(optimizer: keras.optimizers.Optimizer, pairs: list[tuple[Any, Any]]) -> None:
    """Applies gradients, after a sum over several replicas.

    Keras also sums the gradients of a single replica, by a custom gradient. TensorFlow never
    releases it, nor the graph of the step. Keras omits this sum outside of a replica context.
    """
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if tf.distribute.has_strategy() or scaled:
        optimizer.apply_gradients(pairs)
    else:
        context = tf.distribute.get_replica_context()
        context.merge_call(lambda strategy: optimizer.apply_gradients(pairs))


def _norm(tensors: list[Any]) -> Any:
    """Computes the joint Euclidean norm of several tensors.

    Rows are summed by a product with ones, since XLA's sums are several times slower on a CPU.
    """
    sums = []
    for tensor in tensors:
        rows = ops.reshape(tensor, (-1, tensor.shape[-1] if tensor.shape else 1))
        sums.append(ops.sum(ops.square(rows) @ ops.ones((rows.shape[-1], 1), rows.dtype)))
    return ops.sqrt(sum(sums))


class MeanTracker(keras.metrics.Metric):
    """Tracks running means of several numbers in one variable, with one update in each step.

    Replicas average their numbers before each update. All replicas then hold the same means, and
    reading them on one worker does not wait for the other workers. The means are not saved with the
    model, since each epoch resets them.

    Args:
        names: Names of the numbers.
        **kwargs: Arguments of `keras.metrics.Metric`.
    """

    def __init__(self, names: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.totals = keras.Variable(
            "zeros", (len(self.names),), dtype=self.dtype, trainable=False, name="totals"
        )
        self.batches = keras.Variable("zeros", (), dtype="int64", trainable=False, name="batches")

    def update_state(self, numbers: dict[str, Any]) -> None:
        """Adds scalars by name, 0 for missing names. Scalars of other names are ignored."""
        values = [numbers.get(name, 0.0) for name in self.names]
        stacked = ops.stack([ops.cast(value, self.totals.dtype) for value in values])
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            stacked = tf.distribute.get_replica_context().all_reduce("MEAN", stacked)
        self.totals.assign_add(stacked)
        self.batches.assign_add(1)

    def result(self) -> dict[str, Any]:
        """Returns the mean for each name, or NaN before the first update."""
        means = self.totals / ops.cast(self.batches, self.totals.dtype)
        return dict(zip(self.names, ops.unstack(means), strict=True))

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing."""
