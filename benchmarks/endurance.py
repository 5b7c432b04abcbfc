"""Many short trainings: 300 in one process, and 50 in folders side by side. What leaks, what mixes?

    python benchmarks/endurance.py

Each trains the dense pair for one epoch on small images of its own, with all that `fashion-gan
train` does but the final scores. Of the 300 in one process, it keeps the open files and the memory
after each, less what the allocator would give back; 50 more in a process of their own are compiled
by XLA, whose programs TensorFlow never frees. The 50 in folders are trained by 5 processes at a
time, each of which asks for new folders of one name. Writes docs/results/endurance.json.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import machine

from fashion_gan.files import unique_dir, write_json

RESULTS = Path(__file__).parent.parent / "docs/results/endurance.json"
WORKERS = 5
NAME = "short"


def make_images(folder):
    """A file of 300 small images."""
    import numpy as np

    path = folder / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
    np.savez(path, images=images)
    return path


def train_some(images, parent, seeds, jit_compile="auto"):
    """A training for each seed, in a new folder below `parent`; yields the folders."""
    from fashion_gan import run
    from fashion_gan.config import Config

    for seed in seeds:
        config = Config(
            data=str(images),
            seed=seed,
            epochs=1,
            latent_dim=4,
            evaluate_every=0,
            alarm="off",
            jit_compile=jit_compile,
        )
        with unique_dir(parent, NAME) as folder:
            run.train(config, folder, verbose=0, final=False)
            yield folder


def in_one_process(count, jit_compile):
    """Open files and megabytes of memory early and late in `count` trainings."""
    import psutil

    process, files, memory = psutil.Process(), [], []
    with tempfile.TemporaryDirectory() as made:
        images, runs = make_images(Path(made)), Path(made) / "runs"
        for _ in train_some(images, runs, range(count), jit_compile):
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            files.append(process.num_fds())
            memory.append(process.memory_info().rss / 2**20)
            if len(files) % 10 == 0:
                print(
                    f"XLA {jit_compile}, {len(files)}: {files[-1]} open files, {memory[-1]:.0f} MB",
                    file=sys.stderr,
                    flush=True,
                )
    return {
        "runs": count,
        "jit_compile": jit_compile,
        "open_files": steady(files),
        "memory_megabytes": steady(memory),
        "megabytes_a_run": statistics.linear_regression(
            range(count // 10, count), memory[count // 10 :]
        ).slope,
    }


def in_a_child(*arguments):
    """What this script prints as JSON in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def side_by_side(count):
    """How many folders `count` trainings by several processes made, and how many are as asked for.

    A folder is as asked for if its config has one of the seeds, no other folder has that seed, and
    its model is the one that this seed makes alone.
    """
    with tempfile.TemporaryDirectory() as made:
        images, runs = make_images(Path(made)), Path(made) / "runs"
        shares = [range(start, count, WORKERS) for start in range(WORKERS)]
        workers = [
            subprocess.Popen(
                [sys.executable, __file__, "--child", json.dumps([str(images), str(runs), *share])],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            for share in shares
        ]
        if any([worker.wait() for worker in workers]):
            raise SystemExit("a worker failed")
        found = {}
        for folder in sorted(runs.iterdir()):
            config = json.loads((folder / "config.json").read_text())
            found.setdefault(config["seed"], []).append(folder)
        again = Path(made) / "again"
        alone = list(train_some(images, again, range(0, count, count // 5)))
        same = sum(
            metrics(folder) == metrics(found[seed][0])
            for seed, folder in zip(range(0, count, count // 5), alone, strict=True)
        )
        return {
            "asked": count,
            "folders": sum(map(len, found.values())),
            "seeds": len(found),
            "compared_with_one_alone": len(alone),
            "same_as_alone": same,
        }


def metrics(folder):
    """What a run logged, but for its times."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timed = ("seconds", "images_per_second", "time")
    return [
        {name: value for name, value in json.loads(line).items() if name not in timed}
        for line in lines
    ]


def steady(values):
    """The median of the second tenth, and of the last."""
    tenth = max(1, len(values) // 10)
    return {
        "second_tenth": statistics.median(values[tenth : 2 * tenth]),
        "last_tenth": statistics.median(values[-tenth:]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300, help="in one process (default 300)")
    parser.add_argument("--folders", type=int, default=50, help="side by side (default 50)")
    parser.add_argument("--xla", choices=("off", "on"), help=argparse.SUPPRESS)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        images, runs, *seeds = options.child
        list(train_some(images, Path(runs), seeds))
    elif options.xla:
        print(json.dumps(in_one_process(options.runs, options.xla)))
    else:
        result = {
            "machine": machine(),
            "one_process": in_a_child("--xla", "off", "--runs", options.runs),
            "one_process_xla": in_a_child("--xla", "on", "--runs", options.runs // 6),
            "side_by_side": side_by_side(options.folders),
        }
        print(json.dumps(result, indent=1))
        if (options.runs, options.folders) == (300, 50):
            write_json(RESULTS, result)
