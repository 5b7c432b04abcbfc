"""Infers the properties of a network from the operations that it performs.

The attributes of a layer hold its settings, and the traced graph shows what it computes. A sigmoid
is therefore found in an activation, a function, a lambda or the `call` of a subclass.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fashion_gan.keras_compat import is_eager, iter_layers, sigmoid_logits

__all__ = [
    "build_network",
    "computes_in_float16",
    "ends_in_sigmoid",
    "fingerprint",
    "first_conv_layer",
    "has_losses",
    "infer_latent_dim",
    "infer_num_classes",
    "infer_value_range",
    "input_shapes",
    "logits_function",
    "output_bounds",
]

_SHAPE_OPS = {"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "EnsureShape"}
_CALL_OPS = {"PartitionedCall", "StatefulPartitionedCall", "PyFunc", "EagerPyFunc"}
_PROBE_SCALES = (1e3, 3e4)  # both finite in float16
_VOLATILE = {"_called", "trainable", "_losses", "_loss_ids", "_metrics"}
"""Attributes whose changes do not affect what a layer computes."""


def input_shapes(network: keras.Layer) -> list[tuple[int | None, ...]] | None:
    """Returns the input shapes that a built network declares, or None if it declares none.

    A subclass of `keras.Model` declares no shapes, even after a call.
    """
    try:
        declared = network.inputs if isinstance(network, keras.Model) else None
        if declared:
            return [tuple(tensor.shape) for tensor in keras.tree.flatten(declared)]
        shapes = network.input_shape if network.built else None
    except (AttributeError, ValueError):
        return None
    if shapes is None:
        return None
    return [tuple(shape) for shape in (shapes if isinstance(shapes, list) else [shapes])]


def build_network(network: keras.Layer, inputs: Any) -> tuple[int | None, ...]:
    """Builds a network by a symbolic call, if needed, and returns the shape of its output.

    Args:
        network: Functional, sequential or subclassed model.
        inputs: `keras.Input` or list of `keras.Input`.

    Raises:
        ValueError: If the network cannot be called on such inputs, or does not return a tensor.
    """
    try:
        output = network(inputs)
    except Exception as error:
        shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(inputs)]
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"Expected a network that takes inputs of shape {', '.join(map(str, shapes))}. "
            f"Received: {network.name!r}, which raises {type(error).__name__}: {reason} Pass "
            "latent_dim, and num_classes if the network takes labels, as it expects them."
        ) from error
    if not hasattr(output, "shape"):
        raise ValueError(
            f"Expected a network that returns one tensor. Received: {network.name!r}, which "
            f"returns a {type(output).__name__}. Return the tensor itself."
        )
    return tuple(output.shape)


def infer_latent_dim(generator: keras.Model, latent_dim: int | None) -> int:
    """Returns the size of a latent vector, from the argument or from a built generator.

    Raises:
        ValueError: If neither provides it, or if both differ.
    """
    shapes = input_shapes(generator)
    shape = shapes[0] if shapes else None
    declared = shape[-1] if shape and len(shape) == 2 else None
    size = declared if latent_dim is None else latent_dim
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(
            "Expected latent_dim, or a generator that is built for inputs (batch, latent_dim). "
            f"Received: latent_dim={latent_dim} and a generator for inputs of shape "
            f"{shape or 'unknown'}. Pass latent_dim=64, for instance."
        )
    if latent_dim is not None and shape and latent_dim != declared:
        raise ValueError(
            f"The generator takes inputs of shape {shape}. Received: latent_dim={latent_dim}."
        )
    return int(size)


def infer_num_classes(
    generator: keras.Model, discriminator: keras.Model, num_classes: int | None
) -> int | None:
    """Returns the number of classes of conditional networks, or None for unconditional networks.

    Args:
        generator: Network of latents, or of `[latents, labels]`.
        discriminator: Network of images, or of `[images, labels]`.
        num_classes: Number of classes, or None to read it from an `Embedding` or `OneHot` layer.

    Raises:
        ValueError: If only one network takes labels, or if the number cannot be inferred.
    """
    expected = 1 if num_classes is None else 2
    inputs = [len(input_shapes(n) or [None] * expected) for n in (generator, discriminator)]
    if inputs not in ([1, 1], [2, 2]):
        raise ValueError(
            "Expected a generator of latents and a discriminator of images, or both with labels "
            "(batch,) as a second input. Received: networks with "
            f"{inputs[0]} and {inputs[1]} inputs."
        )
    found = _class_counts(generator)
    if inputs == [1, 1]:
        if num_classes is not None:
            raise ValueError(
                f"Networks without a second input take no labels. "
                f"Received: num_classes={num_classes}."
            )
        return None
    if num_classes is None and len(found) != 1:
        raise ValueError(
            "Expected num_classes, since it cannot be inferred from one Embedding or OneHot layer "
            "of "
            f"the generator. Received: num_classes=None, and {len(found)} such numbers."
        )
    number = int(found.pop() if num_classes is None else num_classes)
    if number < 1:
        raise ValueError(f"Expected at least one class. Received: num_classes={number}.")
    for network in (generator, discriminator):
        if len(_class_counts(network) | {number}) == 2:
            raise ValueError(
                f"Expected networks for {number} classes. "
                f"Received: {network.name!r} for {_class_counts(network).pop()}."
            )
    return number


def _class_counts(network: keras.Model) -> set[int]:
    counts = {
        getattr(layer, "num_classes", getattr(layer, "input_dim", None))
        for layer in iter_layers(network)
        if layer is not network
    }
    return {count for count in counts if count is not None}


def infer_value_range(
    generator: keras.Model, inputs: Any, value_range: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Returns the range of a generator's images, from the argument or from its last operations.

    Args:
        generator: Built network.
        inputs: `keras.Input` or list of `keras.Input`.
        value_range: Range `(low, high)`. Defaults to None, which infers the bounds of the outputs.

    Raises:
        ValueError: If no range is given and the outputs have no bounds, or unless `low < high`.
    """
    limits = value_range
    if limits is None:
        graph = _trace(generator, inputs, training=False)
        limits = None if graph is None else output_bounds(graph)
        if limits is None:
            raise ValueError(
                "Expected a generator whose last operation bounds its images, such as a sigmoid or "
                f"tanh, or value_range. Received: {generator.name!r}, whose outputs have no fixed "
                "bounds, and value_range=None. Pass value_range=(-1, 1), for instance."
            )
    try:
        low, high = (float(limit) for limit in limits)
        valid = -np.inf < low < high < np.inf
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            "Expected two finite numbers (low, high) with low < high. "
            f"Received: value_range={value_range!r}. Pass value_range=(-1, 1), for instance."
        )
    return low, high


def logits_function(discriminator: keras.Model, inputs: Any) -> Callable[..., Any]:
    """Returns the discriminator as a function `(inputs, training)` to logits.

    A cross-entropy of a saturated sigmoid has no gradient, and a cross-entropy of logits has one.
    If the discriminator's last operation is a sigmoid, the function returns the input of the
    sigmoid. It always calls the network itself, so that later changes of the network take effect.

    Args:
        discriminator: Built network with outputs `(batch, 1)`.
        inputs: `keras.Input` or list of `keras.Input`.

    Raises:
        ValueError: If the outputs are bounded by 0 and 1, but not by a sigmoid at the end.
    """
    if not ends_in_sigmoid(discriminator, inputs):
        return discriminator

    def logits(inputs: Any, training: bool) -> Any:
        output = discriminator(inputs, training=training)
        source = _sigmoid_input(output)
        if source is None:
            raise ValueError(
                f"Expected a discriminator {discriminator.name!r} whose sigmoid is its last "
                "operation. Received: another last operation, or run_eagerly=True and a sigmoid "
                'that is not Keras\'. End the network in activation="sigmoid" or in logits, and '
                "build a new GAN."
            )
        return source if len(source.shape) == 2 else ops.reshape(source, (-1, 1))

    return logits


def ends_in_sigmoid(discriminator: keras.Model, inputs: Any) -> bool:
    """Returns whether a discriminator outputs probabilities, as opposed to logits.

    Warns if an operation that cannot be inspected computes the outputs, and their first values
    could be probabilities.

    Raises:
        ValueError: If the outputs are bounded by 0 and 1, but not by a sigmoid at the end.
    """
    remedy = (
        "End the network in logits, without an activation, or in a sigmoid as its last operation."
    )
    graph = _trace(discriminator, inputs, training=False)
    if graph is None:
        _check_first_outputs(discriminator, inputs, remedy)
        return False
    if _sigmoid_input(graph.outputs[0]) is not None:
        training = _trace(discriminator, inputs, training=True)
        if training is None or _sigmoid_input(training.outputs[0]) is None:
            raise ValueError(
                "Expected a discriminator whose sigmoid is its last operation. Received: "
                f"{discriminator.name!r}, which has another operation after it in training, such "
                f"as dropout. {remedy}"
            )
        return True
    extremes = _probed_outputs(graph)
    if all(low >= 0 and high <= 1 for low, high in extremes):
        raise ValueError(
            f"Expected a discriminator of logits, or one that ends in a sigmoid. Received: "
            f"{discriminator.name!r}, whose outputs are confined to [0, 1] by another operation. "
            f"Their logits cannot be recovered. {remedy}"
        )
    low, high = np.min(extremes), np.max(extremes)
    if low > -10 and high < 10:
        warnings.warn(
            f"The outputs of the discriminator {discriminator.name!r} are taken as logits, but are "
            f"confined to [{low:g}, {high:g}], so that a cross-entropy cannot become small. "
            f"{remedy}",
            stacklevel=4,
        )
    elif _is_opaque(graph.outputs[0]):
        _check_first_outputs(discriminator, inputs, remedy)
    return False


def _check_first_outputs(discriminator: keras.Model, inputs: Any, remedy: str) -> None:
    """Warns if the outputs for random images of growing scale all lie within [0, 1]."""
    rng = np.random.default_rng(0)
    images, *labels = keras.tree.flatten(inputs)
    values = []
    for scale in (1.0, 30.0, 1e3):
        batch = scale * rng.standard_normal((64, *images.shape[1:])).astype("float32")
        arrays = [ops.convert_to_tensor(batch), *(ops.zeros((64,), "int32") for _ in labels)]
        outputs = discriminator(arrays if labels else arrays[0], training=False)
        values.append(ops.convert_to_numpy(outputs))
    if np.min(values) >= 0 and np.max(values) <= 1 and np.ptp(values) > 0:
        warnings.warn(
            f"The first outputs of the discriminator {discriminator.name!r} lie in "
            f"[{np.min(values):.3g}, {np.max(values):.3g}], and the operation that makes them "
            "cannot be inspected. They are taken as logits. If they are probabilities, the loss "
            f"is wrong. {remedy}",
            stacklevel=5,
        )


def output_bounds(graph: Any) -> tuple[float, float] | None:
    """Returns the lower and upper bound of the outputs for any weights, or None without bounds.

    The operations after the last operation with weights are evaluated for extreme values. If
    moderate values cause outputs beyond them, there are no known bounds.

    Args:
        graph: Traced network, see `_trace`.
    """
    *extremes, moderate = _probed_outputs(graph)
    (low, high), wider = extremes
    saturated = np.isfinite([low, high]).all() and np.allclose((low, high), wider, 0, 1e-6)
    if not saturated or low >= high or moderate[0] < low - 1e-6 or moderate[1] > high + 1e-6:
        return None
    return low, high


def has_losses(network: keras.Layer, inputs: Any) -> bool:
    """Returns whether a network has regularizers or adds losses in training.

    Args:
        network: Built network.
        inputs: `keras.Input` or list of `keras.Input`.
    """
    layers = list(iter_layers(network))
    if network.losses or any(layer.activity_regularizer is not None for layer in layers):
        return True
    if all(type(layer).__module__.startswith("keras.") for layer in layers):
        return False
    _trace(network, inputs, training=True)  # a layer of another library may add losses
    return bool(network.losses)


def computes_in_float16(network: keras.Model) -> bool:
    """Returns whether a layer computes in float16, in which gradients underflow or overflow."""
    return any(layer.compute_dtype == "float16" for layer in iter_layers(network))


def first_conv_layer(networks: Iterable[keras.Model]) -> keras.layers.Layer | None:
    """Returns the first convolutional layer of the networks, or None."""
    layers = (layer for n in networks for layer in iter_layers(n) if layer is not n)
    return next((layer for layer in layers if "Conv" in type(layer).__name__), None)


def fingerprint(network: keras.Layer) -> tuple[Any, ...]:
    """Returns a value that changes with the structure of a network, but not with its weights.

    It covers the identity of each layer and variable, and the settings and functions of each layer.
    It therefore changes after LoRA, quantization, a new layer or another activation.
    """
    layers = tuple(iter_layers(network))
    settings = tuple(
        (name, _setting(value))
        for layer in layers
        for name, value in vars(layer).items()
        if name not in _VOLATILE
    )
    return (*map(id, layers), *map(id, network.variables), settings)


def _setting(value: Any) -> Any:
    """Returns a comparable representation of the value of a layer's attribute."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if isinstance(value, dict):
        return tuple((str(key), _setting(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_setting, value))
    if isinstance(value, np.ndarray | np.generic) or is_eager(value):
        array = np.asarray(value)
        return array.shape, str(array.dtype), array.tobytes()
    if isinstance(value, keras.DTypePolicy):
        return value.name
    return id(value) if callable(value) else type(value).__name__


def _trace(network: keras.Layer, inputs: Any, training: bool) -> Any:
    """Returns the graph of a call, or None if the network only runs eagerly.

    Nothing is executed, so no state changes.
    """
    specs = [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
        for tensor in keras.tree.flatten(inputs)
    ]
    several = isinstance(inputs, list)

    def call(*tensors: Any) -> Any:
        output = network(list(tensors) if several else tensors[0], training=training)
        return keras.tree.flatten(output)[0]

    try:
        return tf.compat.v1.wrap_function(call, specs)
    except Exception:  # a layer that reads the values of a tensor may raise any error
        return None


def _through_shape_ops(tensor: Any) -> Any:
    """Returns the source of a tensor before operations that change only its shape or dtype."""
    while tensor.op.type in _SHAPE_OPS:
        tensor = tensor.op.inputs[0]
    return tensor


def _sigmoid_input(tensor: Any) -> Any:
    """Returns the logits of a tensor if it is the output of a sigmoid, else None.

    An eager tensor does not record its operation, but Keras' sigmoid stores the logits on it.
    """
    if is_eager(tensor):
        return sigmoid_logits(tensor)
    source = _through_shape_ops(tensor)
    return source.op.inputs[0] if source.op.type == "Sigmoid" else None


def _is_opaque(tensor: Any) -> bool:
    return _through_shape_ops(tensor).op.type in _CALL_OPS


def _probed_outputs(function: Any) -> list[tuple[float, float]]:
    """Returns the smallest and largest outputs of the last operations for three kinds of inputs.

    The first two are extreme inputs on two scales, and the third are moderate inputs. The bounds
    are infinite if an output is not finite.
    """
    output = function.outputs[0]
    tensors = _frontier(function)
    if not tensors:
        return [(-np.inf, np.inf)] * 3
    tail = function.prune(feeds=tensors, fetches=output)
    rng = np.random.default_rng(0)

    def bounds(*draws: Callable[[Any], Any]) -> tuple[float, float]:
        outputs = []
        for draw in draws:
            shapes = [[8 if size is None else size for size in t.shape] for t in tensors]
            feeds = [tf.cast(draw(s), t.dtype) for s, t in zip(shapes, tensors, strict=True)]
            outputs.append(np.asarray(tail(*feeds), "float64").ravel())
        values = np.concatenate(outputs)
        finite = np.isfinite(values).all()
        return (float(values.min()), float(values.max())) if finite else (-np.inf, np.inf)

    def extremes(scale: float) -> tuple[float, float]:
        signs = lambda shape: scale * rng.choice([-1.0, 1.0], shape)
        constants = (lambda shape: np.full(shape, scale), lambda shape: np.full(shape, -scale))
        return bounds(*constants, signs, signs)

    scales = (0.3, 1.0, 1.5, 3.0, 10.0)
    moderate = bounds(
        np.zeros, *(lambda shape, s=s: s * rng.standard_normal(shape) for s in scales)
    )
    return [*map(extremes, _PROBE_SCALES), moderate]


def _frontier(function: Any) -> list[Any]:
    """Returns the tensors from which operations without weights compute the output.

    The list is empty if one of these tensors is not floating or has an unknown rank.
    """
    graph = function.graph
    captured = {id(tensor) for tensor in graph.internal_captures}
    arguments = {tensor.op for tensor in graph.inputs if id(tensor) not in captured}
    from_data, from_weights = set(arguments), set()
    for op in graph.get_operations():  # in topological order
        sources = {tensor.op for tensor in op.inputs}
        if op not in arguments and any(tensor.dtype == tf.resource for tensor in op.inputs):
            from_weights.add(op)
        if sources & from_weights:
            from_weights.add(op)
        if sources & from_data:
            from_data.add(op)

    def uses_weights(op: Any) -> bool:
        return op in arguments or any(
            tensor.dtype == tf.resource
            or (tensor.op in from_weights and tensor.op not in from_data)
            for tensor in op.inputs
        )

    frontier: dict[int, Any] = {}
    seen: set[int] = set()
    stack = [function.outputs[0]]
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if uses_weights(tensor.op) or tensor.op.type in _CALL_OPS:
            frontier[id(tensor)] = tensor
        else:
            stack += [source for source in tensor.op.inputs if source.op in from_data]
    tensors = list(frontier.values())
    usable = all(t.dtype.is_floating and t.shape.rank is not None for t in tensors)
    return tensors if usable else []
