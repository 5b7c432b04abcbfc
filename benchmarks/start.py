"""From the command to the first train step: what takes how long.

    python benchmarks/start.py     # about four minutes on two cores

Each measurement is a process of its own, from its start to its end, or to the end of the first
execution; they take turns. Writes docs/results/start.json.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import machine

from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/start.json"
COMMANDS = {
    "python": ["-c", ""],
    "import fashion_gan": ["-c", "import fashion_gan"],
    "fashion-gan --help": ["-m", "fashion_gan", "--help"],
    "import tensorflow, keras": ["-c", "import tensorflow, keras"],
    "from fashion_gan import GAN": ["-c", "from fashion_gan import GAN"],
    "fashion-gan train, to its first 100 steps": [__file__, "--child"],
}


def train():
    """Begin the dense preset as the command line does, and leave after the first execution."""
    from fashion_gan import cli
    from fashion_gan.callbacks import Progress

    class Done(BaseException):
        pass

    def leave(self, batch, logs=None):
        raise Done

    Progress.on_train_batch_end = leave
    with tempfile.TemporaryDirectory() as folder:
        try:
            cli.main(["train", "--preset", "dense", "--run", f"{folder}/run"])
        except Done:
            return
    raise RuntimeError("no step was made")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="of each (default 7)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train()
        sys.exit()
    seconds = {name: [] for name in COMMANDS}
    for _ in range(options.rounds):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            command = [sys.executable, "-W", "ignore", *arguments]
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
            print(f"{name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    write_json(options.out, {"machine": machine(), "seconds": seconds})
