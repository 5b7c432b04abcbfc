"""Measures one variant of one preset, or the machine, in a separate process."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fashion_gan import data, runtime
from fashion_gan.benchmark.flops import (
    copied_bytes_per_second,
    matmul_flops_per_second,
    step_bytes,
    step_flops,
)
from fashion_gan.benchmark.train_on_batch import TrainOnBatchLoop
from fashion_gan.benchmark.variants import find_variant
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.config import Config

__all__ = ["machine", "measure"]


def machine(device: str | None) -> dict[str, Any]:
    """Returns the device, its rates and the versions that TensorFlow finds.

    `flops_per_second` is the best rate of a float32 product, and on a GPU `half_flops_per_second`
    that of a bfloat16 product. `bytes_per_second` is the rate of copies. `tf32` tells whether a GPU
    multiplies float32 in TF32.

    Raises:
        ValueError: If there is no device of the requested kind.
    """
    kind = _use(device, 1)
    names = [found.name for found in tf.config.list_physical_devices(kind)]
    return {
        "device": kind,
        "devices": len(names),
        "flops_per_second": matmul_flops_per_second(),
        "bytes_per_second": copied_bytes_per_second(),
        **(_gpu() if kind == "GPU" else {}),
        **runtime.versions(),
    }


def _gpu() -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return {
        "device_name": details.get("device_name", "GPU"),
        "half_flops_per_second": matmul_flops_per_second(dtype="bfloat16"),
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def measure(
    preset: Config,
    variant: str,
    *,
    steps: int,
    steps_per_execution: int,
    started: float,
    device: str | None = None,
    data_dir: str | None = None,
    profile: str | None = None,
) -> dict[str, Any]:
    """Trains a variant for `steps` steps to warm up, and times the next `steps` steps.

    Args:
        preset: Config to train.
        variant: Name of the variant, see `variants.find_variant`.
        steps: Number of steps. Rounded down to whole executions, at least one execution and at most
            one epoch.
        steps_per_execution: Steps per execution in the variants with many.
        started: `time.time()` when the command for this process was given.
        device: `"CPU"` or `"GPU"`. Defaults to the device that TensorFlow prefers.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        profile: Folder for a TensorBoard profile of one more execution, of at least 10 steps.
            Defaults to None.

    Returns:
        Dict with these keys, among others. `ms_per_step`. `first_seconds`, from the command to the
        end of the first execution. `compile_seconds`, the excess of the first execution over later
        ones. `host_mib` and `device_mib`, the peak memory, where `device_mib` is None on a CPU.
        `flops` and `bytes` of a step. `xla`, the decision on XLA and its reason.

    Raises:
        ValueError: If the requested devices are missing, or if the variant cannot train the preset.
    """
    chosen = find_variant(variant)
    config = chosen.config(preset, steps_per_execution)
    kind = _use(device, chosen.devices)
    fashion = data.load_fashion_mnist(data_dir)
    runtime.prepare(config.seed, config.dtype_policy)
    with runtime.strategy(chosen.devices).scope():
        gan = build_gan(config)
    dataset = data.make_dataset(
        fashion.train_images,
        config.batch_size,
        labels=fashion.train_labels if config.conditional else None,
        value_range=gan.value_range,
        seed=config.seed,
    )
    size = config.steps_per_execution
    executions = max(min(steps, len(dataset)) // size, 1)
    if chosen.book and config.projected:
        raise ValueError(
            "Expected a discriminator of images for the chapter's loop. Received: projected=True. "
            f"Choose another variant than {variant!r}."
        )
    if chosen.book:
        pair = (gan.g_optimizer, gan.d_optimizer)
        book = TrainOnBatchLoop(gan.generator, gan.discriminator, pair, gan.jit_compile)
        batches = iter(dataset.repeat())
        train = lambda count: _time(lambda: book.run(batches, count))
    else:
        train = lambda count: _time_fit(gan, dataset, count)
    first = train(size)
    first_seconds = time.time() - started
    train(executions * size)
    seconds = train(executions * size) / executions
    if profile is not None:
        Path(profile).mkdir(parents=True, exist_ok=True)
        with tf.profiler.experimental.Profile(profile):
            train(max(size, 10))
    return {
        "ms_per_step": 1e3 * seconds / size,
        "first_seconds": first_seconds,
        "compile_seconds": max(first - seconds, 0.0),
        "host_mib": _host_mib(),
        "device_mib": _device_mib() if kind == "GPU" else None,
        "flops": step_flops(gan.generator, gan.discriminator, config.batch_size, gan.projector),
        "bytes": step_bytes(gan, config.batch_size),
        "batch_size": config.batch_size,
        "dtype_policy": config.dtype_policy,
        "xla": str(gan.jit_decision),
    }


class _Clock(keras.callbacks.Callback):
    """Times the executions of an epoch, without the overhead of `fit()`."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seconds = time.perf_counter() - self.start


def _time_fit(gan: keras.Model, dataset: Any, steps: int) -> float:
    clock = _Clock()
    gan.fit(dataset, epochs=1, steps_per_epoch=steps, callbacks=[clock], verbose=0)
    return clock.seconds


def _time(train: Any) -> float:
    start = time.perf_counter()
    train()
    return time.perf_counter() - start


def _use(device: str | None, count: int) -> str:
    """Makes only devices of the requested kind visible, and splits a CPU into `count` devices."""
    gpus = tf.config.list_physical_devices("GPU")
    if device == "GPU" and not gpus:
        raise ValueError(
            "Expected a GPU. Received: --device GPU, where TensorFlow finds none. Install "
            'fashion-gan with its extra "gpu", or omit --device.'
        )
    if device == "CPU":
        tf.config.set_visible_devices([], "GPU")
    kind = "GPU" if gpus and device != "CPU" else "CPU"
    if kind == "CPU" and count > 1:  # one CPU can be split into several logical devices
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, parts)
    return kind


def _host_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _device_mib() -> float:
    names = [
        device.name.removeprefix("/device:") for device in tf.config.list_logical_devices("GPU")
    ]
    return sum(tf.config.experimental.get_memory_info(name)["peak"] for name in names) / 2**20
