"""Checks the arguments of a GAN before the first step."""

import numbers
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fashion_gan.augmentations import AdaptiveProbability
from fashion_gan.keras_compat import iter_layers
from fashion_gan.models.introspection import input_shapes
from fashion_gan.training.inputs import as_labels
from fashion_gan.typing import Labels

__all__ = [
    "check_adaptive_probability",
    "check_added_losses",
    "check_batch_norm",
    "check_channels_last",
    "check_discriminator_input",
    "check_discriminator_output",
    "check_divisible",
    "check_hyperparameters",
    "check_image_shape",
    "check_networks",
    "check_not_swapped",
    "check_optimizers",
    "check_replica_batches",
    "check_seed",
    "check_trainable",
    "reject_sample_weight",
    "sample_labels",
]


def check_not_swapped(generator: keras.Model, discriminator: keras.Model) -> None:
    """Raises ValueError if the two networks look swapped."""
    if not (input_shapes(generator) and input_shapes(discriminator)):
        return
    try:
        first, second = generator.output_shape, discriminator.output_shape
    except (AttributeError, ValueError):
        return
    if first[1:] == (1,) and len(second) in (3, 4):
        raise ValueError(
            "Expected GAN(generator, discriminator). Received: a first network with one output, "
            f"and a second one that makes images of shape {second[1:]}. Pass the generator first."
        )


def check_image_shape(
    generator: keras.Model, output_shape: tuple[int | None, ...]
) -> tuple[int, ...]:
    """Returns the shape of a generator's images, and raises ValueError unless it is fixed."""
    shape = tuple(size for size in output_shape[1:] if size is not None)
    if len(output_shape) not in (3, 4) or len(shape) < len(output_shape) - 1:
        raise ValueError(
            "Expected a generator of images (batch, height, width[, channels]). "
            f"Received: {generator.name!r} with output shape {output_shape}. End it in "
            "layers.Reshape((height, width, channels)), for instance."
        )
    return shape


def check_channels_last(networks: Iterable[keras.Model], image_shape: tuple[int, ...]) -> None:
    """Raises ValueError if networks use images `(channels, height, width)`."""
    named = [
        layer.name
        for network in networks
        for layer in iter_layers(network)
        if getattr(layer, "data_format", None) == "channels_first"
    ]
    channels = (1, 2, 3, 4)
    looks_first = (
        len(image_shape) == 3 and image_shape[0] in channels and image_shape[2] not in channels
    )
    if named or looks_first:
        reason = f"layers with data_format='channels_first' ({', '.join(named)})" if named else ""
        raise ValueError(
            "Expected networks of images (height, width, channels). Received: "
            f"{reason or f'images of shape {image_shape}, channels first'}. Build the networks "
            "with data_format='channels_last' and transpose the images."
        )


def check_discriminator_input(discriminator: keras.Model, image_shape: tuple[int, ...]) -> None:
    """Raises ValueError if a discriminator declares another input shape than the images'.

    With a projector, the images are its outputs.
    """
    shapes = input_shapes(discriminator)
    if shapes and shapes[0][1:] != image_shape and None not in shapes[0][1:]:
        raise ValueError(
            f"Expected a discriminator of images of shape {image_shape}, as the generator makes. "
            f"Received: {discriminator.name!r} for inputs of shape {shapes[0][1:]}. Build "
            "both networks for one image shape."
        )


def check_projector(projector: Any) -> None:
    """Raises ValueError unless a projector is a network."""
    if not isinstance(projector, keras.Layer):
        raise ValueError(
            f"Expected a Keras model as projector. Received: {projector!r}. Pass "
            "models.imagenet_projector(image_shape), for instance."
        )


def check_projector_output(
    projector: keras.Model, output_shape: tuple[int | None, ...]
) -> tuple[int, ...]:
    """Returns the shape of a projected image.

    Raises:
        ValueError: If it is not fixed.
    """
    shape = tuple(size for size in output_shape[1:] if size is not None)
    if len(shape) < max(len(output_shape) - 1, 1):
        raise ValueError(
            "Expected a projector with outputs (batch, …) of a fixed size. "
            f"Received: {projector.name!r} with output shape {output_shape}. Flatten its outputs."
        )
    return shape


def check_discriminator_output(
    discriminator: keras.Model, output_shape: tuple[int | None, ...], several: bool = False
) -> None:
    """Raises ValueError unless a discriminator has one output for each image.

    Args:
        discriminator: Discriminator, for the error.
        output_shape: Shape of its outputs.
        several: Whether each image may have several outputs. Defaults to False.
    """
    if tuple(output_shape[1:]) == (1,) or (several and len(output_shape) == 2):
        return
    remedy = "End it in layers.Dense(1)."
    if len(output_shape) == 4:
        remedy = (
            "For a discriminator of patches, add layers.GlobalAveragePooling2D(), which averages "
            "their logits."
        )
    raise ValueError(
        "Expected a discriminator with one output (batch, 1). "
        f"Received: {discriminator.name!r} with output shape {output_shape}. {remedy}"
    )


def check_trainable(network: keras.Model, role: str) -> None:
    """Raises ValueError if no weight of a network is trainable."""
    if network.weights and not network.trainable_variables:
        raise ValueError(
            f"Expected a {role} with trainable weights. Received: {network.name!r} with "
            f"trainable=False. Set {role}.trainable = True before compile(). A GAN freezes each "
            "network by itself while the other one is trained."
        )
    if not network.weights:
        raise ValueError(
            f"Expected a {role} with trainable weights. Received: {network.name!r} without weights."
        )


def check_optimizers(g_optimizer: Any, d_optimizer: Any) -> None:
    """Raises ValueError unless there are two optimizers."""
    for name, value in (("g_optimizer", g_optimizer), ("d_optimizer", d_optimizer)):
        if value is None:
            raise ValueError(
                f"Expected an optimizer or the name of one. Received: {name}=None. Pass "
                f'{name}="adam", for instance.'
            )
    if g_optimizer is d_optimizer and isinstance(g_optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "Expected two optimizers, since each keeps state for the weights of its network. "
            "Received: one optimizer for both networks. Pass two, or their names."
        )


def check_networks(generator: Any, discriminator: Any) -> None:
    """Raises ValueError unless both are networks, in the right order and without common weights."""
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(network, keras.Layer):
            raise ValueError(
                f"Expected a Keras model as {name}. Received: {network!r}. Pass a sequential, "
                "functional or subclassed model."
            )
    check_not_swapped(generator, discriminator)
    common = {id(w) for w in generator.weights} & {id(w) for w in discriminator.weights}
    if common:
        names = [w.path for w in generator.weights if id(w) in common]
        raise ValueError(
            "Expected two networks without a common weight, since each is frozen while the other "
            f"is trained. Received: networks that share {', '.join(names)}. Build the layers "
            "twice."
        )


def check_seed(seed: Any) -> None:
    """Raises ValueError unless a seed is None or an integer from 0 to 2**63 - 1."""
    if seed is not None and not (isinstance(seed, int | np.integer) and 0 <= seed < 2**63):
        raise ValueError(f"Expected an integer from 0 to 2**63 - 1, or None. Received: {seed=}.")


def check_hyperparameters(
    ema_decay: float | None, d_steps: int, accumulate: int, steps_per_execution: int
) -> None:
    """Raises ValueError if a number of `GAN.compile` is out of range."""
    is_number = isinstance(ema_decay, numbers.Real) and not isinstance(ema_decay, bool)
    if ema_decay is not None and not (is_number and 0 <= ema_decay < 1):
        raise ValueError(
            f"Expected 0 <= ema_decay < 1, or None. Received: ema_decay={ema_decay!r}."
        )
    for name, value in (
        ("d_steps", d_steps),
        ("accumulate", accumulate),
        ("steps_per_execution", steps_per_execution),
    ):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"Expected an integer of at least 1. Received: {name}={value!r}.")


def check_divisible(
    batch_size: int, d_steps: int, accumulate: int = 1, group_size: int = 1, replicas: int = 1
) -> None:
    """Raises ValueError unless a batch divides by the product of all the other arguments.

    Args:
        batch_size: Number of images in a batch.
        d_steps: Number of discriminator updates in a step, each on an equal part of the batch.
        accumulate: Number of equal parts of an update. Defaults to 1.
        group_size: Number of images in a group of `MinibatchStdDev`. Defaults to 1.
        replicas: Number of replicas. Defaults to 1.
    """
    multiple = d_steps * accumulate * group_size * replicas
    if batch_size % multiple == 0:
        return
    reasons = [f"d_steps={d_steps} updates that each take an equal part"] if d_steps > 1 else []
    if accumulate > 1:
        reasons.append(f"accumulate={accumulate} equal parts of an update")
    if group_size > 1:
        reasons.append(f"a discriminator that compares images in groups of {group_size}")
    if replicas > 1:
        reasons.append(f"{replicas} replicas")
    raise ValueError(
        f"Expected batches of a multiple of {multiple}, for {' and '.join(reasons)}. Received: "
        f"a batch of {batch_size}. Batch a dataset with drop_remainder=True, or pass arrays as "
        "data.make_dataset(images, batch_size), which drops the remainder."
    )


def reject_sample_weight(sample_weight: Any = None, class_weight: Any = None) -> None:
    """Raises ValueError if weights of images or classes are passed, which no step uses."""
    if sample_weight is not None or class_weight is not None:
        raise ValueError(
            "Expected images without weights. Received: sample_weight or class_weight. Repeat "
            "images in the dataset to weight them."
        )


def sample_labels(labels: Labels, count: int, num_classes: int | None) -> np.ndarray | None:
    """Returns int32 labels `(count,)` for conditional networks, and None for other networks.

    Args:
        labels: Integer for all images, integers `(count,)`, or None for 0, 1, …, repeated.
        count: Number of images.
        num_classes: Number of classes, or None for unconditional networks.

    Raises:
        ValueError: If the labels do not fit, or if the generator takes no labels.
    """
    if num_classes is None:
        if labels is not None:
            raise ValueError(
                "Expected no labels, since the generator takes none. Received: labels. Omit them, "
                "or load a conditional generator, such as the pretrained resnet_conditional."
            )
        return None
    if labels is None:
        return np.arange(count, dtype="int32") % num_classes
    if np.ndim(labels) == 0:
        labels = np.full(count, labels)
    return as_labels(labels, count, num_classes)


def check_batch_norm(networks: Iterable[keras.Model], replicas: int) -> None:
    """Warns if batch normalization only sees its own replica's share of each batch."""
    names = [
        layer.name
        for network in networks
        for layer in iter_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    if replicas > 1 and names:
        warnings.warn(
            f"On {replicas} replicas, {', '.join(names)} will use the statistics of one "
            "replica's share of the batch. Only the moving averages of the first replica are "
            "saved. For statistics of the whole batch, use BatchNormalization(synchronized=True).",
            stacklevel=3,
        )


def check_added_losses(networks: Iterable[keras.Model], local_replicas: int) -> None:
    """Raises ValueError if replicas of one process would mix up the losses that layers add.

    These replicas run in threads, but a layer has one list of losses for all of them. Synchronized
    batch normalization switches between the threads in the middle of a network, so that a replica
    loses its activity regularization or logs that of another one.
    """
    for network in networks:
        layers = list(iter_layers(network))
        regularized = [layer.name for layer in layers if layer.activity_regularizer is not None]
        synchronized = [
            layer.name
            for layer in layers
            if isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized
        ]
        if local_replicas > 1 and regularized and synchronized:
            raise ValueError(
                "Expected no activity regularizer together with synchronized batch normalization "
                f"on {local_replicas} devices of one process. Received: {network.name!r} with "
                f"{', '.join(regularized)} and {', '.join(synchronized)}. Omit one of them, or "
                "train on one device."
            )


def check_adaptive_probability(
    probability: Any, augmentations: Iterable[Any], callbacks: Iterable[keras.callbacks.Callback]
) -> None:
    """Warns if no callback adapts the adaptive probability of some augmentations."""
    adapting = any(getattr(callback, "adapts_augment_p", False) for callback in callbacks)
    if isinstance(probability, AdaptiveProbability) and any(augmentations) and not adapting:
        warnings.warn(
            f"augment_p stays at {float(probability.probability.numpy()):.2g}, since no callback "
            "adapts it. Pass callbacks.AdaptiveAugmentation to fit(), or compile with a number.",
            stacklevel=3,
        )


def check_replica_batches(
    strategy: tf.distribute.Strategy,
    x: Any,
    batch_size: int | None = None,
    validation_data: Any = None,
    validation_batch_size: int | None = None,
    validation_split: float = 0.0,
    **_: Any,
) -> None:
    """Raises ValueError unless the replicas can share each batch equally.

    The mean over replicas gives images in a smaller share more weight. It is NaN if a share has no
    image.

    Args:
        strategy: Strategy of the model.
        x: Data of `fit()` or `evaluate()`.
        batch_size: Number of images in a batch of arrays. Defaults to 32.
        validation_data: Validation data of `fit()`. Defaults to None.
        validation_batch_size: Number of images in a validation batch of arrays. Defaults to
            `batch_size`.
        validation_split: Fraction of an array to hold out. It must be 0 with several replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 or isinstance(x, tf.distribute.DistributedDataset):
        return
    if validation_split:
        raise ValueError(
            f"Expected validation_data on {replicas} replicas. Received: {validation_split=}."
        )
    for size in _batch_sizes(x, batch_size):
        if size is None or size % replicas:
            raise ValueError(
                f"Expected batches of a multiple of {replicas}, for {replicas} replicas. Received: "
                f"batches of {size or 'unknown size'}. Choose such a batch size with "
                "drop_remainder=True, for instance by data.make_dataset(images, batch_size)."
            )
    if validation_data is not None:
        held_out, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        check_replica_batches(strategy, held_out, validation_batch_size or batch_size)


def _batch_sizes(x: Any, batch_size: int | None) -> set[int | None]:
    """Returns the sizes of the batches that Keras makes of `x`, with None for an unknown size."""
    if isinstance(x, tf.data.Dataset):
        return {keras.tree.flatten(x.element_spec)[0].shape[0]}
    if not isinstance(x, np.ndarray | tf.Tensor):
        return {None}
    batch_size = batch_size or 32
    return {min(batch_size, len(x)), len(x) % batch_size or batch_size}
