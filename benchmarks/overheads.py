"""What an epoch of the dense preset costs beside its steps: diagnostics, callbacks, a resumption.

    python benchmarks/overheads.py                               # about ten minutes on two cores
    python benchmarks/overheads.py --rounds 1 --out FILE.json    # to try it

Callbacks: each variant trains a GAN of its own in one process, one epoch in turn, and its time is
taken relative to that of the bare GAN in the same turn; several processes do so. Resumption: a run
is ended half-way and resumed in a new process, and its epochs are compared with the same ones of a
run that was not. Writes docs/results/overheads.json.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/overheads.json"
TURNS = 9  # of each variant in a process
EPOCHS = 12  # of a run that is ended after half of them
BARE = "bare"


def clock():
    """A pair of callbacks around all others, and the seconds of each epoch between them."""
    import keras

    seconds = []

    class First(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

    class Last(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - first.start)

    first = First()
    return first, Last(), seconds


def variants(folder):
    """Name to settings of the preset and callbacks."""
    from fashion_gan import data, features
    from fashion_gan.callbacks import (
        Backup,
        ImageGrid,
        MetricsFile,
        ModeCollapseMonitor,
        TensorBoard,
    )

    images = data.load().train_images
    alarm = ModeCollapseMonitor(images, features.load(), data.CLASS_NAMES)
    grid, file = ImageGrid(folder), MetricsFile(folder / "metrics.jsonl")
    return {
        BARE: ({}, []),
        "accuracies and logits": ({}, []),
        "these, ImageGrid and MetricsFile": ({}, [grid, file]),
        "these and gradient norms": (
            {"log_gradients": True},
            [ImageGrid(folder / "norms"), MetricsFile(folder / "norms.jsonl")],
        ),
        "TensorBoard": ({}, [TensorBoard(folder)]),
        "Backup": ({}, [Backup(folder / "backup")]),
        "ModeCollapseMonitor": ({}, [alarm]),
    }


def measure_callbacks():
    """Seconds of an epoch in each turn, by variant."""
    import dataclasses

    from fashion_gan import assembly, data
    from fashion_gan.presets import PRESETS

    images = data.load().train_images
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, (settings, callbacks) in variants(Path(folder)).items():
            gan = assembly.build(dataclasses.replace(PRESETS["dense"], **settings))
            if name == BARE:
                gan._accuracies = lambda real, fake: {}
            made[name] = gan, data.make_dataset(images, 32), callbacks, clock()
        for turn in range(TURNS + 1):  # the first one compiles
            for gan, dataset, callbacks, (first, last, _) in made.values():
                gan.fit(
                    dataset,
                    initial_epoch=turn,
                    epochs=turn + 1,
                    callbacks=[first, *callbacks, last],
                    verbose=0,
                )
        return {name: seconds[1:] for name, (*_, (_, _, seconds)) in made.items()}


def measure_epochs(folder, epochs):
    """Seconds of each epoch up to `epochs`, from where the run in `folder` is."""
    from fashion_gan import assembly, data
    from fashion_gan.callbacks import Backup
    from fashion_gan.presets import PRESETS

    gan = assembly.build(PRESETS["dense"])
    first, last, seconds = clock()
    dataset = data.make_dataset(data.load().train_images, 32)
    callbacks = [first, Backup(folder), last]
    gan.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)
    return seconds


def run_all(rounds):
    callbacks, resumed = [], []
    for turn in range(rounds):
        callbacks.append(ask(__file__, {"task": "callbacks"}))
        with tempfile.TemporaryDirectory() as folder:
            whole, parts = Path(folder) / "whole", Path(folder) / "parts"
            request = {"task": "epochs", "epochs": EPOCHS}
            uninterrupted = ask(__file__, {**request, "folder": str(whole)})
            half = {**request, "epochs": EPOCHS // 2, "folder": str(parts)}
            ask(__file__, half)
            rest = ask(__file__, {**request, "folder": str(parts)})
        resumed.append({"uninterrupted": uninterrupted, "resumed": rest})
        print(f"[{turn + 1}/{rounds}]", file=sys.stderr, flush=True)
    # Both first epochs compile, and are left out.
    ratios = [
        statistics.median(r["resumed"][1:])
        / statistics.median(r["uninterrupted"][EPOCHS // 2 + 1 :])
        for r in resumed
    ]
    return {
        "machine": machine(),
        "overheads": {
            name: [
                seconds / bare - 1
                for process in callbacks
                for seconds, bare in zip(process[name], process[BARE], strict=True)
            ]
            for name in callbacks[0]
            if name != BARE
        },
        "bare_epoch_seconds": [s for process in callbacks for s in process[BARE]],
        "resumed_ratios": ratios,
        "resumed_runs": resumed,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes of each (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        request = json.loads(options.child)
        if request.pop("task") == "callbacks":
            print(json.dumps(measure_callbacks()))
        else:
            print(json.dumps(measure_epochs(**request)))
    else:
        write_json(options.out, run_all(options.rounds))
