"""Measures how the cost of a train step scales with batch, images, networks and devices.

    python benchmarks/scaling.py                               # about fifteen minutes on two cores
    python benchmarks/scaling.py --only epochs --rounds 1 --out /tmp/trial

Writes docs/results/scaling.json and, with matplotlib from the extra `bench`, the curves in
docs/images/scaling.svg. `--draw` only draws the curves again.
"""

import statistics
import time

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure_in_rounds,
    read_result,
    write_result,
)

SECONDS = 2.0
BASE = {
    "pair": "dense",
    "batch_size": 32,
    "size": 28,
    "width": 1.0,
    "replicas": 1,
    "jit_compile": "auto",
}
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
    "replicas": [{"replicas": r, "batch_size": 32 * r, "jit_compile": False} for r in (1, 2, 4)],
    "dataset": [{"images": n} for n in (5_000, 50_000, 100_000, 200_000, 400_000)],
    "epochs": [{"epochs": EPOCHS}],
}
"""Points of each sweep, by name. Each point lists its differences from `BASE`."""
TASKS = {"epochs": "measure_epochs", "dataset": "measure_dataset"}


def measure_step(pair, batch_size, size, width, replicas, jit_compile):
    """Returns the milliseconds of a step and the microseconds of an image."""
    import keras

    from fashion_gan import data, runtime

    split_cpu(replicas)
    steps = 100 if pair == "dense" else 10
    images = make_noise(steps * batch_size, size)
    with runtime.strategy(replicas).scope():
        gan = build_gan(pair, size, width, jit_compile, steps)
    dataset = data.make_dataset(images, batch_size, value_range=gan.value_range)
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.start)

    gan.fit(dataset, epochs=2, verbose=0)
    until = time.perf_counter() + SECONDS
    while not seconds or time.perf_counter() < until:
        gan.fit(dataset, epochs=4, callbacks=[Clock()], verbose=0)
    ms = 1e3 * statistics.median(seconds) / steps
    return {"ms_per_step": ms, "us_per_image": 1e3 * ms / batch_size}


def measure_epochs(epochs):
    """Returns the MiB that the process holds after some epochs of 5,000 images."""
    import keras

    from fashion_gan import data

    held = []

    class Memory(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 in epochs:
                held.append(resident_mib())

    gan = build_gan()
    dataset = data.make_dataset(make_noise(5_000, 28))
    gan.fit(dataset, epochs=max(epochs), callbacks=[Memory()], verbose=0)
    return {"mib": held}


def measure_dataset(images):
    """Returns the MiB that a dataset adds to the process and the MiB of its images."""
    from fashion_gan import data

    gan = build_gan()
    gan.fit(data.make_dataset(make_noise(3_200, 28)), epochs=2, verbose=0)
    before = resident_mib()
    dataset = data.make_dataset(make_noise(images, 28))
    gan.fit(dataset, epochs=1, verbose=0)
    return {"mib": resident_mib() - before, "images_mib": images * 28 * 28 / 2**20}


def build_gan(pair="dense", size=28, width=1.0, jit_compile="auto", steps_per_execution=100):
    from fashion_gan import GAN

    gan = GAN(*build_networks(pair, size, width), seed=0)
    gan.compile(jit_compile=jit_compile, steps_per_execution=steps_per_execution)
    return gan


def build_networks(pair, size, width):
    """Builds the named pair; `width` multiplies the hidden units of the dense networks."""
    import keras
    from keras import layers

    from fashion_gan import models

    networks = models.build_networks(pair, image_shape=(size, size, 1))
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


def make_noise(count, size):
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def split_cpu(count):
    """Splits the CPU into several logical devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)


def resident_mib():
    """Returns the MiB that this process holds after a garbage collection."""
    import gc

    import psutil

    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def run(sweeps, rounds):
    """Measures the points of some sweeps and returns them with their rounds."""
    requests, points = {}, {}
    for sweep in sweeps:
        for point in SWEEPS[sweep]:
            task = TASKS.get(sweep, "measure_step")
            arguments = point if sweep in TASKS else {**BASE, **point}
            name = f"{sweep} {point}"
            requests[name] = Request(task, arguments)
            points[name] = sweep, point
    results = {sweep: [] for sweep in sweeps}
    for name, measurements in measure_in_rounds(__file__, requests, rounds).items():
        sweep, point = points[name]
        results[sweep].append({**point, "rounds": measurements})
    return {"machine": describe_machine(), "results": results}


def draw(report, path):
    """Draws the medians of the rounds, with their minimum and maximum, as an SVG file."""
    import matplotlib
    import numpy as np

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "scaling"  # makes ids reproducible
    from matplotlib import pyplot as plt

    results = report["results"]
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")

    def curve(axis, points, x, y, label=None):
        quantiles = np.array(
            [np.quantile([r[y] for r in p["rounds"]], (0, 0.5, 1)) for p in points]
        )
        axis.plot(x, quantiles[:, 1], marker="o", label=label)
        axis.fill_between(x, quantiles[:, 0], quantiles[:, 2], alpha=0.3)

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
    axes[1, 1].plot(sizes, sizes, linestyle="--", color="gray", label="the images once")
    axes[1, 1].set(xlabel="MiB of images", ylabel="MiB held with them")
    axes[1, 1].legend()
    held = [[r["mib"][i] for r in results["epochs"][0]["rounds"]] for i in range(len(EPOCHS))]
    axes[1, 2].plot(EPOCHS, [statistics.median(h) for h in held], marker="o")
    most = max(max(h) for h in held)
    axes[1, 2].set(xlabel="epochs done", ylabel="MiB held", ylim=(0, 1.2 * most))
    figure.savefig(path, metadata={"Date": None})


def main():
    answer(
        measure_step=measure_step,
        measure_epochs=measure_epochs,
        measure_dataset=measure_dataset,
    )
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument(
        "--only",
        action="append",
        choices=list(SWEEPS),
        help="sweep to run; repeat the flag for several",
    )
    parser.add_argument("--draw", action="store_true", help="only draw the curves again")
    options = parser.parse_args()
    if not options.draw:
        write_result(options.out, "scaling", run(options.only or list(SWEEPS), options.rounds))
    report = read_result(options.out, "scaling")
    if set(report["results"]) == set(SWEEPS):
        path = options.out / "images/scaling.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(report, path)


if __name__ == "__main__":
    main()
