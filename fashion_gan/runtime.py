"""The process that a run lives in: seeds, precision, TensorFlow's messages, versions."""

import os
import platform
import sys
import tempfile
from importlib import metadata
from typing import Any

from fashion_gan._version import __version__

__all__ = ["import_tensorflow_quietly", "prepare", "versions"]


def import_tensorflow_quietly() -> None:
    """Import TensorFlow with its start-up messages kept off the terminal.

    Part of them obeys `TF_CPP_MIN_LOG_LEVEL`, which is set unless it is; the rest is written before
    that is read, so the standard error stream is held back meanwhile. If the import fails, it is
    shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def prepare(seed: int, precision: str) -> None:
    """Seed Python, NumPy and TensorFlow, and set the precision of the networks to be built.

    Args:
        seed: of all random numbers.
        precision: a name of Keras' dtype policies, e.g. `"mixed_bfloat16"`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)


def versions() -> dict[str, Any]:
    """Versions of the packages that a result depends on, and the platform."""
    packages = ("tensorflow", "keras", "numpy", "tensorboard")
    return {
        "fashion_gan": __version__,
        **{name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
