"""Initializes a new run with the weights of a trained GAN."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import keras

from fashion_gan import hub
from fashion_gan.gan import GAN
from fashion_gan.keras_compat import iter_layers
from fashion_gan.models import projected_discriminator
from fashion_gan.runs.checkpoints import Announce, Source, find_source

__all__ = ["init_from"]

Pairs = list[tuple[Any, Any]]
"""Weights of a new network, each with the trained weight to copy."""

_NAMED = ("stage_", "map_", "pixels_")
"""Prefixes of the names of layers that networks for several image sizes have in common."""


def init_from(gan: GAN, name: str, announce: Announce = lambda line: None) -> None:
    """Copies the weights of a trained GAN into a GAN.

    The generator, its average and the discriminator get the trained weights. Optimizers and the
    step count do not change. Of the pretrained generators, only those of other images than
    Fashion-MNIST have a discriminator. It is copied if it fits.

    If the trained GAN generates images of another size, only the layers are copied that both have:
    most layers of `models.fastgan` and of `models.projected_discriminator`.

    Args:
        gan: Compiled GAN to train.
        name: Run folder, `.keras` file or pretrained name.
        announce: Function that is called with lines on the loaded weights.

    Raises:
        FileNotFoundError: If there is no source of that name, or it holds no trained model.
        ValueError: If the source holds images; if its weights have other shapes, where the message
            names the first layer that differs; if its images have another size, and its networks no
            layers to copy; if frozen layers of the discriminator get no weights.
    """
    source = find_source(name)
    if source.config is None:
        raise ValueError(
            "Expected the folder of a run, a .keras file or a pretrained name. Received: "
            f"init_from={name!r}, which holds images. Name a trained GAN."
        )
    trained = source.load(announce=announce)
    discriminator = _trained_discriminator(source, trained)
    if gan.image_shape == trained.image_shape:
        _check_shapes("generator", gan.generator, trained.generator, name)
        g_pairs = _all_pairs(gan.generator, trained.generator)
        d_pairs: Pairs = []
        if not source.pretrained:
            _check_shapes("discriminator", gan.discriminator, discriminator, name)
        if discriminator is not None and _shapes(gan.discriminator) == _shapes(discriminator):
            d_pairs = _all_pairs(gan.discriminator, discriminator)
        else:
            announce(f"{name} has no such discriminator. The run starts with an untrained one.")
    else:
        g_pairs = _common_pairs(gan.generator, trained.generator)
        d_pairs = _common_pairs(gan.discriminator, discriminator) if discriminator else []
        _check_any(gan, trained, g_pairs, name)
        height, width = trained.image_shape[:2]
        announce(
            f"{name} generates images of {width}x{height}. It provides "
            f"{_share(g_pairs, gan.generator):.0%} of the weights of the generator, and "
            f"{_share(d_pairs, gan.discriminator):.0%} of those of the discriminator."
        )
    _check_frozen(gan.discriminator, d_pairs, name)
    _copy_average(gan, trained, g_pairs)
    for weight, trained_weight in (*g_pairs, *d_pairs):
        weight.assign(trained_weight)


def _copy_average(gan: GAN, trained: GAN, pairs: Pairs) -> None:
    """Copies the averages of the trained weights, if the GAN keeps an average."""
    if gan.ema_generator is None:
        return
    averages = trained.sampling_network().get_weights()
    by_weight = dict(zip(map(id, trained.generator.weights), averages, strict=True))
    for weight, trained_weight in pairs:
        weight.assign(by_weight[id(trained_weight)])
    gan.ema_generator.reset()


def _trained_discriminator(source: Source, trained: GAN) -> keras.Model | None:
    """Returns the discriminator of a source, or None if a pretrained generator has none."""
    if not source.pretrained:
        return trained.discriminator
    weights = hub.pretrained_weights(source.name, "discriminator")
    if not weights:
        return None
    network = trained.discriminator
    if source.config is not None and source.config.projected:
        height, width, channels = trained.image_shape
        network = projected_discriminator((height, width, channels))
    network.set_weights(weights)
    return network


def _all_pairs(network: keras.Model, trained: keras.Model) -> Pairs:
    return list(zip(network.weights, trained.weights, strict=True))


def _common_pairs(network: keras.Model, trained: keras.Model) -> Pairs:
    """Pairs the weights of the layers that have the same names and shapes in both networks."""
    known = {layer.name: layer for layer in _named_layers(trained)}
    return [
        pair
        for layer in _named_layers(network)
        if layer.name in known and _shapes(layer) == _shapes(known[layer.name])
        for pair in zip(layer.weights, known[layer.name].weights, strict=True)
    ]


def _named_layers(network: keras.Model) -> Iterator[keras.Layer]:
    return (layer for layer in iter_layers(network) if layer.name.startswith(_NAMED))


def _shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _share(pairs: Pairs, network: keras.Model) -> float:
    """Returns the fraction of the numbers in a network that are copied."""
    return sum(math.prod(weight.shape) for weight, _ in pairs) / network.count_params()


def _check_any(gan: GAN, trained: GAN, pairs: Pairs, name: str) -> None:
    if not pairs:
        height, width, channels = (*trained.image_shape, 1)[:3]
        same_size = gan.image_shape[:2] == (height, width)
        remedy = f"--channels {channels}" if same_size else f"--image-size {width}x{height}"
        raise ValueError(
            f"Expected images of shape {trained.image_shape}, which {name} generates. Received: "
            f"images of shape {gan.image_shape}, and networks without common layers. Convert the "
            f"images with {remedy}, or omit --init-from."
        )


def _check_frozen(discriminator: keras.Model, pairs: Pairs, name: str) -> None:
    copied = {id(weight) for weight, _ in pairs}
    for layer in discriminator.layers:
        if not layer.trainable and any(id(weight) not in copied for weight in layer.weights):
            raise ValueError(
                f"Expected a source with weights of the layer {layer.name} of the discriminator, "
                f"which freeze_d keeps. Received: init_from={name!r}, which has none. Omit "
                "--freeze-d, or name another run or .keras file."
            )


def _check_shapes(network: str, new: keras.Model, trained: Any, name: str) -> None:
    for one, other in zip_longest(_layer_shapes(new), _layer_shapes(trained)):
        if one is None or other is None or one[1] != other[1]:
            layer, shape = one or ("no further layer", "none")
            its_layer, its_shape = other or ("no further layer", "none")
            raise ValueError(
                f"Expected weights of shape {shape} for the layer {layer} of the {network}. "
                f"Received: weights of shape {its_shape} of the layer {its_layer} in {name}. "
                "Use the network settings of these weights, or other weights."
            )


def _layer_shapes(network: keras.Model) -> Iterator[tuple[str, str]]:
    """Yields the name of the layer and the shape of each weight."""
    for weight in network.weights:
        yield weight.path.rsplit("/", 1)[0], str(tuple(weight.shape))
