"""The checks at the border: what a GAN is given, before the first step."""

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "behind_the_sigmoid",
    "build",
    "check_batch_norm",
    "check_images",
    "check_labelled",
    "check_numbers",
    "check_optimizers",
    "check_order",
    "check_parts",
    "check_shape",
    "check_shares",
    "check_weights",
    "computes_in_float16",
    "labels_to_sample",
    "latent_dim",
    "num_classes",
    "value_range",
]

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
}


def check_order(generator: keras.Model, discriminator: keras.Model) -> None:
    """Refuse two networks that have changed places."""
    if not (generator.built and discriminator.built):
        return
    if generator.output_shape[1:] == (1,) and len(discriminator.output_shape) in (3, 4):
        raise ValueError(
            "Expected GAN(generator, discriminator). Received first a network with one output, and "
            f"then one that makes images {discriminator.output_shape[1:]}. Exchange them."
        )


def latent_dim(generator: keras.Model, given: int | None) -> int:
    """The size of a latent vector, from the argument or from a built generator."""
    shape = _first(generator.input_shape) if generator.built else (None, given)
    built = shape[-1] if len(shape) == 2 else None
    size = built if given is None else given
    if size is None:
        raise ValueError(
            "Expected latent_dim, or a generator that is built for inputs (batch, latent_dim). "
            f"Received: latent_dim=None and a generator for {shape if generator.built else 'any'}."
        )
    if given is not None and generator.built and given != built:
        raise ValueError(
            f"The generator takes inputs of shape {shape}. Received: latent_dim={given}."
        )
    return int(size)


def _first(shapes: Any) -> tuple[Any, ...]:
    """The shape of a network's first input."""
    return tuple(shapes[0] if isinstance(shapes, list) else shapes)


def num_classes(
    generator: keras.Model, discriminator: keras.Model, given: int | None
) -> int | None:
    """The number of classes that both networks take labels of, or None if they take no labels."""
    inputs = [len(n.inputs) if n.built else 1 for n in (generator, discriminator)]
    if inputs not in ([1, 1], [2, 2]):
        raise ValueError(
            "Expected a generator of latents and a discriminator of images, or both with labels "
            "(batch,) as a second input. Received: networks with "
            f"{inputs[0]} and {inputs[1]} inputs."
        )
    found = _classes(generator)
    if inputs == [1, 1]:
        if given is not None:
            raise ValueError(
                f"Networks without a second input take no labels. Received: num_classes={given}."
            )
        return None
    if given is None and len(found) != 1:
        raise ValueError(
            "Expected num_classes, since it cannot be read off one Embedding or OneHot layer of "
            f"the generator. Received: num_classes=None, and {len(found)} such numbers."
        )
    number = int(found.pop() if given is None else given)
    if number < 1:
        raise ValueError(f"Expected at least one class. Received: num_classes={number}.")
    for network in (generator, discriminator):
        if len(_classes(network) | {number}) == 2:
            raise ValueError(
                f"Expected networks for {number} classes. "
                f"Received: {network.name!r} for {_classes(network).pop()}."
            )
    return number


def _classes(network: keras.Model) -> set[int]:
    """The numbers of classes that its layers are made for."""
    layers = network._flatten_layers(include_self=False)
    found = {getattr(layer, "num_classes", getattr(layer, "input_dim", None)) for layer in layers}
    return {number for number in found if number is not None}


def labels_to_sample(labels: Any, count: int, num_classes: int | None) -> np.ndarray | None:
    """Labels int32 `(count,)` for conditional networks; None for others."""
    if num_classes is None:
        if labels is not None:
            raise ValueError(
                "The generator takes no labels. Received: labels. Leave them out, or take a "
                "conditional one, such as the pretrained resnet_conditional."
            )
        return None
    if labels is None:
        return np.arange(count, dtype="int32") % num_classes
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape not in ((), (count,)):
        raise ValueError(
            f"Expected an integer or {count} of them, of one-hot labels the argmax. "
            f"Received: labels of dtype {labels.dtype} and shape {labels.shape}."
        )
    _check_labels(labels, num_classes)
    return np.broadcast_to(labels, (count,)).astype("int32")


def _check_labels(labels: Any, num_classes: int) -> None:
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"Expected labels from 0 to {num_classes - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )


def build(generator: keras.Model, discriminator: keras.Model, latent_dim: int) -> None:
    """Build both networks, and check that the images of one are the inputs of the other."""
    if not generator.built:
        generator.build((None, latent_dim))
    images = generator.output_shape
    if len(images) not in (3, 4) or None in images[1:]:
        raise ValueError(
            "Expected a generator of images (batch, height, width[, channels]). "
            f"Received one with output shape {images}."
        )
    if not discriminator.built:
        discriminator.build(images)
    taken = _first(discriminator.input_shape)[1:]
    if taken != images[1:]:
        raise ValueError(
            f"The generator makes images {images[1:]}, but the discriminator takes {taken}. Build "
            "both for one image shape."
        )
    if discriminator.output_shape[1:] != (1,):
        raise ValueError(
            "Expected a discriminator with one output (batch, 1). "
            f"Received one with output shape {discriminator.output_shape}."
        )


def value_range(
    generator: keras.Model, given: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The range of the generator's images, from the argument or from its last activation."""
    limits = given if given is not None else _RANGES.get(_last_activation(generator) or "")
    if limits is None:
        raise ValueError(
            "The range of the generator's images cannot be told from its last activation, "
            f"{_last_activation(generator)!r}. Give it: value_range=(-1, 1), say."
        )
    low, high = limits
    if not low < high:
        raise ValueError(f"Expected low < high. Received: value_range={given}.")
    return float(low), float(high)


def behind_the_sigmoid(discriminator: keras.Model) -> Callable[..., Any]:
    """The discriminator as a function `(images, training)` to logits, sharing its weights.

    A cross-entropy computed from a saturated sigmoid loses its gradient; computed from the logits
    it does not. If the last layer ends in a sigmoid, the function stops before it.
    """
    if _last_activation(discriminator) != "sigmoid":
        return discriminator
    last = discriminator.layers[-1]
    if getattr(getattr(last, "activation", None), "__name__", None) != "sigmoid":
        raise ValueError(
            f"The discriminator's sigmoid lies within or before its last layer, {last.name!r}, "
            "where the logits behind it are out of reach. Let the sigmoid be the activation of a "
            "plain last layer, or leave it out: logits will do."
        )
    trunk = keras.Model(discriminator.inputs, last.input, dtype=discriminator.dtype_policy)
    head = object.__new__(type(last))  # copy.copy would go through Keras' serialisation
    head.__dict__.update(last.__dict__, activation=keras.activations.linear)
    return lambda images, training: head(trunk(images, training=training))


def check_optimizers(g_optimizer: Any, d_optimizer: Any) -> None:
    """Refuse one optimiser for both networks."""
    if g_optimizer is d_optimizer and isinstance(g_optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "One optimiser cannot serve both networks: it keeps state for each weight. "
            "Give two, or give their names."
        )


def check_numbers(ema_decay: float | None, d_steps: int) -> None:
    """Refuse numbers of `GAN.compile` that are out of range."""
    if ema_decay is not None and not 0 <= ema_decay < 1:
        raise ValueError(f"Expected 0 <= ema_decay < 1, or None. Received: ema_decay={ema_decay}.")
    if not isinstance(d_steps, int) or d_steps < 1:
        raise ValueError(f"Expected an integer of at least 1. Received: d_steps={d_steps!r}.")


def check_parts(batch_size: int | None, d_steps: int, group: int = 1) -> None:
    """Refuse batches that do not divide into `d_steps` equal parts, and these into groups."""
    if group > 1 and (batch_size is None or batch_size % (d_steps * group)):
        raise ValueError(
            f"The discriminator compares the images in groups of {group}. Received: batches of "
            f"{batch_size or 'unknown size'}, on each replica. Batch by a multiple of "
            f"{d_steps * group}, with drop_remainder=True."
        )
    if d_steps > 1 and (batch_size is None or batch_size % d_steps):
        raise ValueError(
            f"Each of d_steps={d_steps} updates takes its part of the batch. Received: batches of "
            f"{batch_size or 'unknown size'}. Batch by a multiple of {d_steps}, with "
            "drop_remainder=True."
        )


def computes_in_float16(network: keras.Model) -> bool:
    """Whether a layer's gradients can vanish or overflow for want of exponent bits."""
    return any(layer.compute_dtype == "float16" for layer in network._flatten_layers())


def check_shape(shape: Any, wanted: tuple[int, ...]) -> None:
    """Refuse images of another shape than the generator's; a channels axis of 1 may be absent."""
    shape = tuple(shape)
    if shape not in (wanted, (*wanted, 1)) and (*shape, 1) != wanted:
        raise ValueError(
            f"The generator makes images of shape {wanted}. Received images of shape {shape}. "
            "Resize the images, or build the networks for their shape."
        )


def check_images(
    x: Any,
    y: Any,
    shape: tuple[int, ...],
    wanted_range: tuple[float, float],
    num_classes: int | None = None,
) -> None:
    """Look at the first batch of a dataset or at arrays: shape, dtype, range, and labels."""
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)), None)
        if first is None:
            raise ValueError(
                "The dataset has no batch. With drop_remainder=True it needs at least batch_size "
                "images."
            )
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(first)
    elif isinstance(x, np.ndarray | tf.Tensor):
        images, labels = x, y
    else:
        return
    check_shape(images.shape[1:], shape)
    _check_range(np.asarray(images), wanted_range)
    if num_classes is not None:
        labels = None if labels is None else np.asarray(labels)
        check_labelled(labels, len(images))
        _check_labels(labels, num_classes)


def check_labelled(labels: Any, count: int | None = None) -> None:
    """Refuse what is not an integer label for each of `count` images."""
    known = None if labels is None else np.dtype(tf.as_dtype(labels.dtype).as_numpy_dtype)
    integers = known is not None and known.kind in "iu"
    if not integers or (count is not None and math.prod(labels.shape) != count):
        raise ValueError(
            "Conditional networks need an integer label for each image, of one-hot ones the "
            "argmax: fit(images, labels), or a dataset of such pairs. Received: "
            f"{'none' if known is None else f'{known} of shape {tuple(labels.shape)}'}."
        )


def check_weights(sample_weight: Any = None, class_weight: Any = None, **_: Any) -> None:
    """Refuse weights of images or classes, which no step would heed."""
    if sample_weight is not None or class_weight is not None:
        raise ValueError(
            "A GAN weighs all images alike. Received: sample_weight or class_weight. Leave them "
            "out, and repeat in the dataset what should count more."
        )


def check_batch_norm(networks: Iterable[keras.Model], replicas: int) -> None:
    """Warn of batch norm that sees its own replica's share of each batch only."""
    names = [
        layer.name
        for network in networks
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    if replicas > 1 and names:
        warnings.warn(
            f"On {replicas} replicas, {', '.join(names)} will each take the statistics of a "
            "replica's share of the batch, and of the moving averages only the first replica's "
            "are kept. For the whole batch's: BatchNormalization(synchronized=True).",
            stacklevel=3,
        )


def check_shares(
    strategy: tf.distribute.Strategy,
    x: Any,
    batch_size: int | None = None,
    validation_data: Any = None,
    validation_batch_size: int | None = None,
    validation_split: float = 0.0,
    **_: Any,
) -> None:
    """Refuse batches of which the replicas cannot have equal shares.

    The mean over replicas would give an image in a smaller share more weight, and with no image in
    a share it is NaN.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 or isinstance(x, tf.distribute.DistributedDataset):
        return
    if validation_split:
        raise ValueError(
            f"On {replicas} replicas give validation_data. Received: {validation_split=}."
        )
    for size in _batch_sizes(x, batch_size):
        if size is None or size % replicas:
            raise ValueError(
                f"Each batch is shared equally by {replicas} replicas. Received: batches of "
                f"{size or 'unknown size'}. Batch by a multiple of {replicas}, with "
                "drop_remainder=True: data.make_dataset(images, batch_size), say."
            )
    if validation_data is not None:
        held_out, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        check_shares(strategy, held_out, validation_batch_size or batch_size)


def _batch_sizes(x: Any, batch_size: int | None) -> set[int | None]:
    """The sizes of the batches that Keras will make of `x`; `None` for one that cannot be told."""
    if isinstance(x, tf.data.Dataset):
        return {keras.tree.flatten(x.element_spec)[0].shape[0]}
    if not isinstance(x, np.ndarray | tf.Tensor):
        return {None}
    batch_size = batch_size or 32
    return {min(batch_size, len(x)), len(x) % batch_size or batch_size}


def _check_range(images: np.ndarray, wanted: tuple[float, float]) -> None:
    if not images.size:
        raise ValueError(f"There are no images. Received an array of shape {images.shape}.")
    low, high = float(images.min()), float(images.max())
    margin = 1e-3 * (wanted[1] - wanted[0])
    if not (wanted[0] - margin <= low and high <= wanted[1] + margin):
        raise ValueError(
            f"The generator makes images in [{wanted[0]:g}, {wanted[1]:g}], but the first images "
            f"are {images.dtype} in [{low:g}, {high:g}]. Scale them, for instance with "
            "data.make_dataset(images, value_range=gan.value_range)."
        )
    middle = (wanted[0] + wanted[1]) / 2
    if low >= middle or high <= middle:
        warnings.warn(
            f"The generator makes images in [{wanted[0]:g}, {wanted[1]:g}], but the first images "
            f"only fill [{low:g}, {high:g}]. If that is not their nature, scale them to the range.",
            stacklevel=4,
        )


def _last_activation(network: keras.Model) -> str | None:
    """Name of the activation of the last layer that has one; `None` if there is none to be seen."""
    for layer in reversed(getattr(network, "layers", [])):
        if isinstance(layer, keras.layers.Reshape | keras.layers.Flatten):
            continue
        if isinstance(layer, keras.layers.Wrapper):
            layer = layer.layer
        if isinstance(layer, keras.Model):
            return _last_activation(layer)
        activation = getattr(layer, "activation", None)
        return getattr(activation, "__name__", None)
    return None
