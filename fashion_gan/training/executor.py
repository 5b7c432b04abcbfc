"""Executions of several train steps: one launch for many steps, in a loop or in Keras' function.

Keras compiles one step and loops outside, where each step costs a launch and a batch that is made
and handed over. The compiled loop keeps the images where they are, is compiled with the step, and
makes an execution one launch with a table of indices.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.data.image_dataset import ImageDataset, flip_images
from fashion_gan.models.introspection import first_conv_layer
from fashion_gan.training.resume import ResumeState
from fashion_gan.training.xla import COMPILE_ERRORS, compile_or_fall_back
from fashion_gan.typing import Images, Labels

__all__ = ["Executor"]


class Executor:
    """Executes the steps of `fit()` and `evaluate()`; it is what Keras calls with an iterator.

    The compiled loop runs where XLA compiles several steps in an execution, on one replica, from a
    dataset of `data.make_dataset`, and not from one derived from it. Networks that convolve are
    left to Keras, since XLA rounds convolutions differently in a loop. All others were seen to end
    in the same bits.

    Args:
        model: `GAN` whose steps are executed.
        on_compile_error: Called with XLA's error if it cannot compile the first execution; turns
            XLA off.
    """

    def __init__(self, model: keras.Model, on_compile_error: Callable[[Exception], None]) -> None:
        self._model = model
        self._on_compile_error = on_compile_error
        self._source: Any = None
        self._train: Callable[[Any], Any] | None = None
        self._test: Callable[[Any], Any] | None = None
        self._compiled: set[str] = set()  # functions that XLA has compiled once
        self.loop: Any = None
        self.resume = ResumeState()

    def set_train_function(self, function: Callable[[Any], Any]) -> None:
        """Sets Keras' function for train steps and makes the loop anew."""
        self._train = function
        self._compiled.discard("train")
        self.loop = self._make_loop()

    def set_test_function(self, function: Callable[[Any], Any]) -> None:
        """Sets Keras' function for test steps."""
        self._test = function
        self._compiled.discard("test")

    def train(self, iterator: Any) -> Any:
        """Executes train steps, or skips them if they are done already."""
        if self.resume.num_batches:
            for _ in range(1 if self._source else self._model.steps_per_execution):
                next(iterator)
            self.resume.num_batches -= self._model.steps_per_execution
            return self._model.get_metrics_result()
        if self._source is not None and isinstance(iterator, tf.data.Iterator):
            return self._run_loop(next(iterator))
        return self._run("train", iterator)

    def test(self, iterator: Any) -> Any:
        """Executes test steps."""
        return self._run("test", iterator)

    @contextmanager
    def feed(self, x: Any) -> Iterator[Any]:
        """Yields what `fit()` has to iterate over: `x`, or the indices of its images."""
        before, self._source = self._source, self._usable_source(x)
        try:
            yield self._source.index_batches(self._model.steps_per_execution) if self._source else x
        finally:
            self._source = before

    def _usable_source(self, x: Any) -> Any:
        model = self._model
        if (
            model.steps_per_execution > 1
            and model.jit_compile
            and not model.run_eagerly
            and model.distribute_strategy.num_replicas_in_sync == 1
            and first_conv_layer((model.generator, model.discriminator)) is None
        ):
            return x.indexed_images if isinstance(x, ImageDataset) else None
        return None

    def _run(self, name: str, iterator: Any) -> Any:
        """Runs Keras' function; the first time such that XLA may fail, if it is not a demand."""

        def function(iterator: Any) -> Any:
            return (self._train if name == "train" else self._test)(iterator)  # type: ignore[misc]

        if name in self._compiled or not self._model.may_fall_back:
            return function(iterator)

        def disable(error: Exception) -> Callable[[Any], Any]:
            self._on_compile_error(error)
            return function

        logs = compile_or_fall_back(function, iterator, self._model.steps_per_execution, disable)
        self._compiled.add(name)
        return logs

    def _run_loop(self, execution: dict[str, Any]) -> Any:
        try:
            return self.loop(*self._source.on_device, **execution)
        except COMPILE_ERRORS as error:
            if not self._model.may_fall_back:
                raise
            self._on_compile_error(error)
            return self.loop(*self._source.on_device, **execution)

    def _make_loop(self) -> Any:
        step = tf.function(self._model.train_step, autograph=False, reduce_retracing=True)

        @tf.function(jit_compile=self._model.jit_compile, autograph=False, reduce_retracing=True)
        def loop(
            images: Images,
            lookup_table: Any,
            labels: Labels,
            indices: Any,
            steps: Any,
            **mirroring: Any,
        ) -> Any:
            def batch(i: Any) -> Any:
                picked = tf.gather(images, indices[i])
                if lookup_table is not None:
                    picked = tf.gather(lookup_table, tf.cast(picked, tf.int32))
                if mirroring:
                    picked = flip_images(picked, mirroring["flips"][i])
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

        return loop
