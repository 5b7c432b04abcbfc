"""Initializes a new run with the weights of a trained GAN."""

from collections.abc import Iterator
from itertools import zip_longest

import keras

from fashion_gan import hub
from fashion_gan.gan import GAN
from fashion_gan.runs.checkpoints import Announce, find_source

__all__ = ["init_from"]


def init_from(gan: GAN, name: str, announce: Announce = lambda line: None) -> None:
    """Copies the weights of a trained GAN into a GAN.

    The generator, its average and the discriminator get the trained weights. Optimizers and the
    step count do not change. Of the pretrained generators, only those of other images than
    Fashion-MNIST have a discriminator. It is copied if it fits.

    Args:
        gan: Compiled GAN to train.
        name: Run folder, `.keras` file or pretrained name.
        announce: Function that is called with lines on the loaded weights.

    Raises:
        FileNotFoundError: If there is no source of that name, or it holds no trained model.
        ValueError: If the source holds images, networks of other images, or networks with weights
            of other shapes. The message names the first layer that differs. Also if layers of the
            discriminator are frozen, and the source has no discriminator.
    """
    source = find_source(name)
    if source.config is None:
        raise ValueError(
            "Expected the folder of a run, a .keras file or a pretrained name. Received: "
            f"init_from={name!r}, which holds images. Name a trained GAN."
        )
    trained = source.load(announce=announce)
    if gan.image_shape != trained.image_shape:
        height, width = trained.image_shape[:2]
        raise ValueError(
            f"Expected images of shape {trained.image_shape}, which {name} generates. Received: "
            f"images of shape {gan.image_shape}. Resize them with --image-size {width}x{height}, "
            "or use other weights."
        )
    _check_shapes("generator", gan.generator, trained.generator, name)
    if not source.pretrained:
        _check_shapes("discriminator", gan.discriminator, trained.discriminator, name)
        d_weights = trained.discriminator.get_weights()
    else:
        d_weights = hub.pretrained_weights(name, "discriminator")
        if [w.shape for w in d_weights] != [tuple(w.shape) for w in gan.discriminator.weights]:
            _check_not_frozen(gan, name)
            announce(f"{name} has no such discriminator. The run starts with an untrained one.")
            d_weights = gan.discriminator.get_weights()
    gan.generator.set_weights(trained.generator.get_weights())
    gan.discriminator.set_weights(d_weights)
    if gan.ema_generator is not None:
        gan.ema_generator.set_weights(trained.sampling_network().get_weights())


def _check_not_frozen(gan: GAN, name: str) -> None:
    if any(not layer.trainable for layer in gan.discriminator.layers):
        raise ValueError(
            "Expected a source with the same discriminator, whose layers freeze_d keeps. Received: "
            f"init_from={name!r}, which has none. Omit --freeze-d, or name a run or a .keras file."
        )


def _check_shapes(network: str, new: keras.Model, trained: keras.Model, name: str) -> None:
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
