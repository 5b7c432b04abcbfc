"""Runs measurements in separate processes and interleaved rounds, and describes the machine.

A script passes the functions that it measures to `answer`, and describes each measurement as a
`Request`. The script runs itself again for each request, so that measurements do not share memory.
Each round makes each measurement once, so that a drift of the machine's speed affects all
measurements equally.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fashion_gan.benchmark import processor
from fashion_gan.files import write_json
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runtime import versions

DOCS = Path(__file__).parent.parent / "docs"
_CHILD = "--child"


@dataclass(frozen=True)
class Request:
    """Describes a measurement: a function of a script, and the process that runs it.

    Attributes:
        task: Name of the function, as the script passes it to `answer`.
        arguments: Keyword arguments of the function, of types that JSON holds.
        environment: Environment variables of the process, in addition to those of this process.
    """

    task: str
    arguments: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def answer(**tasks: Callable[..., Any]) -> None:
    """Runs the requested task, prints its result as JSON and exits, in a child process."""
    if sys.argv[1:2] == [_CHILD]:
        task, arguments = json.loads(sys.argv[2])
        print(json.dumps(tasks[task](**arguments)))
        sys.exit()


def measure(script: str, request: Request) -> Any:
    """Runs a request in a new process of a script and returns the result.

    Raises:
        RuntimeError: If the process fails. The message ends with its error output.
    """
    text = json.dumps([request.task, request.arguments])
    command = [sys.executable, "-W", "ignore", script, _CHILD, text]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **request.environment}
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    if process.returncode:
        raise RuntimeError(f"{request} failed:\n{process.stderr[-2000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def measure_together(script: str, requests: Sequence[Request]) -> list[Any]:
    """Runs several requests at the same time and returns their results in order."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: measure(script, request), requests))


def measure_in_rounds(
    script: str,
    requests: Mapping[str, Request],
    rounds: int,
    after_round: Callable[[dict[str, list[Any]]], None] = lambda results: None,
) -> dict[str, list[Any]]:
    """Runs each request once a round and returns the results of each name, a list over the rounds.

    `after_round` receives all results so far.
    """
    results: dict[str, list[Any]] = {name: [] for name in requests}
    for turn in range(rounds):
        for name, request in requests.items():
            results[name].append(measure(script, request))
            text = json.dumps(results[name][-1])[:100]
            print(f"[{turn + 1}/{rounds}] {name}: {text}", file=sys.stderr, flush=True)
        after_round(results)
    return results


def train_timed(run: RunDirectory, train: Callable[[], Any]) -> float | None:
    """Trains a run unless it is finished, and returns its total seconds.

    The seconds of interrupted trainings are added up in `seconds.json` in the folder of the run.
    They are None for a finished run without this file.
    """
    clock = run.path / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    if not run.model_path.exists():
        start = time.perf_counter()
        try:
            train()
        finally:
            if run.exists():
                write_json(clock, before + time.perf_counter() - start)
    return json.loads(clock.read_text()) if clock.exists() else None


def describe_machine(*packages: str) -> dict[str, Any]:
    """Returns processor, cores and versions, including those of further installed packages."""
    further = {name: metadata.version(name) for name in packages if find_spec(name)}
    return {"processor": processor(), "cores": os.cpu_count(), **versions(), **further}


def make_parser(description: str, rounds: int | None = None) -> argparse.ArgumentParser:
    """Returns a parser with `--out` and, if `rounds` has a default, `--rounds`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    if rounds:
        help = f"measurements of each (default {rounds})"
        parser.add_argument("--rounds", type=int, default=rounds, help=help)
    help = "folder that results/ and images/ are written to (default docs)"
    parser.add_argument("--out", type=Path, default=DOCS, metavar="FOLDER", help=help)
    return parser


def write_result(out: Path, name: str, result: Any) -> None:
    """Writes `results/NAME.json` below a folder atomically."""
    write_json(out / f"results/{name}.json", result)


def read_result(out: Path, name: str) -> dict[str, Any]:
    """Returns the content of `results/NAME.json` below a folder, or an empty dict."""
    path = out / f"results/{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}
