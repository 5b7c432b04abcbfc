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

__all__ = ["AUTO", "init_from"]

AUTO = "auto"
"""Name of the source that is chosen by the networks."""

_AUTO_SOURCE = "emoji"

Pairs = list[tuple[Any, Any]]
"""Weights of a new network, each with the trained weight to copy."""

_NAMED = ("stage_", "map_", "pixels_")
"""Prefixes of the names of layers that networks for several image sizes have in common."""


def init_from(gan: GAN, name: str, announce: Announce = lambda line: None) -> None:
    """Copies the weights of a trained GAN into a GAN.

    The generator, its average and the discriminator get the trained weights. Optimizers and the
    step count do not change. Of the pretrained generators, only those of other images than
    Fashion-MNIST have a discriminator. It is copied if it fits.

    If the trained GAN generates images of another size or of other classes, only the layers are
    copied that both have: most layers of `models.fastgan` and of `models.projected_discriminator`.

    Args:
        gan: Compiled GAN to train.
        name: Run folder, `.keras` file or pretrained name. With `"auto"`, the weights of the
            pretrained `emoji` are copied if they replace at least a tenth of the generator's, and
            none otherwise.
        announce: Function that is called with lines on the loaded weights.

    Raises:
        FileNotFoundError: If there is no source of that name, or it holds no trained model.
        ValueError: If the source holds images; if its weights have other shapes, where the message
            names the first layer that differs; if its images have another size or other classes,
            and there are no layers to copy; if frozen layers of the discriminator get no weights.
    """
    is_automatic = name == AUTO
    name = _AUTO_SOURCE if is_automatic else name
    source = find_source(name)
    if source.config is None:
        raise ValueError(
            "Expected the folder of a run, a .keras file or a pretrained name. Received: "
            f"init_from={name!r}, which holds images. Name a trained GAN."
        )
    trained = source.load(announce=announce)
    is_alike = gan.image_shape == trained.image_shape and gan.num_classes == trained.num_classes
    if is_automatic:
        if not _fits(gan.generator, trained.generator, is_alike):
            announce(f"start          random weights, since those of {name} do not fit")
            return
        announce(f"start          weights of {name}; for random ones, pass --init-from none")
    discriminator = _trained_discriminator(source, trained)
    if is_alike:
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
        g_pairs = _common_pairs(gan.generator, trained.generator, any_inputs=True)
        d_pairs = _common_pairs(gan.discriminator, discriminator) if discriminator else []
        _check_any(gan, trained, g_pairs, name)
        announce(
            f"{name} generates {_describe_images(trained)}. It provides "
            f"{_share(g_pairs, gan.generator):.0%} of the weights of the generator, and "
            f"{_share(d_pairs, gan.discriminator):.0%} of those of the discriminator."
        )
    _check_frozen(gan.discriminator, d_pairs, name)
    _copy_average(gan, trained, g_pairs)
    for weight, trained_weight in (*g_pairs, *d_pairs):
        _copy(weight, trained_weight)


def _fits(network: keras.Model, trained: keras.Model, is_alike: bool) -> bool:
    """Returns whether a trained network provides all weights, or a tenth if it is not alike."""
    if is_alike:
        return _shapes(network) == _shapes(trained)
    return _share(_common_pairs(network, trained, any_inputs=True), network) >= 0.1


def _describe_images(gan: GAN) -> str:
    """Returns a phrase on the size and the classes of generated images."""
    height, width = gan.image_shape[:2]
    return f"images of {width}x{height} {_describe_classes(gan)}"


def _describe_classes(gan: GAN) -> str:
    return "without classes" if gan.num_classes is None else f"of {gan.num_classes} classes"


def _copy_average(gan: GAN, trained: GAN, pairs: Pairs) -> None:
    """Copies the averages of the trained weights, if the GAN keeps an average."""
    if gan.ema_generator is None:
        return
    averages = trained.sampling_network().get_weights()
    by_weight = dict(zip(map(id, trained.generator.weights), averages, strict=True))
    for weight, trained_weight in pairs:
        _copy(weight, by_weight[id(trained_weight)])
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


def _common_pairs(network: keras.Model, trained: keras.Model, any_inputs: bool = False) -> Pairs:
    """Pairs the weights of the layers that have the same names and shapes in both networks.

    With `any_inputs`, kernels of dense layers may differ in their number of rows. In a generator,
    one-hot labels are further inputs.
    """

    def shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
        ignores_rows = any_inputs and isinstance(layer, keras.layers.Dense)
        return [shape[-1:] for shape in _shapes(layer)] if ignores_rows else _shapes(layer)

    known = {layer.name: layer for layer in _named_layers(trained)}
    return [
        pair
        for layer in _named_layers(network)
        if layer.name in known and shapes(layer) == shapes(known[layer.name])
        for pair in zip(layer.weights, known[layer.name].weights, strict=True)
    ]


def _copy(weight: Any, trained: Any) -> None:
    """Assigns trained values. Rows that only one of the two has are not copied."""
    if weight.shape != trained.shape:
        rows = min(weight.shape[0], trained.shape[0])
        values = keras.ops.convert_to_numpy(weight).copy()
        values[:rows] = keras.ops.convert_to_numpy(trained)[:rows]
        trained = values
    weight.assign(trained)


def _named_layers(network: keras.Model) -> Iterator[keras.Layer]:
    return (layer for layer in iter_layers(network) if layer.name.startswith(_NAMED))


def _shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _share(pairs: Pairs, network: keras.Model) -> float:
    """Returns the fraction of the numbers in a network that are copied."""
    copied = (map(min, weight.shape, trained.shape) for weight, trained in pairs)
    return sum(map(math.prod, copied)) / network.count_params()


def _check_any(gan: GAN, trained: GAN, pairs: Pairs, name: str) -> None:
    if pairs:
        return
    height, width, channels = (*trained.image_shape, 1)[:3]
    if gan.image_shape[:2] != (height, width):
        remedy = f"Convert the images with --image-size {width}x{height}"
    elif gan.image_shape != trained.image_shape:
        remedy = f"Convert the images with --channels {channels}"
    elif trained.num_classes is None:
        remedy = "Pass --no-conditional"
    elif gan.num_classes is None:
        remedy = "Pass --conditional"
    else:
        remedy = f"Use images of {trained.num_classes} classes"
    raise ValueError(
        f"Expected images of shape {trained.image_shape} {_describe_classes(trained)}, as "
        f"{name} generates them. Received: images of shape {gan.image_shape} "
        f"{_describe_classes(gan)}, and networks without common layers. {remedy}, or omit "
        "--init-from."
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
