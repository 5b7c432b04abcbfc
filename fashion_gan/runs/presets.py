"""Defines the presets, tested configs that have a name."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from fashion_gan.runs.config import Config
from fashion_gan.runtime import has_imagenet_weights

__all__ = ["PRESETS", "closest_preset", "default_preset"]

_BOOK = Config()
_MODERN = Config(
    loss="relativistic",
    ema_decay=0.9995,
    g_optimizer="adam",
    d_optimizer="adam",
    g_learning_rate=1e-3,
    d_learning_rate=1e-3,
    beta_1=0.0,
    beta_2=0.99,
    batch_size=64,
    eval_freq=1,
)

_CONVOLUTIONAL = replace(
    _MODERN,
    latent_dim=64,
    r1=0.5,
    r2=0.5,
    ema_decay=0.9998,
    g_learning_rate=5e-4,
    d_learning_rate=1e-3,
    steps_per_execution=10,
)

_RESIDUAL = replace(
    _CONVOLUTIONAL,
    model="resnet",
    g_learning_rate=2e-4,
    d_learning_rate=4e-4,
    lr_decay_start=13,
    lr_decay_epochs=13,
    lr_final_scale=0.05,
    epochs=26,
)

# Small collections need augmentations. A run shorter than `dcgan_modern` needs a shorter average.
_OWN_IMAGES = replace(
    _CONVOLUTIONAL,
    model="convnet",
    translation=0.125,
    ema_decay=0.999,
    lr_decay_start=14,
    lr_decay_epochs=6,
    lr_final_scale=0.05,
    epochs=20,
)

PRESETS: dict[str, Config] = {
    "dense": _BOOK,
    "dense_modern": replace(
        _MODERN,
        loss="binary_crossentropy",
        r1=0.5,
        r2=0.5,
        ema_decay=0.9999,
        g_learning_rate=1.5e-3,
        d_learning_rate=1.5e-3,
        weight_decay=0.1,
        batch_size=128,
        epochs=200,
        eval_freq=5,
    ),
    "dcgan": replace(_BOOK, model="dcgan", latent_dim=100, eval_freq=1),
    "dcgan_modern": replace(
        _CONVOLUTIONAL,
        model="convnet",
        ema_decay=0.9995,
        lr_decay_start=19,
        lr_decay_epochs=8,
        lr_final_scale=0.05,
        epochs=27,
    ),
    # In 6,900 such steps, samples of 3,400 emoji became recognizable.
    "images": replace(_OWN_IMAGES, cutout=0.2, steps_per_epoch=500),
    "lucic_ns": replace(
        _BOOK,
        model="infogan",
        latent_dim=64,
        g_optimizer="adam",
        d_optimizer="adam",
        g_learning_rate=2e-4,
        d_learning_rate=2e-4,
        beta_1=0.5,
        batch_size=64,
        epochs=20,
        eval_freq=1,
    ),
    "projected": replace(
        _OWN_IMAGES,
        model="fastgan",
        projected=True,
        width=64,
        r1=0.25,
        r2=0.25,
        g_learning_rate=1e-3,
        batch_size=32,
        steps_per_epoch=200,
        eval_freq=2,
        init_from="auto",
    ),
    "resnet": replace(_RESIDUAL, width=80, r1=0.25, r2=0.25),
    "resnet_conditional": replace(_RESIDUAL, conditional=True, width=72, r1=1.0, r2=1.0),
}


def default_preset(
    settings: Mapping[str, Any], progress: Callable[[int, int], None] | None = None
) -> str:
    """Returns the name of the preset that fits the given settings best.

    Without own images, it is `"dense"`. With own images in RGB, it is `"projected"`. It is
    `"images"` for gray images and images with an alpha channel, without the extra `features`, and
    if the settings name a pair of networks.

    Args:
        settings: Values of settings that differ from the preset, by name.
        progress: Function that is called with the numbers of decoded images and of all images, if
            the images are read for their channels. Defaults to None.

    Raises:
        FileNotFoundError: If there are no such images.
        ValueError: If a setting is out of bounds, or if the images cannot be read.
    """
    if not settings.get("data"):
        return "dense"
    if "model" in settings or not has_imagenet_weights():
        return "images"
    channels = settings.get("channels", "auto")
    if channels == "auto":
        channels = str(_num_channels(settings, progress))
    return "projected" if channels == "3" else "images"


def _num_channels(settings: Mapping[str, Any], progress: Callable[[int, int], None] | None) -> int:
    """Reads own images, and returns their number of channels."""
    from fashion_gan import data  # imports NumPy, which the help does without

    names = ("data", "image_size", "resize", "resample", "background", "skip_corrupt")
    config = Config(**{name: settings[name] for name in names if name in settings})
    options, skip = config.image_options(), config.skip_corrupt
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training warns of skipped files
        collection = data.load_images(config.data, options, skip_corrupt=skip, progress=progress)
    return int(collection.images.shape[-1])


def closest_preset(config: Config) -> tuple[str, dict[str, Any]]:
    """Returns the preset that differs from a config in the fewest settings, and these settings."""

    def changes(preset: Config) -> dict[str, Any]:
        names = [field.name for field in fields(Config)]
        pairs = {name: (getattr(config, name), getattr(preset, name)) for name in names}
        return {name: now for name, (now, then) in pairs.items() if now != then}

    name = min(PRESETS, key=lambda name: len(changes(PRESETS[name])))
    return name, changes(PRESETS[name])
