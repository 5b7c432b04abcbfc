"""What each ingredient is worth to the book's dense pair: all of them but that one.

    python benchmarks/ablation.py                    # about an hour on one core
    python benchmarks/ablation.py --only "all of them" --epochs 1 --out FILE.json

The ingredients are those of `dense_modern` and relativistic pairing, which it does without.

Each variant trains as many epochs as the recipe makes in about five minutes, in a process of its
own, and is then measured by 5,000 samples against the 5,000 validation images. Writes
docs/results/ablation.json after each, with the machine; a variant that is there is not trained
again, unless asked for by --only.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/ablation.json"
EPOCHS = 100
VARIANTS = {
    "all of them": {},
    "without relativistic pairing, as in the preset": {"loss": "binary_crossentropy"},
    "without R1": {"r1": 0.0},
    "without R2": {"r2": 0.0},
    "without weight decay": {"weight_decay": 0.0},
    "without the average": {"ema_decay": 0.0},
    "β₁ = 0.9 in place of 0": {"beta_1": 0.9},
    "batch 64, twice as many steps": {"batch_size": 64},
    "learning rate 2e-4": {"g_learning_rate": 2e-4, "d_learning_rate": 2e-4},
}


def measure(settings, epochs):
    """Scores of all the ingredients but for some settings; seconds of the training."""
    from fashion_gan import assembly, data, evaluate
    from fashion_gan.presets import PRESETS

    config = dataclasses.replace(PRESETS["dense_modern"], **{"loss": "relativistic", **settings})
    gan = assembly.build(config)
    dataset = data.make_dataset(data.load().train_images, config.batch_size, seed=config.seed)
    start = time.perf_counter()
    gan.fit(dataset, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    protocol = evaluate.Protocol(count=5_000, bins=0)
    evaluator = evaluate.fashion_mnist(protocol, held_out="validation")
    return {"seconds": seconds, "scores": evaluator.judge(gan)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="one or several")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(**json.loads(options.child))))
        sys.exit()
    report = json.loads(options.out.read_text()) if options.out.exists() else {}
    if report.get("epochs") != options.epochs:
        report = {"epochs": options.epochs, "variants": {}}
    made = report["variants"]
    for name in options.only or [name for name in VARIANTS if name not in made]:
        measured = ask(__file__, {"settings": VARIANTS[name], "epochs": options.epochs})
        made[name] = {"machine": machine(), **measured}
        scores = made[name]["scores"]
        print(
            f"{name}: Fréchet {scores['frechet_distance']:.2f}, coverage {scores['coverage']:.3f}, "
            f"{made[name]['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        report["variants"] = {name: made[name] for name in VARIANTS if name in made}
        write_json(options.out, report)
