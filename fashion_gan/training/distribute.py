"""Distributes steps over replicas, and checks that workers agree."""

import hashlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = [
    "assert_equal_on_workers",
    "distributed_step",
    "is_chief",
    "local_replicas",
    "mean_over_replicas",
    "scale_loss_for_replicas",
]


def scale_loss_for_replicas(loss: Any) -> Any:
    """Divides a loss by the number of replicas, since optimizers sum gradients over replicas."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def distributed_step(
    model: keras.Model, step: Callable[[Any], Any], logs: Callable[[], dict[str, Any]]
) -> Callable[[Any], dict[str, Any]]:
    """Returns a train or test function that executes `step` on all replicas.

    Keras' function reduces the results of the step, which fails for scalars on several workers. It
    also calls a function within its loop, in which TensorFlow's collectives fail. This function
    runs the step in the loop itself and returns `logs()` after the last step.

    Args:
        model: GAN whose strategy and settings are used.
        step: Function of a batch that runs one step.
        logs: Function that returns the logs.

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
    """Returns whether this process writes files: the only process, or the first worker."""
    cluster = strategy.cluster_resolver
    if cluster is None or cluster.task_type in (None, "", "chief"):
        return True
    has_chief = "chief" in cluster.cluster_spec().jobs
    return cluster.task_type == "worker" and cluster.task_id == 0 and not has_chief


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of replicas that this process runs, each in a thread."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def mean_over_replicas(strategy: tf.distribute.Strategy, value: float) -> float:
    """Returns the mean of a number over all replicas. Each worker must call this function.

    Args:
        strategy: Strategy of the replicas.
        value: Number on this worker.
    """
    if strategy.num_replicas_in_sync == 1:
        return value
    mine = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([value], "float64")
    )
    return float(strategy.gather(mine, axis=0).numpy().mean())


def assert_equal_on_workers(strategy: tf.distribute.Strategy, what: str, value: Any) -> None:
    """Checks that `value` has the same `repr` on all workers. Each worker must call this function.

    Args:
        strategy: Strategy of the workers.
        what: Description of the value, for the error.
        value: Value to compare.

    Raises:
        ValueError: On every worker, if the values differ.
    """
    digest = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:7], "big")
    mine = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([digest]))
    if len(set(strategy.gather(mine, axis=0).numpy().tolist())) > 1:
        raise ValueError(f"The workers differ in {what}. This worker has {value!r}.")
