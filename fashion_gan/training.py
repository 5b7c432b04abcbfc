"""What a train step is made of: freezing a network, updating one, means, and several replicas."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = [
    "Means",
    "check_agreement",
    "frozen",
    "is_chief",
    "on_replicas",
    "replica_share",
    "update",
]


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
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    tape: tf.GradientTape,
    loss: Any,
    measure: bool = False,
) -> dict[str, Any]:
    """One step of `optimizer`, by the gradient of a loss that it has scaled.

    Returns:
        If it is to `measure`, `gradient_norm`, of the unscaled gradient, and `update_ratio`, the
        norm of the step over that of the weights; else nothing, at no cost. Of several replicas,
        each has the norm of its own part of the gradient, times their number.
    """
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    before = [ops.copy(variable) for variable in variables] if measure else []
    _apply(optimizer, list(zip(gradients, variables, strict=True)))
    if not measure:
        return {}
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    steps = [variable - old for variable, old in zip(variables, before, strict=True)]
    return {
        "gradient_norm": _norm(gradients) * replicas / optimizer.scale_loss(1.0),
        "update_ratio": _norm(steps) / _norm(before),
    }


def _apply(optimizer: keras.optimizers.Optimizer, pairs: list[tuple[Any, Any]]) -> None:
    """Move variables by their gradients, which several replicas add up first.

    Keras adds up those of a single one too, in a custom gradient that TensorFlow never lets go of,
    and with it the graph of the step. Outside the context of a replica it leaves that out.
    """
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if tf.distribute.has_strategy() or scaled:
        optimizer.apply_gradients(pairs)
    else:
        context = tf.distribute.get_replica_context()
        context.merge_call(lambda strategy: optimizer.apply_gradients(pairs))


def _norm(tensors: list[Any]) -> Any:
    """The Euclidean norm of all their numbers.

    Rows are added up as a product with ones, since XLA's plain sums take the CPU several times
    as long.
    """
    sums = []
    for tensor in tensors:
        rows = ops.reshape(tensor, (-1, tensor.shape[-1] if tensor.shape else 1))
        sums.append(ops.sum(ops.square(rows) @ ops.ones((rows.shape[-1], 1), rows.dtype)))
    return ops.sqrt(sum(sums))


class Means(keras.metrics.Metric):
    """Running means of several numbers in one variable, so that a step makes one update.

    Several replicas take the mean of theirs before each update, so that all hold the same: what
    reads or saves the means on one worker need not wait for the others.

    They are not saved with the model: an epoch begins with fresh ones.
    """

    def __init__(self, names: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.totals = keras.Variable(
            "zeros", (len(self.names),), dtype=self.dtype, trainable=False, name="totals"
        )
        self.batches = keras.Variable("zeros", (), dtype="int64", trainable=False, name="batches")

    def update_state(self, numbers: dict[str, Any]) -> None:
        """Add a scalar for some of the names; the means of the others are then too low."""
        values = [numbers.get(name, 0.0) for name in self.names]
        stacked = ops.stack([ops.cast(value, self.totals.dtype) for value in values])
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            stacked = tf.distribute.get_replica_context().all_reduce("MEAN", stacked)
        self.totals.assign_add(stacked)
        self.batches.assign_add(1)

    def result(self) -> dict[str, Any]:
        """The mean for each name; NaN before the first update."""
        means = self.totals / ops.cast(self.batches, self.totals.dtype)
        return dict(zip(self.names, ops.unstack(means), strict=True))

    def save_own_variables(self, store: Any) -> None:
        """Save nothing."""

    def load_own_variables(self, store: Any) -> None:
        """Load nothing."""


def on_replicas(
    model: keras.Model, step: Callable[[Any], Any], logs: Callable[[], dict[str, Any]]
) -> Callable[[Any], dict[str, Any]]:
    """An execution of `step` on all replicas, as `model.train_function` or `model.test_function`.

    Keras' own reduces what the step returns, in which it fails on several workers if that is
    scalars, and calls a function within its loop, in which TensorFlow's collectives fail. This one
    returns `logs()` after the last step, and runs the step in the loop itself.

    References:
        https://github.com/keras-team/keras/issues/20585 and 19246.
    """
    strategy = model.distribute_strategy

    def execute(iterator: Any) -> tuple[Any, dict[str, Any]]:
        def run_one(done: Any, _: Any) -> tuple[Any, Any]:
            batch = iterator.get_next_as_optional()

            def run() -> Any:
                strategy.run(step, args=(batch.get_value(),))
                return done + 1

            return tf.cond(batch.has_value(), run, lambda: done), batch.has_value()

        done, _ = tf.while_loop(
            lambda done, more: tf.logical_and(more, done < model.steps_per_execution),
            run_one,
            (tf.constant(0), tf.constant(True)),
        )
        return done, logs()

    if not model.run_eagerly:
        execute = tf.function(execute, autograph=False, reduce_retracing=True)

    def function(iterator: Any) -> dict[str, Any]:
        done, numbers = execute(iterator)
        if done == 0:
            raise StopIteration
        return numbers

    return function


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files: the only one, or the first of several."""
    cluster = strategy.cluster_resolver
    if cluster is None or cluster.task_type in (None, "", "chief"):
        return True
    has_chief = "chief" in cluster.cluster_spec().jobs
    return cluster.task_type == "worker" and cluster.task_id == 0 and not has_chief


def check_agreement(strategy: tf.distribute.Strategy, what: str, value: Any) -> None:
    """Make sure that `value` prints alike on all workers; each of them must call this.

    Raises:
        ValueError: on every worker, if it does not.
    """
    digest = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:7], "big")
    mine = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([digest]))
    if len(set(strategy.gather(mine, axis=0).numpy().tolist())) > 1:
        raise ValueError(f"The workers differ in {what}. Here it is: {value!r}.")
