"""One peer in a process of its own: time it, or follow its losses from given numbers.

    python one.py time NAME PAIR SECONDS PIXELS.npy     prints JSON
    python one.py give NAME PAIR GIVEN.npz STEPS        writes numbers to start from, for any name
    python one.py check NAME PAIR GIVEN.npz             prints the losses of each step as JSON

GIVEN.npz holds `images` (steps, batch, 28, 28, 1) in the generator's range, `latents` (2 x steps,
batch, latent_dim) and the trainable weights `g0`, `g1`, … and `d0`, …, in Keras' order and layout.
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

MANY = {"dense": 100, "dcgan": 10}
"""Steps in one execution or scan, for peers that make several at once."""

PEERS = {
    "ours": ("ours", {"many": True}),
    "ours, one step an execution": ("ours", {}),
    "ours, one step, no XLA": ("ours", {"xla": False}),
    "the book's loop": ("book_loop", {}),
    "the book's loop, XLA": ("book_loop", {"xla": True}),
    "keras-io": ("keras_io", {}),
    "keras-io, XLA": ("keras_io", {"xla": True}),
    "torch": ("torch_gan", {}),
    "torch.compile": ("torch_gan", {"compiled": True}),
    "jax": ("jax_gan", {}),
    "jax, scan": ("jax_gan", {"many": True}),
}
LEFT_OUT = {"dense": (), "dcgan": ("the book's loop, XLA", "keras-io, XLA", "jax, scan")}
"""Peers that are not timed with a pair: on a CPU, XLA's convolutions take many times as long."""


def trainer(name, pair, **arguments):
    module, options = PEERS[name]
    if "many" in options:
        options = {**options, "many": MANY[pair]}
    return importlib.import_module(module).Trainer(pair, **options, **arguments)


def timed(name, pair, seconds, pixels):
    """Milliseconds a step in one call of about `seconds`, after a warm-up that tells the rate."""
    start = time.perf_counter()
    made = trainer(name, pair)
    made.prepare(np.load(pixels))
    many = MANY[pair] if "many" in PEERS[name][1] else 1
    made.train(many)
    first = time.perf_counter() - start
    steps = many
    while (spent := _seconds(made, steps)) < seconds / 4:
        steps *= 2
    steps = max(round(seconds * steps / spent) // many, 1) * many
    return {
        "ms_per_step": 1e3 * _seconds(made, steps) / steps,
        "steps": steps,
        "first_seconds": first,
        "host_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _seconds(made, steps):
    start = time.perf_counter()
    made.train(steps)
    return time.perf_counter() - start


def write_given(path, pair, steps, seed=0):
    """The numbers that a check starts from: random weights, images and latents."""
    import keras
    from keras_networks import networks

    keras.utils.set_random_seed(seed)
    generator, discriminator, latent_dim = networks(pair)
    batch, low = (64, -1.0) if pair == "dcgan" else (32, 0.0)
    rng = np.random.default_rng(seed)
    given = {
        "images": rng.uniform(low, 1.0, (steps, batch, 28, 28, 1)),
        "latents": rng.standard_normal((2 * steps, batch, latent_dim)),
    }
    for part, network in (("g", generator), ("d", discriminator)):
        for index, variable in enumerate(network.trainable_variables):
            given[f"{part}{index}"] = variable.numpy().astype("float64")
    np.savez(path, **given)


def losses(name, pair, given):
    _compute_in_float64(PEERS[name][0])
    with np.load(given) as file:
        weights = [
            [
                file[f"{part}{i}"]
                for i in range(sum(key[0] == part for key in file if key[1:].isdigit()))
            ]
            for part in "gd"
        ]
        made = trainer(name, pair, weights=weights, dropout=False)
        return made.given(file["images"], file["latents"])


def _compute_in_float64(module):
    """For losses to agree after many steps: differences in rounding double with each of them."""
    if module == "torch_gan":
        import torch

        torch.set_default_dtype(torch.float64)
    elif module == "jax_gan":
        import jax

        jax.config.update("jax_enable_x64", True)
    else:
        import keras

        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    task, name, pair, *rest = sys.argv[1:]
    if task == "give":
        result = write_given(rest[0], pair, int(rest[1]))
    elif task == "check":
        result = losses(name, pair, rest[0])
    else:
        result = timed(name, pair, float(rest[0]), rest[1])
    print(json.dumps(result))
