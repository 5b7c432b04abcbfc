"""Tests failing writes and SIGKILL in a short training, which resumes bit-for-bit.

Every twelfth write, or with `--all-writes` each of them.
"""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fashion_gan.files import is_partial
from fashion_gan.runs.config import Config
from fashion_gan.runs.train import train_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class WriteFaults:
    """Counts the writes of Python below a folder, and acts on one of them.

    A write is a file opened for writing, a folder made, and a file or folder renamed or removed.
    """

    def __init__(self):
        self.folder, self.number, self.action = None, None, None
        self.count = 0
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if self.folder is None or not self._writes(event, arguments):
            return
        if not str(arguments[0]).startswith(str(self.folder)):
            return
        self.count += 1
        if self.count == self.number:
            self.action(str(arguments[0]))

    @staticmethod
    def _writes(event, arguments):
        if event == "open":
            return isinstance(arguments[0], str) and bool((arguments[2] or 0) & WRITE_FLAGS)
        return event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")

    @contextlib.contextmanager
    def at(self, folder, number, action):
        self.folder, self.number, self.action, self.count = folder, number, action, 0
        try:
            yield self
        finally:
            self.folder = None


def config_of(folder):
    images = np.random.default_rng(0).integers(0, 256, (220, 8, 8), dtype=np.uint8)
    path = folder / "images.npy"
    if not path.exists():
        np.save(path, images)
    return Config(
        data=str(path),
        batch_size=60,
        epochs=2,
        steps_per_execution=2,
        eval_freq=0,
        jit_compile=False,
        latent_dim=4,
    )


def train(folder, run_dir, **arguments):
    return train_run(config_of(folder), run_dir, verbose=0, final=False, resume=True, **arguments)


def weights(gan):
    variables = [*gan.variables, *gan.optimizer.variables]
    return [variable.numpy() for variable in variables]


def check_files(run_dir):
    """Asserts that every file is complete and no temporary file is left."""
    for path in run_dir.rglob("*"):
        assert not is_partial(path) and path.name != ".partial", path
        if path.suffix == ".json":
            json.loads(path.read_text())
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


@pytest.fixture(scope="module")
def faults():
    return WriteFaults()


@pytest.fixture(scope="module")
def reference(tmp_path_factory, faults):
    """Returns the images' folder, the weights of a complete run, its log and number of writes."""
    folder = tmp_path_factory.mktemp("faults")
    with faults.at(folder / "whole", None, None):
        gan = train(folder, folder / "whole")
    check_files(folder / "whole")
    assert faults.count > 30
    return folder, weights(gan), (folder / "whole/metrics.jsonl").read_text(), faults.count


def test_train_resumes_bit_for_bit_after_any_failed_write(reference, faults, request):
    folder, expected, lines, count = reference
    raised, numbers = 0, range(1, count + 1, 1 if request.config.getoption("--all-writes") else 12)
    for number in numbers:
        run_dir, code = folder / f"run-{number}", ERRORS[number % 3]

        def fail(path, code=code):
            raise OSError(code, os.strerror(code), path)

        with faults.at(run_dir, number, fail):
            try:
                train(folder, run_dir)
            except OSError as error:
                raised += 1
                assert os.strerror(code) in str(error), number
        gan = train(folder, run_dir)
        for value, other in zip(weights(gan), expected, strict=True):
            np.testing.assert_array_equal(value, other, err_msg=str(number))
        check_files(run_dir)
        assert (run_dir / "metrics.jsonl").read_text() == lines, number
    assert raised > len(numbers) / 2


def mount(folder, size):
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("Only root can mount a small disk.")


@pytest.mark.parametrize("size", ["100k", "700k"])
def test_train_raises_one_error_on_a_full_disk_and_resumes(size, reference, tmp_path):
    folder, expected, lines, _ = reference
    disk = tmp_path / "disk"
    mount(disk, size)
    try:
        command = [sys.executable, __file__, str(folder), str(disk / "run"), "0"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 3, (done.returncode, done.stderr[-2000:])
        assert done.stdout.count("No space left on device") >= 1
        assert "Traceback" not in done.stderr
        for state in disk.glob("run/backup/epoch_*"):
            assert (state / "position.json").stat().st_size > 0
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        gan = train(folder, disk / "run")
        for value, other in zip(weights(gan), expected, strict=True):
            np.testing.assert_array_equal(value, other)
        assert (disk / "run/metrics.jsonl").read_text() == lines
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def child(folder, run_dir, number):
    """Trains in this process, which kills itself before the write of a number.

    Ends with status 3 after an error of the disk, which it prints.
    """
    faults = WriteFaults()
    with faults.at(run_dir, number, lambda path: os.kill(os.getpid(), signal.SIGKILL)):
        try:
            train(folder, run_dir)
        except OSError as error:
            print(error)
            raise SystemExit(3) from None


@pytest.mark.parametrize("part", range(2))
def test_train_resumes_bit_for_bit_after_sigkill_at_a_write(part, reference):
    folder, expected, lines, count = reference
    number, run_dir = 2 + (1 + part) * (count - 2) // 3, folder / f"killed-{part}"
    command = [sys.executable, __file__, str(folder), str(run_dir), str(number)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    gan = train(folder, run_dir)
    for value, other in zip(weights(gan), expected, strict=True):
        np.testing.assert_array_equal(value, other)
    assert (run_dir / "metrics.jsonl").read_text() == lines


if __name__ == "__main__":
    child(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
