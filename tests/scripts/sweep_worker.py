"""Works on a sweep whose trainings are arithmetic.

    python tests/scripts/sweep_worker.py FOLDER STORAGE

An epoch is a line of `metrics.jsonl`, as in a run; one that is there is not made again. With a
third argument, each epoch takes that number of seconds.
"""

import dataclasses
import json
import sys
import time

from fashion_gan import sweep
from fashion_gan.files import write_json
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory

SPACE = {"r1": [0.0, 1.0, 2.0], "loss": ["hinge", "minimax"]}
SEEDS = (1, 2)
EPOCHS = 4


def distance(config, epoch):
    """Computes a score that is lowest at r1 = 1, worse for hinge, and falls with the epochs."""
    worse = 5.0 * (config.loss == "hinge")
    return 10 + 3 * abs(config.r1 - 1) + worse + 0.1 * config.seed + (config.epochs - epoch)


def train(config, folder, watch, seconds=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    path = RunDirectory(folder).metrics_path
    done = len(path.read_text().splitlines()) if path.exists() else 0
    write_json(RunDirectory(folder).config_path, dataclasses.asdict(config))
    for epoch in range(done + 1, config.epochs + 1):
        time.sleep(seconds)
        logs = {"epoch": epoch, "frechet_distance": distance(config, epoch)}
        with path.open("a") as file:
            file.write(json.dumps(logs) + "\n")
        if watch(epoch, logs):
            break
    RunDirectory(folder).model_path.touch()
    lost = config.r1 == 0 and config.loss == "hinge"
    write_json(RunDirectory(folder).monitor_path, {"4": {"reported": ["missing: Bag"] * lost}})


if __name__ == "__main__":
    folder, storage = sys.argv[1:3]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    config = Config(epochs=EPOCHS)
    study = sweep.open_study(folder, SPACE, config, SEEDS, storage)
    sweep.run_worker(
        study,
        folder,
        config,
        SPACE,
        SEEDS,
        train=lambda *arguments: train(*arguments, seconds=seconds),
        say=lambda text: print(text, flush=True),
    )
