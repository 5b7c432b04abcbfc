"""Executes several train steps in one call, by a compiled loop or by Keras' function.

Keras compiles one step and loops outside, so each step costs a launch and the transfer of a batch.
The compiled loop includes the steps. The images, their labels and their order stay on the device,
where the order of an epoch is computed. An execution is then one launch, for which the host
provides two numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from fashion_gan.data.image_dataset import ImageDataset, IndexedImages, flip_images
from fashion_gan.training.resume import ResumeState
from fashion_gan.training.xla import COMPILE_ERRORS, compile_or_fall_back, has_accelerator
from fashion_gan.typing import Images, Labels

__all__ = ["Executor"]


class Executor:
    """Executes the steps of `fit()` and `evaluate()` when Keras calls it with an iterator.

    The compiled loop runs under these conditions: XLA is on, an execution has several steps, there
    is one replica, and the data is a dataset of `data.make_dataset` without further
    transformations. The conditions do not depend on the position in the training, so a resumed
    training computes the same bits as an uninterrupted one. Networks without convolutions gave the
    same bits by Keras' function in tests. XLA rounds convolutions differently in a loop.

    Args:
        model: `GAN` whose steps are executed.
        on_compile_error: Function that turns XLA off. It is called with the error if XLA cannot
            compile the first execution.
    """

    def __init__(self, model: keras.Model, on_compile_error: Callable[[Exception], None]) -> None:
        self._model = model
        self._on_compile_error = on_compile_error
        self._source: Any = None
        self._order: Any = None  # of the source in the current epoch
        self._train: Callable[[Any], Any] | None = None
        self._test: Callable[[Any], Any] | None = None
        self._compiled: set[str] = set()  # names of functions that XLA has compiled
        self.loop: Any = None
        self.order_of: Any = None
        self.resume = ResumeState()

    def set_train_function(self, function: Callable[[Any], Any]) -> None:
        """Sets Keras' function for train steps and rebuilds the compiled functions."""
        self._train = function
        self._compiled.discard("train")
        self.loop = self._make_loop()
        self.order_of = self._make_order()

    def set_test_function(self, function: Callable[[Any], Any]) -> None:
        """Sets Keras' function for test steps."""
        self._test = function
        self._compiled.discard("test")

    def train(self, iterator: Any) -> Any:
        """Executes train steps, or skips them if they are already finished."""
        in_loop = self._source is not None and isinstance(iterator, tf.data.Iterator)
        if in_loop:
            first, steps = map(int, next(iterator))
            if first == 0:
                epoch = self._source.order.begin()
                self._order = self._run_compiled(lambda: self.order_of(self._source, epoch))
        if self.resume.num_batches:
            for _ in range(0 if in_loop else self._model.steps_per_execution):
                next(iterator)
            self.resume.num_batches -= self._model.steps_per_execution
            return self._model.get_metrics_result()
        if not in_loop:
            return self._run("train", iterator)
        arguments = self.loop_arguments(self._source, self._order, first, steps)
        return self._run_compiled(lambda: self.loop(**arguments))

    def test(self, iterator: Any) -> Any:
        """Executes test steps."""
        return self._run("test", iterator)

    @contextmanager
    def feed(self, x: Any) -> Iterator[Any]:
        """Yields the data for `fit()`: `x`, or the indices of its images for the compiled loop."""
        before = self._source, self._order
        self._source, self._order = self._usable_source(x), None
        try:
            yield self._source.executions(self._model.steps_per_execution) if self._source else x
        finally:
            self._source, self._order = before

    def _usable_source(self, x: Any) -> Any:
        model = self._model
        if (
            model.steps_per_execution > 1
            and model.jit_compile
            and not model.run_eagerly
            and model.distribute_strategy.num_replicas_in_sync == 1
        ):
            return x.indexed_images if isinstance(x, ImageDataset) else None
        return None

    def _run(self, name: str, iterator: Any) -> Any:
        """Runs Keras' function; its first call may fall back if XLA cannot compile it."""

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

    def _run_compiled(self, run: Callable[[], Any]) -> Any:
        """Runs a compiled function, and once more without XLA if XLA cannot compile it."""
        try:
            return run()
        except COMPILE_ERRORS as error:
            if not self._model.may_fall_back:
                raise
            self._on_compile_error(error)
            return run()

    def loop_arguments(
        self, source: IndexedImages, order: Any, first: int, steps: int
    ) -> dict[str, Any]:
        """Returns the arguments of `loop` for an execution.

        On accelerators, the number of steps is part of the program, since XLA otherwise copies the
        loop's condition to the host in each step. On the CPU, one program serves all numbers.

        Args:
            source: Images.
            order: Indices of the epoch, int64 `(num_batches, batch_size)`, from `order_of`.
            first: Number of the first batch.
            steps: Number of batches.
        """
        images, lookup_table, labels = source.on_device
        return {
            "images": images,
            "lookup_table": lookup_table,
            "labels": labels,
            "order": order,
            "first": tf.constant(first, tf.int32),
            "steps": steps if has_accelerator() else tf.constant(steps, tf.int32),
            "mirror": source.mirror,
        }

    def _make_order(self) -> Any:
        """Returns the function of a source and an epoch that computes the order of the images.

        It is compiled on accelerators only. On the CPU, the same operations run without XLA, since
        compiling them takes longer than it saves.
        """
        return tf.function(
            lambda source, epoch: source.order_of(epoch),
            jit_compile=self._model.jit_compile and has_accelerator(),
            autograph=False,
        )

    def _make_loop(self) -> Any:
        step = tf.function(self._model.train_step, autograph=False, reduce_retracing=True)

        @tf.function(jit_compile=self._model.jit_compile, autograph=False, reduce_retracing=True)
        def loop(
            images: Images,
            lookup_table: Any,
            labels: Labels,
            order: Any,
            first: Any,
            steps: Any,
            mirror: bool,
        ) -> Any:
            def batch(i: Any) -> Any:
                rows = tf.gather(order, first + i)
                if mirror:
                    rows, flips = rows % images.shape[0], rows >= images.shape[0]
                picked = tf.gather(images, rows)
                if lookup_table is not None:
                    picked = tf.gather(lookup_table, tf.cast(picked, tf.int32))
                if mirror:
                    picked = flip_images(picked, flips)
                if labels is None:
                    return picked
                return picked, tf.cast(tf.gather(labels, rows), tf.int32)

            # The loop needs initial logs of the right shapes and dtypes.
            size = order.shape[1]
            element = tf.TensorSpec((size, *images.shape[1:]), tf.float32)
            if labels is not None:
                element = (element, tf.TensorSpec((size,), tf.int32))
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
