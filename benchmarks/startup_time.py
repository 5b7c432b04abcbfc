"""Measures the time from the start of each command to its end or its first train steps.

    python benchmarks/startup_time.py               # about four minutes on two cores
    python benchmarks/startup_time.py --rounds 1 --out /tmp/trial

Times each process from its start to its end, or to the end of the first execution of train steps.
Writes docs/results/startup-time.json.
"""

import json
import subprocess
import sys
import tempfile
import time

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure_in_rounds,
    write_result,
)

TRAIN = [__file__, "--child", json.dumps(["begin_training", {}])]
COMMANDS = {
    "python": ["-c", ""],
    "import fashion_gan": ["-c", "import fashion_gan"],
    "fashion-gan --help": ["-m", "fashion_gan", "--help"],
    "import tensorflow, keras": ["-c", "import tensorflow, keras"],
    "from fashion_gan import GAN": ["-c", "from fashion_gan import GAN"],
    "fashion-gan train, to its first 100 steps": TRAIN,
}


def time_python(arguments):
    """Returns the seconds that a Python process with these arguments takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def begin_training():
    """Trains the dense preset as the command line does, and exits after the first execution."""
    from fashion_gan.callbacks import ProgbarLogger
    from fashion_gan.cli.main import main

    class FirstExecution(BaseException):
        pass

    def leave(self, batch, logs=None):
        raise FirstExecution

    ProgbarLogger.on_train_batch_end = leave
    with tempfile.TemporaryDirectory() as folder:
        try:
            main(["train", "--preset", "dense", "--run-dir", f"{folder}/run"])
        except FirstExecution:
            return
    raise RuntimeError("Expected a train step. Received: none.")


def main():
    answer(time_python=time_python, begin_training=begin_training)
    options = make_parser(__doc__, rounds=7).parse_args()
    requests = {
        name: Request("time_python", {"arguments": arguments})
        for name, arguments in COMMANDS.items()
    }
    seconds = measure_in_rounds(__file__, requests, options.rounds)
    write_result(options.out, "startup-time", {"machine": describe_machine(), "seconds": seconds})


if __name__ == "__main__":
    main()
