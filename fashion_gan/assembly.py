"""From a config to a compiled GAN: each of its settings becomes an object."""

from typing import Any

import keras

from fashion_gan import data, models, runtime
from fashion_gan.config import Config
from fashion_gan.gan import GAN
from fashion_gan.losses import LOSSES
from fashion_gan.penalties import PENALTIES
from fashion_gan.registry import lookup, suggestion

__all__ = ["build", "check_names"]


def build(config: Config, split: data.Split | None = None) -> GAN:
    """Builds and compiles the GAN of a config.

    The seed of the config determines its weights. The random generators of Python, NumPy and
    TensorFlow and the global dtype policy stay as they are.

    Args:
        config: what to build.
        split: the images to train on; by default Fashion-MNIST's shape, number and classes.

    Raises:
        ValueError: for a conditional config and images without classes; and as `models.build` does.
    """
    shape: tuple[int, ...] = (28, 28, 1)
    num_images, names = 55_000, data.CLASS_NAMES if split is None else split.class_names
    if split is not None:
        shape, num_images = split.train_images.shape[1:], len(split.train_images)
    if config.conditional and names is None:
        raise ValueError(
            "Expected images with classes, for networks that are told the class. Received: "
            f"conditional=True, and images without. Put the images of {config.data} into one "
            "sub-folder for each class, or add labels to the file."
        )
    check_names(config)
    with runtime.build_scope(config.seed, config.precision):
        return _compiled(config, shape, num_images, names)


def check_names(config: Config) -> None:
    """Raise ValueError, which names the setting, unless a config's names stand for something."""
    lookup(models.MODELS, config.networks, "networks")
    lookup(LOSSES, config.loss, "loss")
    for setting in ("g_optimizer", "d_optimizer"):
        name = getattr(config, setting)
        try:
            keras.optimizers.get(name)
        except (KeyError, TypeError, ValueError) as error:  # the first two for its base classes
            known = {kind.lower() for kind in dir(keras.optimizers)} - {name}
            raise ValueError(
                "Expected the name of an optimizer of Keras, such as adam. "
                f"Received: {setting}={name!r}.{suggestion(name, known)}"
            ) from error


def _compiled(
    config: Config,
    shape: tuple[int, ...],
    num_images: int,
    names: tuple[str, ...] | None,
) -> GAN:
    generator, discriminator = models.build(
        config.networks,
        latent_dim=config.latent_dim,
        image_shape=shape,
        num_classes=len(names) if config.conditional and names else None,
        **({"width": config.width} if config.width else {}),
        **({"dropout": config.dropout} if config.networks == "dcgan" else {}),
    )
    gan = GAN(generator, discriminator, config.latent_dim, seed=config.seed)
    epoch = num_images // (config.batch_size * config.d_steps)
    gan.compile(
        _optimizer(config.g_optimizer, config.g_learning_rate, epoch, config),
        _optimizer(config.d_optimizer, config.d_learning_rate, epoch * config.d_steps, config),
        {"name": config.loss, "label_flip_rate": config.label_flips},
        penalties=[
            {"name": name, "weight": getattr(config, name), "interval": config.penalty_interval}
            for name in PENALTIES
            if getattr(config, name)
        ],
        augmentations=_augmentations(config, epoch),
        replay=config.replay or None,
        ema_decay=config.ema_decay or None,
        d_steps=config.d_steps,
        log_gradients=config.log_gradients,
        jit_compile="auto" if config.jit_compile == "auto" else config.jit_compile == "on",
        steps_per_execution=config.steps_per_execution,
    )
    return gan


def _augmentations(config: Config, steps_per_epoch: int) -> list[Any]:
    """Builds the augmentations of `config`; `steps_per_epoch` converts epochs to steps."""
    identifiers: list[Any] = []
    if config.instance_noise:
        fading = {"stddev": config.instance_noise, "steps": config.noise_epochs * steps_per_epoch}
        identifiers.append({"name": "instance_noise", **fading})
    for name in ("translation", "cutout", "brightness", "contrast"):
        if strength := getattr(config, name):
            identifiers.append({"name": name, "strength": strength})
    return identifiers


def _optimizer(
    name: str, learning_rate: float, epoch: int, config: Config
) -> keras.optimizers.Optimizer:
    """That of a name, whose epochs have so many updates."""
    optimizer = keras.optimizers.get(name)
    arguments = optimizer.get_config()
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2}
    arguments.update({key: value for key, value in betas.items() if key in arguments})
    arguments["learning_rate"] = learning_rate
    if config.weight_decay:
        arguments["weight_decay"] = config.weight_decay
    if config.decay_epochs:
        arguments["learning_rate"] = keras.optimizers.schedules.CosineDecay(
            learning_rate,
            config.decay_epochs * epoch,
            config.decay_to,
            warmup_target=learning_rate,
            warmup_steps=config.decay_from * epoch,
        )
    return type(optimizer).from_config(arguments)
