"""GANs for Keras 3: `GAN` is a `keras.Model` whose `fit()` trains generator and discriminator.

Importing this package is cheap: TensorFlow is loaded with the first name that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fashion_gan._version import __version__
from fashion_gan.runtime import check_backend

if TYPE_CHECKING:
    from fashion_gan import (
        augmentations,
        callbacks,
        data,
        evaluation,
        hub,
        images,
        latents,
        lecam,
        losses,
        metrics,
        models,
        monitor,
        penalties,
        replay,
    )
    from fashion_gan.gan import GAN
    from fashion_gan.hub import upload_preset
    from fashion_gan.runs.checkpoints import load
    from fashion_gan.runs.config import Config

__all__ = [
    "GAN",
    "Config",
    "__version__",
    "augmentations",
    "callbacks",
    "data",
    "evaluation",
    "hub",
    "images",
    "latents",
    "lecam",
    "load",
    "losses",
    "metrics",
    "models",
    "monitor",
    "penalties",
    "replay",
    "upload_preset",
]

_HOMES = {
    "GAN": "fashion_gan.gan",
    "Config": "fashion_gan.runs.config",
    "load": "fashion_gan.runs.checkpoints",
    "upload_preset": "fashion_gan.hub",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        check_backend()  # before Keras is imported
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"fashion_gan.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
