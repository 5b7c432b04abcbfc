"""Precision policies × XLA × preset: does it work, how fast is a step, where do the losses end?

    python benchmarks/precision_and_xla.py            # about 15 minutes on two cores
    python benchmarks/precision_and_xla.py --table    # only writes docs/precision.md anew

Each variant runs in a process of its own, and the variants take turns, so that a drift of the
machine's speed hits all alike. float32 runs with several seeds: their spread is the yardstick for
the final losses of the other policies. Writes docs/results/precision.json and docs/precision.md.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

DOCS = Path(__file__).parent.parent / "docs"
RESULTS = DOCS / "results/precision.json"
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
PRESETS = {"dense": (10, 55_000), "dcgan": (3, 320)}
"""Name to epochs and images: XLA takes a second and more for a step of the dcgan on a CPU."""
SEEDS = (1, 2, 3, 4, 5)


def measure(preset: str, policy: str, jit_compile: str, seed: int) -> dict:
    """Train; the last epoch's losses, and milliseconds a step in the epochs after the first."""
    import dataclasses

    import keras

    from fashion_gan import assembly, data
    from fashion_gan.presets import PRESETS as configs

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.marks: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            self.marks.append(time.perf_counter())

        on_train_end = lambda self, logs=None: self.marks.append(time.perf_counter())  # noqa: E731

    epochs, count = PRESETS[preset]
    config = dataclasses.replace(
        configs[preset],
        precision=policy,
        jit_compile=jit_compile,
        seed=seed,
        steps_per_execution=min(100, count // configs[preset].batch_size),
    )
    gan, clock = assembly.build(config), Clock()
    images = data.load().train_images[:count]
    dataset = data.make_dataset(images, config.batch_size, value_range=gan.value_range, seed=seed)
    history = gan.fit(dataset, epochs=epochs, callbacks=[clock], verbose=0).history
    spans = [b - a for a, b in zip(clock.marks, clock.marks[1:], strict=False)][1:]
    return {
        "preset": preset,
        "policy": policy,
        "xla": jit_compile,
        "seed": seed,
        "ms_per_step": 1e3 * statistics.median(spans) / len(dataset),
        "d_loss": history["d_loss"][-1],
        "g_loss": history["g_loss"][-1],
    }


def run_all() -> dict:
    """Every variant once with the first seed, and the dense GAN in float32 with all of them."""
    runs = []
    for seed in SEEDS:
        for preset in PRESETS:
            for policy in POLICIES:
                for xla in ("on", "off"):
                    if seed != SEEDS[0] and (preset, policy, xla) != ("dense", "float32", "on"):
                        continue
                    runs.append(ask(__file__, [preset, policy, xla, seed]))
                    print(runs[-1], flush=True)
    return {"machine": machine(), "runs": runs}


def table(results: dict) -> str:
    """docs/precision.md."""
    runs, where = results["runs"], results["machine"]
    lines = [
        "# Precision and XLA",
        "",
        f"Made by `python benchmarks/precision_and_xla.py` on {where['processor']}, "
        f"{where['cores']} cores, TensorFlow {where['tensorflow']}, Keras {where['keras']}; "
        "10 epochs of Fashion-MNIST for the dense GAN; for the dcgan, which XLA makes slow on a "
        "CPU, 3 epochs of 320 images, to show that it works. Milliseconds are the median over the "
        "epochs after the first, and relative to float32 without XLA; losses are means over the "
        "last epoch.",
        "",
        "| preset | policy | XLA | ms a step | relative | `d_loss` | `g_loss` |",
        "|---|---|---|---|---|---|---|",
    ]
    bases = {r["preset"]: r for r in runs if (r["policy"], r["xla"]) == ("float32", "off")}
    for r in runs:
        base = bases[r["preset"]]
        if r["seed"] == SEEDS[0]:
            lines.append(
                f"| {r['preset']} | {r['policy']} | {r['xla']} | {r['ms_per_step']:.2f} | "
                f"{r['ms_per_step'] / base['ms_per_step']:.2f} | {r['d_loss']:.3f} | "
                f"{r['g_loss']:.3f} |"
            )
    variant = ("dense", "float32", "on")
    spread = [r for r in runs if (r["preset"], r["policy"], r["xla"]) == variant]
    lines += [
        "",
        f"The dense GAN in float32 with XLA, with the seeds {', '.join(map(str, SEEDS))}:",
        "",
    ]
    for name in ("d_loss", "g_loss"):
        values = [r[name] for r in spread]
        lines.append(
            f"- `{name}`: {min(values):.3f} to {max(values):.3f}, mean "
            f"{statistics.mean(values):.3f}, standard deviation {statistics.stdev(values):.3f}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="only write the page anew")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*json.loads(options.child))))
    else:
        if not options.table:
            write_json(RESULTS, run_all())
        (DOCS / "precision.md").write_text(table(json.loads(RESULTS.read_text())))
