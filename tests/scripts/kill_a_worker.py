"""Trains by the command in two workers, kills one and then the other, and compares the ends.

    python tests/scripts/kill_a_worker.py

prints, as JSON, how the survivors stopped and what the runs left behind: one in a single process,
one in two workers, and one in two workers of which the second was killed once and then the first.
The two workers of the second run start in folders of their own, and so would write to two places.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kill_and_resume import compare, make_images
from replicas import start_workers

# Few steps: a GAN is chaotic, and within 22 of these a difference of 1e-16 grows to 5e-10.
FLAGS = ["--preset", "dense", "--epochs", "1", "--batch-size", "50", "--steps-per-execution", "2"]
FLAGS += ["--dtype-policy", "float64", "--jit-compile", "false", "--backup-interval", "0"]
FLAGS += ["--eval-freq", "0", "--on-collapse", "off", "--steps-per-epoch", "11"]
PATIENCE = 120  # seconds after which a survivor is held to hang; it takes five or so to stop
COMMAND = [sys.executable, "-m", "fashion_gan", "train", "--resume", *FLAGS]


def finish(processes: list[subprocess.Popen]) -> list[str]:
    """Waits for processes and returns their output. Raises if one fails."""
    outputs = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode != 0:
            raise SystemExit(f"status {process.returncode}: {errors}")
    return [output for output, _ in outputs]


def kill(victim: int, command: list[str], folder: Path) -> dict:
    """Kills one worker after a new backup, and returns how the other one stopped."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    before = set(folder.glob("backup/epoch*"))
    processes = start_workers([*command, str(folder)], **pipes)
    while set(folder.glob("backup/epoch*")) <= before:
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.01)
    processes[victim].kill()
    killed = time.monotonic()
    processes[victim].communicate()
    try:
        _, errors = processes[1 - victim].communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        processes[1 - victim].kill()
        raise
    return {
        "status": processes[1 - victim].returncode,
        "errors": errors.splitlines(),
        "seconds": time.monotonic() - killed,
        "finished": (folder / "model.keras").exists(),
    }


def files(folder: Path) -> list[str]:
    """Returns the names of all files; TensorBoard's events without time, host and process."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name.split(".tfevents")[0] for name in names)


def variables(folder: Path) -> list[np.ndarray]:
    """Returns weights, optimizer slots and random state of a finished run."""
    from fashion_gan.runs import checkpoints

    gan = checkpoints.load(folder)
    parts = (gan, gan.g_optimizer, gan.d_optimizer)
    return [variable.numpy() for part in parts for variable in part.variables]


def metrics(folder: Path) -> list[np.ndarray]:
    """Returns the logs of all epochs."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [np.array(value, dtype=float) for line in lines for value in line.values()]


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Returns the greatest difference, relative to the largest number of its tensor."""
    return max(
        float(np.max(np.abs(a - b)) / max(np.max(np.abs(a)), 1e-300))
        for a, b in zip(one, other, strict=True)
    )


def main() -> None:
    """Runs the comparison and prints its result."""
    from fashion_gan.cli.main import main

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with tempfile.TemporaryDirectory() as scratch:
        alone, killed = Path(scratch) / "alone", Path(scratch) / "killed"
        homes = [Path(scratch) / "chief", Path(scratch) / "other"]
        for home in homes:
            home.mkdir()
        make_images(Path(scratch) / "images.npz")
        train = [*COMMAND, "--data", str(Path(scratch) / "images.npz"), "--run-dir"]
        workers = start_workers([*train, "run"], homes, **pipes)
        with contextlib.redirect_stdout(sys.stderr):
            status = main([*train[3:], str(alone)])
        if status != 0:
            raise SystemExit(f"status {status}")
        outputs = finish(workers)
        stops = [kill(1, train, killed), kill(0, train, killed)]
        finish(start_workers([*train, str(killed)], **pipes))
        whole = homes[0] / "run"
        compare(whole, killed)  # or raise
        result = {
            "stops": stops,
            "same bits": True,
            "outputs": outputs,
            "files of the other": files(homes[1]),
            "files of the chief": files(whole),
            "files of one process": files(alone),
            "difference": difference(variables(alone), variables(whole)),
            "difference of metrics": difference(metrics(alone), metrics(whole)),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
