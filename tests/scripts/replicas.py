"""Trains the same GANs on one replica and on two, and compares all that training leaves behind.

    python tests/scripts/replicas.py

prints, as JSON, of two virtual devices of one process and of two processes that find each other by
TF_CONFIG, the greatest difference of each case, relative to the largest of its tensor, and which
rows of the data each step and replica was given. Everything is computed in float64. It also counts
the all-reduces of a step, and tries which of its parts XLA compiles on two devices.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BATCH, BATCHES, EPOCHS = 8, 10, 5  # 50 steps
CASES = {
    "own images": {"steps_per_execution": 1, "own_images": True, "layers": ["regularizer"]},
    "dropout": {"steps_per_execution": 4, "layers": ["dropout"]},
    "augmentations": {
        "steps_per_execution": 4,
        "layers": ["batch norm"],
        "loss": {"name": "binary_crossentropy", "label_flip_rate": 0.05},
        "augmentations": ["instance_noise", "translation", "cutout", "rotation"],
        "augment_p": {"name": "adaptive", "target": 0.1, "ramp_images": 500},
        "replay": 2048,
        "lecam": 0.1,
        "post_hoc_ema": True,
    },
}


def networks(names: Sequence[str] = ()):
    """Builds a small pair for images (4, 4, 1), with the named layers in each network."""
    import keras
    from keras import layers

    makers = {
        "batch norm": lambda: layers.BatchNormalization(synchronized=True),
        "dropout": lambda: layers.Dropout(0.3, seed=3),
        "regularizer": lambda: layers.Dense(20, kernel_regularizer="l2", activity_regularizer="l2"),
    }

    def more() -> list:
        return [makers[name]() for name in names]

    generator = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(20, activation="selu"),
            *more(),
            layers.Dense(16, activation="sigmoid"),
            layers.Reshape((4, 4, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(20, activation="selu"),
            *more(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return generator, discriminator


def read_own_images(images: np.ndarray) -> np.ndarray:
    """Writes images as PNG files, and returns them as a user's folder is read."""
    from fashion_gan import data
    from fashion_gan.images import to_uint8, write_png

    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(to_uint8(images, (0, 1))):
            write_png(Path(folder) / f"{number:03}.png", image)
        collection = data.load_images(folder)
        return data.split_images(collection, held_out="0").train_images


def train(
    strategy,
    steps_per_execution: int,
    layers: Sequence[str] = (),
    own_images: bool = False,
    **arguments,
) -> dict[str, np.ndarray]:
    """Trains 50 steps, and returns the state, the logs and the rows of each step.

    Raises:
        AssertionError: if the devices of this process differ in a variable.
    """
    import keras
    import tensorflow as tf
    from keras.callbacks import LambdaCallback

    from fashion_gan import GAN, callbacks, data

    rows: list = []
    ends: list[int] = []

    class Recording(GAN):
        def train_step(self, data):
            step = self._random_state[1]
            tf.numpy_function(
                lambda *record: rows.append([x.tolist() for x in record]),
                [step, data[:, 0, 0, 0]],
                [],
            )
            return super().train_step(data)

    keras.utils.clear_session()  # layers of each case get the same names
    keras.utils.set_random_seed(1)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    images = np.random.default_rng(0).random((BATCH * BATCHES, 4, 4, 1), dtype="float32")
    images[:, 0, 0, 0] = np.arange(len(images)) / len(images)  # by which a row is known
    if own_images:
        images = read_own_images(images)
    with strategy.scope():
        gan = Recording(*networks(layers), seed=2)
        gan.compile(
            "adam",
            "rmsprop",
            **arguments,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )
    watching = [LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))]
    if "augment_p" in arguments:
        watching.append(callbacks.AdaptiveAugmentation(images**3, images[:24], BATCH, interval=4))
    history = gan.fit(
        data.make_dataset(images, BATCH, steps_per_epoch=BATCHES if own_images else None),
        epochs=EPOCHS,
        validation_data=data.make_dataset(images[:24], BATCH, shuffle=False),
        callbacks=watching,
        verbose=0,
    ).history
    result = {"batches that callbacks saw end": np.array(ends)}
    result |= {f"log {name}": np.array(values) for name, values in history.items()}
    for part in (gan, gan.g_optimizer, gan.d_optimizer):
        for index, variable in enumerate(part.variables):
            first, *others = strategy.experimental_local_results(variable.value)
            for other in others:
                np.testing.assert_array_equal(first, other, err_msg=variable.path)
            result[f"{part.name} {index} {variable.path}"] = first.numpy()
    result["rows"] = np.array(json.dumps(sorted(rows)))
    return result


def difference(one: dict, other: dict) -> float:
    """Returns the greatest difference, relative to the largest number of its tensor."""
    assert list(one) == list(other)
    return max(
        float(np.max(np.abs(one[name] - other[name])) / max(np.max(np.abs(one[name])), 1e-300))
        for name in one
        if name != "rows"
    )


def report(alone: dict, together: list[dict]) -> dict:
    """Formats the result of one case."""
    replicas = [json.loads(str(result["rows"])) for result in together]
    return {
        "difference": max(difference(alone, result) for result in together),
        "difference of replicas": difference(together[0], together[-1]),
        "tensors": len(alone) - 1,
        "steps": int(alone[next(name for name in alone if "random_state" in name)][1]),
        "rows alone": json.loads(str(alone["rows"])),
        "rows together": replicas,
    }


def free_addresses(count: int) -> list[str]:
    """Returns addresses of this host with free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def start_workers(command: list[str], folders=(None, None), **options) -> list[subprocess.Popen]:
    """Starts a command in two processes with a TF_CONFIG for each, in the given folders."""
    cluster = {"worker": free_addresses(2)}
    processes = []
    for index, folder in enumerate(folders):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        environment = {**os.environ, "TF_CONFIG": config}
        processes.append(
            subprocess.Popen(command, env=environment, cwd=folder, text=True, **options)
        )
    return processes


def try_step() -> dict:
    """Counts the all-reduces of a replica's step, and tells what XLA compiles on two devices."""
    import keras
    import tensorflow as tf

    from fashion_gan import GAN, runtime

    keras.utils.clear_session()
    strategy, images = runtime.strategy(2), tf.zeros((BATCH, 4, 4, 1))
    with strategy.scope():
        gan = GAN(*networks())
        gan.compile(jit_compile=False)

    def gradients(images, weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, _ = gan.discriminator.stateless_call(weights, [], images)
            loss = tf.reduce_mean(logits)
        return tape.gradient(loss, weights)

    compiled_step, compiled_gradients = (
        tf.function(function, jit_compile=True, autograph=False)
        for function in (gan.train_step, gradients)
    )

    def replicate(function, jit_compile=False):
        return tf.function(
            lambda images: strategy.run(function, args=(images,)),
            jit_compile=jit_compile,
            autograph=False,
        )

    def compiles(function) -> bool:
        try:
            function(images)
        except tf.errors.InvalidArgumentError:
            return False
        return True

    def replica_gradients(images):
        weights = [tf.convert_to_tensor(w) for w in gan.discriminator.trainable_variables]
        return compiled_gradients(images, weights)

    graph = replicate(gan.train_step).get_concrete_function(images).graph
    reduces = [x for x in graph.get_operations() if x.type.startswith("CollectiveReduce")]
    return {
        "all-reduces": len(reduces) / strategy.num_replicas_in_sync,
        "compiled": {
            "step of all replicas": compiles(replicate(gan.train_step, jit_compile=True)),
            "step of a replica": compiles(replicate(compiled_step)),
            "gradients of a replica": compiles(replicate(replica_gradients)),
        },
    }


def compare() -> dict[str, dict]:
    """Runs each case on one and on two virtual devices, and in two processes."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from fashion_gan import runtime

    with tempfile.TemporaryDirectory() as scratch:
        processes = start_workers([sys.executable, __file__, "--work-in", scratch])
        alone = {name: train(runtime.strategy(), **case) for name, case in CASES.items()}
        devices = {name: [train(runtime.strategy(2), **case)] for name, case in CASES.items()}
        if any([process.wait() for process in processes]):
            raise SystemExit("a worker failed")
        workers = {
            name: [dict(np.load(Path(scratch) / f"{name} {index}.npz")) for index in range(2)]
            for name in CASES
        }
    return {
        how: {name: report(alone[name], together[name]) for name in CASES}
        for how, together in (("devices", devices), ("workers", workers))
    } | {"step": try_step()}


def work(out: str) -> None:
    """Runs each case as one of two workers."""
    from fashion_gan import runtime

    strategy = runtime.strategy()
    index = strategy.cluster_resolver.task_id
    for name, case in CASES.items():
        np.savez(Path(out) / f"{name} {index}.npz", **train(strategy, **case))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-in", metavar="FOLDER", help="of a worker: where its results go")
    options = parser.parse_args()
    if options.work_in:
        work(options.work_in)
    else:
        print(json.dumps(compare()))
