"""Builds the images, the datasets and the compiled GAN of a config."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from fashion_gan import data, models, runtime
from fashion_gan.gan import GAN
from fashion_gan.losses import LOSSES
from fashion_gan.penalties import PENALTIES, GradientPenalty
from fashion_gan.registry import did_you_mean, lookup
from fashion_gan.runs.config import STRENGTHS, Config
from fashion_gan.runs.directory import DatasetInfo

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "FASHION_MNIST",
    "Experiment",
    "build_gan",
    "check_names",
    "describe_length",
    "load_split",
    "prepare",
    "steps_per_epoch",
]

FASHION_MNIST = DatasetInfo((28, 28, 1), 55_000, data.CLASS_NAMES)
"""Dataset info of Fashion-MNIST."""


@dataclass(frozen=True)
class Experiment:
    """Holds the images, datasets and GAN of a run, built and checked.

    Attributes:
        config: Config of the run.
        split: Images of the run.
        gan: Compiled GAN, untrained.
        train: Dataset to train on.
        validation: Dataset of held-out images.
    """

    config: Config
    split: data.Split
    gan: GAN
    train: "tf.data.Dataset"
    validation: "tf.data.Dataset"


def prepare(
    config: Config,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    split: data.Split | None = None,
    strategy: "tf.distribute.Strategy | None" = None,
) -> Experiment:
    """Loads the images of a config and builds its GAN and datasets, without writing anything.

    Args:
        config: Config to prepare.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        split: Images of the config. Defaults to None, which loads them.
        strategy: Distribution strategy to build the GAN under. Defaults to the current one.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If the images do not fit the config, see `build_gan`; if there are too few
            images for one step; if `adaptive_augmentation` is on without held-out images.
    """
    split = load_split(config, data_dir) if split is None else split
    batch_size, num_images = config.batch_size * config.d_steps, len(split.train_images)
    if not steps_per_epoch(config, num_images):
        times = f" and d_steps={config.d_steps}" if config.d_steps > 1 else ""
        raise ValueError(
            f"Expected at least {batch_size:,} training images for a step of "
            f"batch_size={config.batch_size}{times}. Received: {num_images:,} images. Lower the "
            "batch size."
        )
    if config.adaptive_augmentation and not split.held_out:
        raise ValueError(
            "Expected held-out images for adaptive_augmentation. Received: none held out. Hold "
            "some out with --held-out, or set a fixed --augment-p."
        )
    with nullcontext() if strategy is None else strategy.scope():
        gan = build_gan(config, split)
    num_validation = len(split.validation_images) // config.d_steps * config.d_steps
    labels = (split.train_labels, split.validation_labels) if config.conditional else (None, None)
    train = data.make_dataset(
        split.train_images,
        batch_size,
        labels=labels[0],
        value_range=gan.value_range,
        seed=config.seed,
        steps_per_epoch=config.steps_per_epoch or None,
        mirror=config.mirror,
    )
    validation = data.make_dataset(
        split.validation_images,
        min(batch_size, num_validation),
        labels=labels[1],
        value_range=gan.value_range,
        shuffle=False,
    )
    return Experiment(config, split, gan, train, validation)


def steps_per_epoch(config: Config, num_images: int) -> int:
    """Returns the number of train steps in one epoch of `config` on `num_images` images."""
    one_pass = num_images * (1 + config.mirror) // (config.batch_size * config.d_steps)
    return config.steps_per_epoch or one_pass


def describe_length(config: Config, num_images: int) -> str:
    """Describes the length of a training on `num_images` images in epochs, steps and passes."""
    steps, num_seen = steps_per_epoch(config, num_images), num_images * (1 + config.mirror)
    passes = config.epochs * steps * config.batch_size * config.d_steps / num_seen
    images = f"{num_seen:,} {'images and mirror images' if config.mirror else 'images'}"
    return (
        f"{config.epochs} epochs of {steps:,} {'step' if steps == 1 else 'steps'}: "
        f"{config.epochs * steps:,} steps, "
        f"{passes:,.{0 if passes >= 10 else 1}f} passes over {images}"
    )


def load_split(
    config: Config,
    data_dir: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> data.Split:
    """Loads the images that a config names, or Fashion-MNIST by default.

    Args:
        config: Config of the run.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        announce: Function that is called with lines on the images found, skipped and held out.
    """
    if not config.data:
        return data.load_fashion_mnist(data_dir)
    collection = data.load_images(
        config.data,
        config.image_options(),
        skip_corrupt=config.skip_corrupt,
        progress=ProgressBar("image"),
    )
    split = data.split_images(collection, config.held_out)
    for line in collection.describe():
        announce(line)
    if split.held_out:
        announce(f"held out       {split.held_out:,} images; {len(split.train_images):,} train")
    else:
        announce("held out       none: all images train, and scores compare with these")
    return split


class ProgressBar:
    """Shows a progress bar for work that takes more than a moment.

    Args:
        unit: Plural noun of the items that are counted.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._start = time.monotonic()
        self._bar: keras.utils.Progbar | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None and time.monotonic() - self._start > 2 and done < total:
            self._bar = keras.utils.Progbar(total, unit_name=self._unit)
        if self._bar is not None:
            self._bar.update(done, finalize=done == total)


def build_gan(config: Config, images: data.Split | DatasetInfo = FASHION_MNIST) -> GAN:
    """Builds and compiles the GAN of a config.

    The seed of the config determines its weights. The random generators of Python, NumPy and
    TensorFlow and the global dtype policy stay as they are.

    Args:
        config: Config of the GAN.
        images: Images to train on, or a description of their shape, number and classes. Defaults
            to the description of Fashion-MNIST.

    Raises:
        ValueError: If the config is conditional and the images have no classes; if it freezes all
            layers of the discriminator; in the cases that `models.build_networks` lists.
    """
    info = images if isinstance(images, DatasetInfo) else DatasetInfo.from_split(images)
    if config.conditional and info.class_names is None:
        raise ValueError(
            "Expected images with classes, for conditional networks. Received: "
            f"conditional=True, and images without classes. Put the images of {config.data} into "
            "one sub-folder for each class, or add labels to the file."
        )
    check_names(config)
    with runtime.build_scope(config.seed, config.dtype_policy):
        return _compiled(config, info)


def check_names(config: Config) -> None:
    """Raises a ValueError that names the setting if a config holds an unknown name."""
    lookup(models.MODELS, config.model, "model")
    lookup(LOSSES, config.loss, "loss")
    for setting in ("g_optimizer", "d_optimizer"):
        name = getattr(config, setting)
        try:
            keras.optimizers.get(name)
        except (KeyError, TypeError, ValueError) as error:  # base classes raise the first two
            known = {kind.lower() for kind in dir(keras.optimizers)} - {name}
            raise ValueError(
                "Expected the name of an optimizer of Keras, such as adam. "
                f"Received: {setting}={name!r}.{did_you_mean(name, known)}"
            ) from error


def _may_saturate(config: Config) -> bool:
    """Returns whether all pixels of a generator could get stuck at a limit of their range.

    This happened on images with white backgrounds, but never on Fashion-MNIST. Its presets keep the
    output of the networks that their results were recorded with.
    """
    return bool(config.data) and config.model in ("convnet", "fastgan", "resnet")


def _compiled(config: Config, info: DatasetInfo) -> GAN:
    num_classes = len(info.class_names) if config.conditional and info.class_names else None
    generator, discriminator = models.build_networks(
        config.model,
        latent_dim=config.latent_dim,
        image_shape=info.image_shape,
        num_classes=num_classes,
        **({"width": config.width} if config.width else {}),
        **({"dropout": config.dropout} if config.model == "dcgan" else {}),
        **({"output": models.inward_hard_tanh} if _may_saturate(config) else {}),
    )
    projector = None
    if config.projected:
        value_range = models.introspection.infer_value_range(generator, generator.input)
        projector = models.imagenet_projector(info.image_shape, value_range)
        discriminator = models.projected_discriminator(info.image_shape, num_classes=num_classes)
    _freeze_first_layers(discriminator, config.freeze_d)
    gan = GAN(generator, discriminator, config.latent_dim, projector=projector, seed=config.seed)
    steps = steps_per_epoch(config, info.num_images)
    gan.compile(
        _optimizer(config.g_optimizer, config.g_learning_rate, steps, config),
        _optimizer(config.d_optimizer, config.d_learning_rate, steps * config.d_steps, config),
        {"name": config.loss, "label_flip_rate": config.label_flip_rate},
        penalties=_penalties(config, steps),
        augmentations=_augmentations(config, steps),
        augment_p=_augment_p(config),
        replay=config.replay_size or None,
        lecam=config.lecam or None,
        ema_decay=config.ema_decay or None,
        post_hoc_ema=config.post_hoc_ema,
        d_steps=config.d_steps,
        accumulate=config.accumulate,
        log_gradients=config.log_gradients,
        jit_compile=config.jit_compile,
        steps_per_execution=config.steps_per_execution,
    )
    return gan


def _freeze_first_layers(discriminator: keras.Model, count: int) -> None:
    """Freezes the first layers with weights, as in Mo et al. 2020, arxiv.org/abs/2002.10964.

    Raises:
        ValueError: If no layer would be left to train.
    """
    layers = [layer for layer in discriminator.layers if layer.trainable_weights]
    if count >= len(layers):
        raise ValueError(
            f"Expected fewer layers than the {len(layers)} of the discriminator. Received: "
            f"freeze_d={count}. Leave some to train."
        )
    for layer in layers[:count]:
        layer.trainable = False


def _penalties(config: Config, steps_per_epoch: int) -> list[GradientPenalty]:
    """Builds the penalties of `config`, with epochs converted by `steps_per_epoch`."""

    def weight(value: float) -> Any:
        if not config.penalty_decay_epochs:
            return value
        steps = config.penalty_decay_epochs * steps_per_epoch
        return keras.optimizers.schedules.CosineDecay(value, steps, config.penalty_final_scale)

    return [
        penalty(weight(getattr(config, name)), config.penalty_interval)
        for name, penalty in PENALTIES.items()
        if getattr(config, name)
    ]


def _augmentations(config: Config, steps_per_epoch: int) -> list[Any]:
    """Builds the augmentations of `config`, with epochs converted by `steps_per_epoch`."""
    identifiers: list[Any] = []
    if config.instance_noise:
        fading = {"stddev": config.instance_noise, "steps": config.noise_epochs * steps_per_epoch}
        identifiers.append({"name": "instance_noise", **fading})
    if config.augment_mirror:
        identifiers.append("mirror")
    for name in STRENGTHS:
        if strength := getattr(config, name):
            identifiers.append({"name": name, "strength": strength})
    return identifiers


def _augment_p(config: Config) -> Any:
    """Returns the probability of the augmentations as `GAN.compile` takes it."""
    if not config.adaptive_augmentation:
        return config.augment_p
    return {
        "name": "adaptive",
        "target": config.overfit_target,
        "ramp_images": config.augment_ramp,
        "maximum": config.augment_p,
    }


def _optimizer(
    name: str, learning_rate: float, updates_per_epoch: int, config: Config
) -> keras.optimizers.Optimizer:
    """Builds an optimizer by name, with its learning-rate schedule."""
    optimizer = keras.optimizers.get(name)
    arguments = optimizer.get_config()
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2}
    arguments.update({key: value for key, value in betas.items() if key in arguments})
    arguments["learning_rate"] = learning_rate
    if config.weight_decay:
        arguments["weight_decay"] = config.weight_decay
    if config.lr_decay_epochs:
        arguments["learning_rate"] = keras.optimizers.schedules.CosineDecay(
            learning_rate,
            config.lr_decay_epochs * updates_per_epoch,
            config.lr_final_scale,
            warmup_target=learning_rate,
            warmup_steps=config.lr_decay_start * updates_per_epoch,
        )
    return type(optimizer).from_config(arguments)
