"""Trains presets with one seed or several, and records what each costs and reaches.

    python benchmarks/presets.py dense_modern --seeds 42 1 2

Runs are in logs/, as PRESET-SEED; one that was interrupted goes on, one that is finished is only
measured. Writes docs/results/presets.json, where it replaces what it trained and keeps the rest,
and docs/images/PRESET.png and PRESET-closest.png: samples of the first seed, and those that come
closest to training images.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from processes import machine

from fashion_gan.files import write_json

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/presets.json"
IMAGES = ROOT / "docs/images"


def trained(name, seed, logs):
    """The folder of a finished run, and the seconds that its training took in all its parts."""
    from fashion_gan import run
    from fashion_gan.presets import PRESETS

    folder = logs / f"{name}-{seed}"
    clock = folder / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    if not (folder / "model.keras").exists():
        config = dataclasses.replace(PRESETS[name], seed=seed)
        start = time.perf_counter()
        try:
            run.train(config, folder, resume=True, verbose=2)
        finally:
            if (folder / "config.json").exists():
                write_json(clock, before + time.perf_counter() - start)
    return folder, json.loads(clock.read_text()) if clock.exists() else None


def record(folder, seconds):
    """What is kept of a run: its scores by the full protocol, its config, and its cost."""
    scores = json.loads((folder / "scores.json").read_text())
    device = folder / "device.json"  # of a run that benchmarks/elsewhere.py brought
    return {
        "config": json.loads((folder / "config.json").read_text()),
        "seconds": seconds,
        "trained_on": json.loads(device.read_text()) if device.exists() else "CPU",
        "machine": machine(),
        **scores,
    }


def draw(name, folder):
    """64 samples, and the samples that come closest to training images, above these."""
    import numpy as np

    from fashion_gan import evaluate, images, report, run

    gan = run.load(folder)
    count = 64 if gan.num_classes is None else 6 * gan.num_classes
    samples = images.to_uint8(gan.sample(count, seed=0), gan.value_range)
    columns = 16 if gan.num_classes is None else gan.num_classes
    images.write_png(IMAGES / f"{name}.png", images.tile(samples, columns, invert=True))
    evaluator = evaluate.fashion_mnist(evaluate.Protocol(count=5_000))
    closest = report.closest_picture(np.asarray(evaluator.sample(gan)), evaluator)
    images.write_png(IMAGES / f"{name}-closest.png", closest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="+", help="names of fashion_gan.presets.PRESETS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="default 42")
    parser.add_argument("--logs", type=Path, default=ROOT / "logs", help="folder of the runs")
    options = parser.parse_args()
    from fashion_gan.presets import PRESETS

    for name in options.presets:
        made = {}
        for seed in options.seeds:
            folder, seconds = trained(name, seed, options.logs)
            made[str(seed)] = record(folder, seconds)
            scores = made[str(seed)]["scores"]["samples"]
            print(
                f"{name}, seed {seed}: Fréchet {scores['frechet_distance']:.2f}, "
                f"coverage {scores['coverage']:.3f}, missing {scores['missing_classes']}",
                file=sys.stderr,
                flush=True,
            )
        draw(name, options.logs / f"{name}-{options.seeds[0]}")
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = {**results.get(name, {}), **made}
        ordered = {name: results[name] for name in PRESETS if name in results}
        write_json(RESULTS, ordered)
