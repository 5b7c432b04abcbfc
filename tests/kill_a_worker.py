"""Trains by the command in two workers, kills one and then the other, and compares the ends.

    python tests/kill_a_worker.py

prints, as JSON, how the survivors stopped and what the runs left behind: one in a single process,
one in two workers, and one in two workers of which the second was killed once and then the first.
The two workers of the second run start in folders of their own, and so would write to two places.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kill_and_resume import compare
from replicas import start_workers

FLAGS = ["--epochs", "4", "--batch-size", "500", "--steps-per-execution", "20"]
FLAGS += ["--precision", "float64", "--jit-compile", "off", "--backup-seconds", "0"]
TRAIN = [sys.executable, "-m", "fashion_gan", "train", "--resume", *FLAGS, "--run"]


def finish(processes: list[subprocess.Popen]) -> list[str]:
    """Wait; what each printed. Raises unless all end well."""
    outputs = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode != 0:
            raise SystemExit(f"status {process.returncode}: {errors}")
    return [output for output, _ in outputs]


def kill(victim: int, folder: Path, epoch: int) -> dict:
    """Start, kill one worker after so many epochs; how the other one stopped."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = start_workers([*TRAIN, str(folder)], **pipes)
    while not list(folder.glob(f"backup/epoch_{epoch:06d}_batch_*")):
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.01)
    processes[victim].kill()
    killed = time.monotonic()
    processes[victim].communicate()
    _, errors = processes[1 - victim].communicate()
    return {
        "status": processes[1 - victim].returncode,
        "errors": errors.splitlines(),
        "seconds": time.monotonic() - killed,
        "finished": (folder / "model.keras").exists(),
    }


def files(folder: Path) -> list[str]:
    """Names of all files; those of TensorBoard's events without time, host and process."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name.split(".tfevents")[0] for name in names)


def states(folder: Path) -> list[np.ndarray]:
    """All variables of a finished run, and its metrics."""
    from fashion_gan import run

    gan = run.load(folder)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    metrics = [np.array(list(json.loads(line).values()), dtype=float) for line in lines]
    optimizers = [*gan.g_optimizer.variables, *gan.d_optimizer.variables]
    return [*(v.numpy() for v in (*gan.variables, *optimizers)), *metrics]


def main() -> None:
    """Run all, and print what came of it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with tempfile.TemporaryDirectory() as scratch:
        alone, killed = Path(scratch) / "alone", Path(scratch) / "killed"
        homes = [Path(scratch) / "chief", Path(scratch) / "other"]
        for home in homes:
            home.mkdir()
        outputs = finish(start_workers([*TRAIN, "run"], homes, **pipes))
        stops = [kill(1, killed, epoch=1), kill(0, killed, epoch=2)]
        finish(start_workers([*TRAIN, str(killed)], **pipes))
        finish([subprocess.Popen([*TRAIN, str(alone)], text=True, **pipes)])
        whole = homes[0] / "run"
        compare(whole, killed)
        pairs = zip(states(alone), states(whole), strict=True)
        result = {
            "stops": stops,
            "outputs": outputs,
            "files of the other": files(homes[1]),
            "files of the chief": files(whole),
            "files of one process": files(alone),
            "difference": max(
                float(np.max(np.abs(a - b)) / max(np.max(np.abs(a)), 1e-300)) for a, b in pairs
            ),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
