"""Measurements in processes of their own, and the machine that they were made on."""

import json
import os
import subprocess
import sys

__all__ = ["ask", "machine"]


def ask(script, request, **environment):
    """What `script --child REQUEST` prints last, from JSON; `environment` is added to this one's.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    command = [sys.executable, "-W", "ignore", str(script), "--child", json.dumps(request)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{request} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def machine():
    """Its processor and cores, and the versions of what runs on it."""
    from fashion_gan.benchmark import processor
    from fashion_gan.runtime import versions

    return {"processor": processor(), "cores": os.cpu_count(), **versions()}
