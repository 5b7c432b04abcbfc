"""What a train step costs as the work grows: batch, image size, width, replicas, epochs, dataset.

    python benchmarks/scaling.py                               # about fifteen minutes on two cores
    python benchmarks/scaling.py --only epochs --rounds 1 --out FOLDER

Each measurement has a process of its own, and the measurements take turns. Writes
results/scaling.json below docs/, and with matplotlib, which the extra `bench` brings, the curves
images/scaling.svg; `--chart` only draws these anew.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

DOCS = Path(__file__).parent.parent / "docs"
SECONDS = 2.0
BASE = {"pair": "dense", "batch_size": 32, "size": 28, "width": 1.0, "replicas": 1, "xla": "auto"}
EPOCHS = (1, 5, 10, 25, 50, 100, 200)
SWEEPS = {
    "batch": [
        *({"batch_size": b} for b in (8, 16, 32, 64, 128, 256, 512, 1024)),
        *({"pair": "dcgan", "batch_size": b} for b in (8, 16, 32, 64, 128)),
    ],
    "size": [
        *({"size": s} for s in (14, 28, 56, 112)),
        *({"pair": "dcgan", "size": s} for s in (16, 28, 32, 64)),
    ],
    "width": [{"width": w} for w in (0.5, 1.0, 2.0, 4.0, 8.0)],
    "replicas": [{"replicas": r, "batch_size": 32 * r, "xla": "off"} for r in (1, 2, 4)],
    "dataset": [{"images": n} for n in (5_000, 50_000, 100_000, 200_000, 400_000)],
    "epochs": [{"epochs": EPOCHS}],
}
"""Name to requests: what differs from `BASE`; what grows has the name of the sweep."""


def measure_step(pair, batch_size, size, width, replicas, xla):
    """Milliseconds a step, and those of an image."""
    import keras

    from fashion_gan import data, runtime

    _pose_as(replicas)
    many = 100 if pair == "dense" else 10
    images = _noise(many * batch_size, size)
    with runtime.strategy(replicas).scope():
        gan = _gan(pair, size, width, xla, many)
    dataset = data.make_dataset(images, batch_size, value_range=gan.value_range)
    spans = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            spans.append(time.perf_counter() - self.start)

    gan.fit(dataset, epochs=2, verbose=0)
    until = time.perf_counter() + SECONDS
    while not spans or time.perf_counter() < until:
        gan.fit(dataset, epochs=4, callbacks=[Clock()], verbose=0)
    ms = 1e3 * statistics.median(spans) / many
    return {"ms_per_step": ms, "us_per_image": 1e3 * ms / batch_size}


def measure_epochs(epochs):
    """MiB that the process holds after some epochs of 5,000 images."""
    import keras

    from fashion_gan import data

    held = []

    class Memory(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 in epochs:
                held.append(_mib())

    gan = _gan("dense", 28, 1.0, "auto", 100)
    gan.fit(
        data.make_dataset(_noise(5_000, 28)), epochs=max(epochs), callbacks=[Memory()], verbose=0
    )
    return {"mib": held}


def measure_dataset(images):
    """MiB that the process holds beyond what it held without data, and MiB of the images."""
    from fashion_gan import data

    gan = _gan("dense", 28, 1.0, "auto", 100)
    gan.fit(data.make_dataset(_noise(3_200, 28)), epochs=2, verbose=0)
    before = _mib()
    dataset = data.make_dataset(_noise(images, 28))
    gan.fit(dataset, epochs=1, verbose=0)
    return {"mib": _mib() - before, "images_mib": images * 28 * 28 / 2**20}


def _gan(pair, size, width, xla, steps_per_execution):
    from fashion_gan import GAN

    gan = GAN(*_networks(pair, size, width), seed=0)
    jit_compile = "auto" if xla == "auto" else xla == "on"
    gan.compile(jit_compile=jit_compile, steps_per_execution=steps_per_execution)
    return gan


def _networks(pair, size, width):
    """The named pair; if `width` is not 1, dense networks with so many times the hidden units."""
    import keras
    from keras import layers

    from fashion_gan import models

    networks = models.build(pair, image_shape=(size, size, 1))
    if width == 1:
        return networks

    def wider(layer):
        config = layer.get_config()
        if isinstance(layer, layers.Dense) and layer.units in (100, 150):
            config["units"] = int(width * layer.units)
        return type(layer).from_config(config)

    return [
        keras.Sequential([keras.Input(n.input_shape[1:]), *map(wider, n.layers)], name=n.name)
        for n in networks
    ]


def _noise(count, size):
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def _pose_as(replicas):
    """Let the CPU pose as several devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, parts)


def _mib():
    import gc

    import psutil

    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def run_all(names, rounds):
    wanted = [(name, request) for name in names for request in SWEEPS[name]]
    results = {name: [{**request, "rounds": []} for request in SWEEPS[name]] for name in names}
    for turn in range(rounds):
        for name, request in wanted:
            whole = request if name in ("epochs", "dataset") else {**BASE, **request}
            answer = ask(__file__, {"sweep": name, **whole})
            results[name][SWEEPS[name].index(request)]["rounds"].append(answer)
            print(f"[{turn + 1}/{rounds}] {name} {request}: {answer}", file=sys.stderr, flush=True)
    return {"machine": machine(), "results": results}


def draw(report, path):
    """The curves: medians of the rounds, with the least and largest."""
    import matplotlib
    import numpy as np

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "scaling"  # the same ids each time
    from matplotlib import pyplot as plt

    results = report["results"]
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")

    def curve(axis, points, x, y, label=None):
        spreads = np.array([np.quantile([r[y] for r in p["rounds"]], (0, 0.5, 1)) for p in points])
        axis.plot(x, spreads[:, 1], marker="o", label=label)
        axis.fill_between(x, spreads[:, 0], spreads[:, 2], alpha=0.3)

    for axis, name, label, unit in (
        (axes[0, 0], "batch", "images in a batch", "us_per_image"),
        (axes[0, 1], "size", "pixels along a side", "ms_per_step"),
        (axes[0, 2], "width", "hidden units, times the book's", "ms_per_step"),
        (axes[1, 0], "replicas", "replicas on one CPU, each with 32 images", "ms_per_step"),
    ):
        key = {"batch": "batch_size", "replicas": "replicas"}.get(name, name)
        for pair in ("dense", "dcgan"):
            points = [p for p in results[name] if p.get("pair", "dense") == pair]
            if points:
                curve(axis, points, [p[key] for p in points], unit, pair)
        axis.set_xlabel(label)
        axis.set_ylabel("µs an image" if unit == "us_per_image" else "ms a step")
        ticks = sorted({p[key] for p in results[name] if p.get("pair", "dense") == "dense"})
        if name in ("batch", "size"):
            axis.set(xscale="log", yscale="log")
        else:
            axis.set_ylim(0, None)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.xaxis.minorticks_off()
        axis.legend()
    points = results["dataset"]
    sizes = [p["rounds"][0]["images_mib"] for p in points]
    curve(axes[1, 1], points, sizes, "mib", "held")
    axes[1, 1].plot(sizes, sizes, linestyle="--", color="grey", label="the images once")
    axes[1, 1].set(xlabel="MiB of images", ylabel="MiB held with them")
    axes[1, 1].legend()
    held = [[r["mib"][i] for r in results["epochs"][0]["rounds"]] for i in range(len(EPOCHS))]
    axes[1, 2].plot(EPOCHS, [statistics.median(h) for h in held], marker="o")
    most = max(max(h) for h in held)
    axes[1, 2].set(xlabel="epochs done", ylabel="MiB held", ylim=(0, 1.2 * most))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(SWEEPS), help="one or several")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder (default docs)")
    parser.add_argument("--chart", action="store_true", help="only draw the curves anew")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    results = options.out / "results/scaling.json"
    if options.child:
        request = json.loads(options.child)
        measure = {"epochs": measure_epochs, "dataset": measure_dataset}
        print(json.dumps(measure.get(request.pop("sweep"), measure_step)(**request)))
        sys.exit()
    if not options.chart:
        report = run_all(options.only or list(SWEEPS), options.rounds)
        results.parent.mkdir(parents=True, exist_ok=True)
        write_json(results, report)
    report = json.loads(results.read_text())
    if set(report["results"]) == set(SWEEPS):
        (options.out / "images").mkdir(exist_ok=True)
        draw(report, options.out / "images/scaling.svg")
