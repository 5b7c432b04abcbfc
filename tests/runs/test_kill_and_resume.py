"""Tests exact resume, with real processes and SIGKILL."""

import subprocess
import sys

from helpers import SCRIPTS

SCRIPT = SCRIPTS / "kill_and_resume.py"


def test_train_resumes_bit_for_bit_after_sigkill_at_a_random_moment():
    flags = ["--kills", "1", "--epochs", "30", "--within", "3"]
    result = subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("1 kills, and the same bits\n")
