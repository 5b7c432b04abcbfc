"""A worker of a sweep whose trainings are arithmetic: python tests/sweep_worker.py FOLDER STORAGE.

An epoch is a line of `metrics.jsonl`, as in a run; one that is there is not made again. With a
third argument, each epoch takes so many seconds.
"""

import dataclasses
import json
import sys
import time

from fashion_gan import run_folder, sweep
from fashion_gan.config import Config
from fashion_gan.files import write_json

SPACE = {"r1": [0.0, 1.0, 2.0], "loss": ["hinge", "minimax"]}
SEEDS = (1, 2)
EPOCHS = 4


def distance(config, epoch):
    """Least at r1 = 1; hinge is worse; the seed shifts it; it falls with the epochs."""
    worse = 5.0 * (config.loss == "hinge")
    return 10 + 3 * abs(config.r1 - 1) + worse + 0.1 * config.seed + (config.epochs - epoch)


def train(config, folder, watch, seconds=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / run_folder.METRICS
    done = len(path.read_text().splitlines()) if path.exists() else 0
    write_json(folder / run_folder.CONFIG, dataclasses.asdict(config))
    for epoch in range(done + 1, config.epochs + 1):
        time.sleep(seconds)
        logs = {"epoch": epoch, "frechet_distance": distance(config, epoch)}
        with path.open("a") as file:
            file.write(json.dumps(logs) + "\n")
        if watch(epoch, logs):
            break
    (folder / run_folder.MODEL).touch()
    lost = config.r1 == 0 and config.loss == "hinge"
    write_json(folder / run_folder.MONITOR, {"4": {"said": ["vanished: Bag"] * lost}})


if __name__ == "__main__":
    folder, storage = sys.argv[1:3]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    config = Config(epochs=EPOCHS)
    made = sweep.study(folder, SPACE, config, SEEDS, storage)
    sweep.work(
        made,
        folder,
        config,
        SPACE,
        SEEDS,
        train=lambda *arguments: train(*arguments, seconds=seconds),
        say=lambda text: print(text, flush=True),
    )
