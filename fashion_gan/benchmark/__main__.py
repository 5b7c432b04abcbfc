"""Runs one measurement as `python -m fashion_gan.benchmark`, with JSON input and output."""

import json
import sys

from fashion_gan.runs.config import Config
from fashion_gan.runtime import load_tensorflow


def main(text: str) -> None:
    """Runs the request, and prints the result or the error as the last line."""
    request = json.loads(text)
    load_tensorflow()
    from fashion_gan.benchmark import measure

    try:
        if request["task"] == "machine":
            result = measure.machine(request["device"])
        else:
            preset = Config.from_dict(request["preset"])
            result = measure.measure(preset, **request["arguments"])
    except Exception as error:  # the parent reports any error in one line
        result = {"error": f"{type(error).__name__}: {error}", "kind": type(error).__name__}
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
