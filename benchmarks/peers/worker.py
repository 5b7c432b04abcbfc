"""Times one peer in this process, or computes its losses from given numbers.

`check.py` and `compare.py` run these tasks in separate processes:

    time_steps(name, pair, seconds, pixels)        times steps on the images in a .npy file
    write_given(path, pair, steps)                 writes numbers to start from, for any peer
    compute_losses(name, pair, given)              computes the losses of each step from them

The numbers are in an .npz file: `images` (steps, batch, 28, 28, 1) in the generator's range,
`latents` (2 x steps, batch, latent_dim) and the trainable weights `g0`, `g1`, … and `d0`, …, in the
order and layout of Keras.
"""

import importlib
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # for _harness

from _harness import answer  # noqa: E402

MANY = {"CPU": {"dense": 100, "dcgan": 10}, "GPU": {"dense": 300, "dcgan": 100}}
"""Steps in one execution or scan, for peers that run several at once."""

PEERS = {
    "ours": ("fashion_gan_fit", {"many": True}),
    "ours, one step an execution": ("fashion_gan_fit", {}),
    "ours, one step, no XLA": ("fashion_gan_fit", {"jit_compile": False}),
    "the book's loop": ("book_loop", {}),
    "the book's loop, XLA": ("book_loop", {"jit_compile": True}),
    "keras-io": ("keras_io", {}),
    "keras-io, XLA": ("keras_io", {"jit_compile": True}),
    "torch": ("torch_gan", {}),
    "torch.compile": ("torch_gan", {"compiled": True}),
    "jax": ("jax_gan", {}),
    "jax, scan": ("jax_gan", {"many": True}),
}
LEFT_OUT = {"dense": (), "dcgan": ("the book's loop, XLA", "keras-io, XLA", "jax, scan")}
"""Peers that are not timed with a pair, as XLA's convolutions are far slower on a CPU."""


def device_kind():
    """Returns "GPU" if NVIDIA's driver lists a GPU, else "CPU", without loading a framework."""
    return "GPU" if gpu_name() else "CPU"


def gpu_name():
    """Returns the name of the first GPU that NVIDIA's driver lists, or an empty string."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]
    except FileNotFoundError:
        return ""


def make_trainer(name, pair, **arguments):
    """Builds the trainer of a peer."""
    module, options = PEERS[name]
    if "many" in options:
        options = {**options, "many": MANY[device_kind()][pair]}
    return importlib.import_module(module).Trainer(pair, **options, **arguments)


def time_steps(name, pair, seconds, pixels):
    """Times the steps of one call of about `seconds`, after a warm-up that measures the rate."""
    start = time.perf_counter()
    trainer = make_trainer(name, pair)
    trainer.prepare(np.load(pixels))
    many = MANY[device_kind()][pair] if "many" in PEERS[name][1] else 1
    trainer.train(many)
    first = time.perf_counter() - start
    steps = many
    while (spent := _time(trainer, steps)) < seconds / 4:
        steps *= 2
    steps = max(round(seconds * steps / spent) // many, 1) * many
    return {
        "ms_per_step": 1e3 * _time(trainer, steps) / steps,
        "steps": steps,
        "first_seconds": first,
        "host_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _time(trainer, steps):
    start = time.perf_counter()
    trainer.train(steps)
    return time.perf_counter() - start


def write_given(path, pair, steps, seed=0):
    """Writes the inputs of a check: random weights, images and latents."""
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


def compute_losses(name, pair, given):
    """Computes both losses of each step from given numbers, in float64 and without dropout."""
    _compute_in_float64(PEERS[name][0])
    with np.load(given) as file:
        weights = [
            [
                file[f"{part}{i}"]
                for i in range(sum(key[0] == part for key in file if key[1:].isdigit()))
            ]
            for part in "gd"
        ]
        trainer = make_trainer(name, pair, weights=weights, dropout=False)
        return trainer.given(file["images"], file["latents"])


def _compute_in_float64(module):
    """Sets float64, since rounding differences double with each step and would hide others."""
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
    answer(time_steps=time_steps, write_given=write_given, compute_losses=compute_losses)
