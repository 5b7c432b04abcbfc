"""Kills a training with SIGKILL at random moments, again and again, and compares the end.

    python tests/scripts/kill_and_resume.py --kills 50 --epochs 3000  # ten minutes on two cores

trains once without interruption and once with that many kills, and exits with an error unless both
runs end with the same weights, optimizer slots and random state, bit for bit, the same metrics
file, and the same steps in TensorBoard.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = ["--preset", "dense", "--batch-size", "50", "--steps-per-execution", "5"]
FLAGS += ["--eval-freq", "0", "--on-collapse", "off", "--jit-compile", "false"]
FLAGS += ["--image-freq", "5", "--backup-interval", "0.02"]


def make_images(path: Path) -> None:
    """Writes small images: 11 batches of 50, and 100 held-out images."""
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (650, 8, 8, 1), np.uint8)
    np.savez(path, images=images)


def command(data: Path, folder: Path, epochs: int) -> list[str]:
    """Returns the command of the first start and of every resumption."""
    train = [sys.executable, "-m", "fashion_gan", "train", "--resume", *FLAGS]
    return [*train, "--data", str(data), "--run-dir", str(folder), "--epochs", str(epochs)]


def kill_repeatedly(
    train: list[str], folder: Path, kills: int, within: float, rng: random.Random
) -> None:
    """Starts and kills a training `kills` times, within some seconds; raises if it ends before."""
    hits = 0
    while hits < kills:
        process = subprocess.Popen(train, stdout=subprocess.PIPE, text=True)
        line = "begin"
        while line and not line.startswith("Epoch"):
            line = process.stdout.readline()
        time.sleep(rng.uniform(0.0, within))  # the first step is compiled for two seconds
        if process.poll() is None:
            process.kill()
            hits += 1
        elif process.wait() != 0 or (folder / "model.keras").exists():
            raise SystemExit(f"The training ended after {hits} kills; give it more --epochs.")
        process.wait()
        process.stdout.close()
        where = sorted(path.name for path in (folder / "backup").glob("epoch*"))
        print(f"killed {hits} times; backups: {', '.join(where) or 'none'}", flush=True)


def compare(one: Path, other: Path) -> None:
    """Raises unless both runs ended with equal states."""
    import numpy as np
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from fashion_gan.runs import checkpoints

    first, second = checkpoints.load(one), checkpoints.load(other)
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("g_optimizer", "d_optimizer"):
        variables = (getattr(gan, name).variables for gan in (first, second))
        for a, b in zip(*variables, strict=True):
            np.testing.assert_array_equal(a, b)
    metrics = [(folder / "metrics.jsonl").read_text() for folder in (one, other)]
    np.testing.assert_equal(*metrics)
    for part in ("train", "validation", "images"):
        events = [EventAccumulator(str(folder / part), {"tensors": 0}) for folder in (one, other)]
        for accumulator in events:
            accumulator.Reload()
        tags = [sorted(accumulator.Tags()["tensors"]) for accumulator in events]
        np.testing.assert_equal(*tags)
        for tag in tags[0]:
            steps = [[e.step for e in accumulator.Tensors(tag)] for accumulator in events]
            np.testing.assert_equal(*steps, err_msg=f"{part} {tag}")


def main(kills: int, epochs: int, within: float, seed: int) -> None:
    """Runs the comparison and prints its result."""
    with tempfile.TemporaryDirectory() as scratch:
        images, whole, killed = (Path(scratch) / name for name in ("i.npz", "whole", "killed"))
        make_images(images)
        subprocess.run(command(images, whole, epochs), check=True, stdout=subprocess.DEVNULL)
        train = command(images, killed, epochs)
        kill_repeatedly(train, killed, kills, within, random.Random(seed))
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
        compare(whole, killed)
        print(f"{kills} kills, and the same bits")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--within", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
