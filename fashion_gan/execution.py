"""Many train steps in one compiled loop, which picks the batches itself.

Keras compiles one step and loops outside, where each step costs a launch and a batch that is made
and handed over. Here the images stay where they are, the loop is compiled with the step, and an
execution is one launch with a table of indices.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from fashion_gan import xla
from fashion_gan.pair import Pair

__all__ = ["Execution"]


class Execution:
    """The executions of a model in `fit()`: Keras' own, or a compiled loop.

    The loop runs where XLA compiles several steps in an execution, on one replica, from a dataset
    with a `source`, which those of `data.make_dataset` have and those derived from them have not.
    Networks that convolve are left to Keras: in a loop XLA rounds convolutions otherwise. All
    others were seen to end in the same bits.
    """

    def __init__(self, model: Pair) -> None:
        self._model = model
        self._source: Any = None
        self.loop: Any = None  # once `function` has made it

    @contextmanager
    def fed(self, x: Any) -> Iterator[Any]:
        """What `fit()` is to iterate over in this context: `x`, or the indices of its images."""
        before, self._source = self._source, self._usable_source(x)
        try:
            yield self._source.executions(self._model.steps_per_execution) if self._source else x
        finally:
            self._source = before

    def _usable_source(self, x: Any) -> Any:
        model = self._model
        if (
            model.steps_per_execution > 1
            and model.jit_compile
            and not model.run_eagerly
            and model.distribute_strategy.num_replicas_in_sync == 1
            and xla.convolution((model.generator, model.discriminator)) is None
        ):
            return getattr(x, "source", None)
        return None

    def function(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """Keras' `train`, or the loop in a context that feeds it."""
        step = tf.function(self._model.train_step, autograph=False, reduce_retracing=True)

        @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
        def loop(images: Any, shades: Any, labels: Any, indices: Any, steps: Any) -> Any:
            def batch(i: Any) -> Any:
                picked = tf.gather(images, indices[i])
                if shades is not None:
                    picked = tf.gather(shades, tf.cast(picked, tf.int32))
                return picked if labels is None else (picked, tf.gather(labels, indices[i]))

            # The loop needs logs of the right kind to begin with.
            size = indices.shape[1]
            element = tf.TensorSpec((size, *images.shape[1:]), tf.float32)
            if labels is not None:
                element = (element, tf.TensorSpec((size,), labels.dtype))
            traced = step.get_concrete_function(element)
            none = tf.nest.map_structure(
                lambda log: tf.zeros(log.shape, log.dtype), traced.structured_outputs
            )
            _, logs = tf.while_loop(
                lambda i, _: i < steps,
                lambda i, _: (i + 1, step(batch(i))),
                (tf.constant(0), none),
            )
            return logs

        self.loop = loop

        def loop_or_train(iterator: Any) -> Any:
            if self._source is None or not isinstance(iterator, tf.data.Iterator):
                return train(iterator)
            return loop(*self._source.resident, **next(iterator))

        return loop_or_train

    def drop(self, iterator: Any) -> None:
        """Draw the batches of one execution, and drop them."""
        for _ in range(1 if self._source else self._model.steps_per_execution):
            next(iterator)
