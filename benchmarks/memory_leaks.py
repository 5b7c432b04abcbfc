"""Measures leaks over many short trainings, and checks that parallel trainings do not mix.

    python benchmarks/memory_leaks.py                             # about half an hour on two cores
    python benchmarks/memory_leaks.py --runs 4 --side-by-side 5 --out /tmp/trial

Each training trains the dense pair for one epoch on small images, as `fashion-gan train` does, but
without the final scores. 300 trainings run in one process without XLA, and 50 in another process
with XLA, whose programs TensorFlow never frees. After each training, the script counts the open
files and the memory that the allocator does not return. 50 more trainings run in 5 parallel
processes, which create folders of the same name. Writes docs/results/memory-leaks.json.
"""

import ctypes
import gc
import json
import statistics
import tempfile
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

from fashion_gan.files import METRICS, unique_dir

WORKERS = 5
NAME = "short"
TIMED = ("seconds", "images_per_second", "time")


def make_images(folder):
    """Writes 300 small images to a file and returns its path."""
    import numpy as np

    path = folder / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
    np.savez(path, images=images)
    return path


def train_runs(images, parent, seeds, jit_compile="auto"):
    """Trains each seed in a new folder below `parent`, and yields the folders."""
    from fashion_gan.runs.config import Config
    from fashion_gan.runs.train import train_run

    for seed in seeds:
        config = Config(
            data=str(images),
            seed=seed,
            epochs=1,
            latent_dim=4,
            eval_freq=0,
            on_collapse="off",
            jit_compile=jit_compile,
        )
        with unique_dir(parent, NAME) as folder:
            train_run(config, folder, verbose=0, final=False)
            yield folder


def train_worker(images, parent, seeds):
    """Trains each seed, and returns the number of runs."""
    return len(list(train_runs(images, parent, seeds)))


def measure_process(runs, jit_compile):
    """Returns open files and megabytes of memory early and late in many trainings."""
    import psutil

    process, files, memory = psutil.Process(), [], []
    with tempfile.TemporaryDirectory() as folder:
        images, parent = make_images(Path(folder)), Path(folder) / "runs"
        for _ in train_runs(images, parent, range(runs), jit_compile):
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            files.append(process.num_fds())
            memory.append(process.memory_info().rss / 2**20)
    first = runs // 10
    return {
        "runs": runs,
        "jit_compile": jit_compile,
        "open_files": second_and_last_tenth(files),
        "memory_megabytes": second_and_last_tenth(memory),
        "megabytes_a_run": statistics.linear_regression(range(first, runs), memory[first:]).slope,
    }


def second_and_last_tenth(values):
    """Returns the medians of the second tenth and of the last tenth."""
    tenth = max(1, len(values) // 10)
    return {
        "second_tenth": statistics.median(values[tenth : 2 * tenth]),
        "last_tenth": statistics.median(values[-tenth:]),
    }


def measure_side_by_side(runs):
    """Returns the number of folders that parallel trainings create, and the number of right ones.

    A folder is right if its config has one of the seeds, no other folder has that seed, and its
    metrics equal those of a single training with that seed.
    """
    with tempfile.TemporaryDirectory() as folder:
        images, parent = make_images(Path(folder)), Path(folder) / "runs"
        paths = {"images": str(images), "parent": str(parent)}
        requests = [
            Request("train_worker", {**paths, "seeds": list(range(first, runs, WORKERS))})
            for first in range(WORKERS)
        ]
        measure_together(__file__, requests)
        folders = {}
        for run in sorted(parent.iterdir()):
            config = json.loads((run / "config.json").read_text())
            folders.setdefault(config["seed"], []).append(run)
        seeds = range(0, runs, max(runs // 5, 1))
        alone = list(train_runs(images, Path(folder) / "alone", seeds))
        same = [
            read_metrics(run) == read_metrics(folders[seed][0])
            for seed, run in zip(seeds, alone, strict=True)
        ]
        return {
            "asked": runs,
            "folders": sum(map(len, folders.values())),
            "seeds": len(folders),
            "compared_with_one_alone": len(alone),
            "same_as_alone": sum(same),
        }


def read_metrics(run):
    """Returns the logged metrics of a run, without times."""
    lines = (run / METRICS).read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in TIMED}
        for line in lines
    ]


def main():
    answer(
        measure_process=measure_process,
        measure_side_by_side=measure_side_by_side,
        train_worker=train_worker,
    )
    parser = make_parser(__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=300,
        help="number of trainings in one process, and a sixth of them with XLA (default 300)",
    )
    parser.add_argument(
        "--side-by-side",
        type=int,
        default=50,
        metavar="RUNS",
        help="number of trainings in processes (default 50)",
    )
    options = parser.parse_args()
    requests = {
        "one_process": Request("measure_process", {"runs": options.runs, "jit_compile": False}),
        "one_process_xla": Request(
            "measure_process", {"runs": max(options.runs // 6, 2), "jit_compile": True}
        ),
        "side_by_side": Request("measure_side_by_side", {"runs": options.side_by_side}),
    }
    results = {name: measure(__file__, request) for name, request in requests.items()}
    write_result(options.out, "memory-leaks", {"machine": describe_machine(), **results})


if __name__ == "__main__":
    main()
