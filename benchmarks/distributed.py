"""Measures the bytes that two workers send in a train step, and the time of a step alone.

    python benchmarks/distributed.py            # a few minutes on two cores
    python benchmarks/distributed.py --pair dense --steps 10 --out /tmp/trial

Counts the bytes of the gradients, and reads the counters of the loopback interface while two
workers train on this host. Nothing else may use the interface meanwhile. Times a step in one
process on this host. Writes docs/results/distributed.json, from which docs/many-devices.md
calculates the cost of a step on many hosts.
"""

import dataclasses
import json
import socket
import time
from pathlib import Path

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure,
    measure_together,
    write_result,
)

PAIRS = ("dense", "dcgan")
BATCH = 32  # images for each worker in a step
WARM_UP = 10


def train(pair, workers, steps):
    """Returns sent bytes and milliseconds of a step, and the sizes of the gradients."""
    import keras
    import numpy as np

    from fashion_gan import data, runtime
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.presets import PRESETS

    marks = []

    class Counter(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch + 1 >= WARM_UP:
                marks.append((loopback_bytes(), time.perf_counter()))

    strategy = runtime.strategy()
    batch_size = BATCH * workers
    config = dataclasses.replace(
        PRESETS[pair], batch_size=batch_size, steps_per_execution=1, jit_compile=False
    )
    with strategy.scope():
        gan = build_gan(config)
    images = np.random.default_rng(0).random((batch_size * (WARM_UP + steps), 28, 28, 1))
    dataset = data.make_dataset(images, batch_size, value_range=gan.value_range)
    gan.fit(dataset, callbacks=[Counter()], verbose=0)
    sent = marks[-1][0] - marks[0][0]
    times = [time for _, time in marks]
    fastest = min(end - start for start, end in zip(times, times[10:], strict=False)) / 10
    gradients = {
        network.name: sum(4 * int(np.prod(w.shape)) for w in network.trainable_weights)
        for network in (gan.generator, gan.discriminator)
    }
    return {"sent": sent / steps, "ms": 1e3 * fastest, "gradients": gradients}


def loopback_bytes():
    """Returns the bytes that the loopback interface has sent."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (counts,) = (line.split(":")[1].split() for line in lines if line.strip().startswith("lo:"))
    return int(counts[8])


def measure_pair(pair, steps):
    """Measures the bytes of a step with two workers, and its milliseconds in one process."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        arguments = {"pair": pair, "workers": 2, "steps": steps}
        workers.append(Request("train", arguments, {"TF_CONFIG": json.dumps(task)}))
    together, _ = measure_together(__file__, workers)
    alone = measure(__file__, Request("train", {"pair": pair, "workers": 1, "steps": steps}))
    return {
        "pair": pair,
        "gradients": alone["gradients"],
        "sent_per_worker": together["sent"] / 2,
        "ms_per_step": alone["ms"],
    }


def main():
    answer(train=train)
    parser = make_parser(__doc__)
    parser.add_argument(
        "--pair",
        action="append",
        choices=PAIRS,
        help="networks to measure; repeat the flag for both",
    )
    parser.add_argument(
        "--steps", type=int, default=50, help="number of steps, at least 10 (default 50)"
    )
    options = parser.parse_args()
    pairs = [measure_pair(pair, options.steps) for pair in options.pair or PAIRS]
    result = {
        "machine": describe_machine(),
        "batch_size": BATCH,
        "steps": options.steps,
        "pairs": pairs,
    }
    write_result(options.out, "distributed", result)


if __name__ == "__main__":
    main()
