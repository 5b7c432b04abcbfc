"""Measures the cost and the scores of the presets, and the contribution of each ingredient.

    python benchmarks/train_presets.py dense_modern --seeds 42 1 2
    python benchmarks/train_presets.py --ablate           # about an hour on one core
    python benchmarks/train_presets.py --precision        # about 15 minutes on two cores
    python benchmarks/train_presets.py --ablate --only "without R1" --epochs 1 --out /tmp/trial

With preset names, trains these presets in logs/PRESET-SEED, resumes interrupted runs, and measures
finished ones. The scores replace those in docs/results/presets.json. Samples of the first seed, and
the samples closest to training images, are written to docs/images.

`--ablate` trains the preset `dense_modern` with relativistic pairing, and then without one
ingredient at a time. Each training has 100 epochs and takes about five minutes. 5,000 samples are
scored against the 5,000 validation images. Variants in docs/results/ablation.json are not trained
again, unless `--only` names them.

`--precision` trains the dense and the dcgan GAN in each dtype policy, with and without XLA. The
dense GAN in float32 with XLA is trained with several seeds. Their spread is the baseline for the
final losses of the other variants. Writes docs/results/precision.json.
"""

import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path

from _harness import (
    DOCS,
    Request,
    answer,
    describe_machine,
    make_parser,
    measure,
    measure_in_rounds,
    read_result,
    train_timed,
    write_result,
)

from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.presets import PRESETS

ABLATION_EPOCHS = 100
ABLATION = {
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
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
PRECISION = {"dense": (10, 55_000), "dcgan": (3, 320)}
"""Epochs and images of each preset. On a CPU with XLA, a dcgan step takes over a second."""
SEEDS = (1, 2, 3, 4, 5)


def train_variant(preset, settings, epochs, num_images=None, score=False):
    """Trains a preset with other settings, and returns its times, last losses and scores.

    The milliseconds of a step are the median over the epochs after the first. The scores are those
    of 5,000 samples against the 5,000 validation images.
    """
    import keras

    from fashion_gan import data, evaluation
    from fashion_gan.runs.builder import build_gan

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.times = []

        def on_epoch_begin(self, epoch, logs=None):
            self.times.append(time.perf_counter())

        def on_train_end(self, logs=None):
            self.times.append(time.perf_counter())

    config = dataclasses.replace(PRESETS[preset], **settings)
    gan, clock = build_gan(config), Clock()
    images = data.load_fashion_mnist().train_images[:num_images]
    dataset = data.make_dataset(
        images, config.batch_size, value_range=gan.value_range, seed=config.seed
    )
    start = time.perf_counter()
    history = gan.fit(dataset, epochs=epochs, callbacks=[clock], verbose=0).history
    result = {"seconds": time.perf_counter() - start}
    spans = [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]
    if epochs > 1:
        result["ms_per_step"] = 1e3 * statistics.median(spans[1:]) / len(dataset)
    result |= {name: history[name][-1] for name in ("d_loss", "g_loss")}
    if score:
        protocol = evaluation.EvalConfig(count=5_000, bins=0)
        evaluator = evaluation.fashion_mnist_evaluator(protocol, split="validation")
        result["scores"] = evaluator.evaluate(gan)
    return result


def ablate(out, only, epochs):
    """Trains the variants of `ABLATION`, and writes each result as soon as it is scored."""
    report = read_result(out, "ablation")
    if report.get("epochs") != epochs:
        report = {"epochs": epochs, "variants": {}}
    variants = report["variants"]
    for name in only or [name for name in ABLATION if name not in variants]:
        settings = {"loss": "relativistic", **ABLATION[name]}
        arguments = {"preset": "dense_modern", "settings": settings, "epochs": epochs}
        result = measure(__file__, Request("train_variant", {**arguments, "score": True}))
        variants[name] = {
            "machine": describe_machine(),
            "seconds": result["seconds"],
            "scores": result["scores"],
        }
        print_scores(name, result["scores"])
        report["variants"] = {name: variants[name] for name in ABLATION if name in variants}
        write_result(out, "ablation", report)


def compare_precision(out, epochs):
    """Trains each preset in each precision, and the baseline with several seeds."""
    runs = []
    for seed in SEEDS:
        for preset in PRECISION:
            for policy in POLICIES:
                for jit_compile in (True, False):
                    baseline = (preset, policy, jit_compile) == ("dense", "float32", True)
                    if seed == SEEDS[0] or baseline:
                        runs.append((preset, policy, jit_compile, seed))
    requests = {}
    for preset, policy, jit_compile, seed in runs:
        default_epochs, num_images = PRECISION[preset]
        settings = {
            "dtype_policy": policy,
            "jit_compile": jit_compile,
            "seed": seed,
            "steps_per_execution": min(100, num_images // PRESETS[preset].batch_size),
        }
        arguments = {"preset": preset, "settings": settings, "num_images": num_images}
        arguments["epochs"] = epochs or default_epochs
        name = f"{preset}, {policy}, jit_compile={jit_compile}, seed {seed}"
        requests[name] = Request("train_variant", arguments)
    results = measure_in_rounds(__file__, requests, rounds=1)
    records = []
    for run, [result] in zip(runs, results.values(), strict=True):
        record = dict(zip(("preset", "dtype_policy", "jit_compile", "seed"), run, strict=True))
        records.append(record | {n: result[n] for n in ("ms_per_step", "d_loss", "g_loss")})
    write_result(out, "precision", {"machine": describe_machine(), "runs": records})


def train_preset(name, seed, logs):
    """Trains or resumes a preset, and returns its folder and its total seconds."""
    from fashion_gan.runs.train import train_run

    run = RunDirectory(logs / f"{name}-{seed}")
    config = dataclasses.replace(PRESETS[name], seed=seed)
    return run, train_timed(run, lambda: train_run(config, run.path, resume=True, verbose=2))


def describe_run(run, seconds):
    """Returns the config of a run, its cost, and its scores by the full protocol."""
    device = run.path / "device.json"  # tools/train_with_jax.py writes it
    return {
        "config": json.loads(run.config_path.read_text()),
        "seconds": seconds,
        "trained_on": json.loads(device.read_text()) if device.exists() else "CPU",
        "machine": describe_machine(),
        **json.loads(run.scores_path.read_text()),
    }


def draw(name, run, folder):
    """Draws 64 samples, and the samples closest to training images above those images."""
    from fashion_gan import evaluation, images
    from fashion_gan.evaluation.report import nearest_neighbor_grid
    from fashion_gan.runs import checkpoints

    gan = checkpoints.load(run.path)
    count = 64 if gan.num_classes is None else 6 * gan.num_classes
    columns = 16 if gan.num_classes is None else gan.num_classes
    samples = images.to_uint8(gan.sample(count, seed=0), gan.value_range)
    folder.mkdir(parents=True, exist_ok=True)
    images.write_png(folder / f"{name}.png", images.tile(samples, columns, invert=True))
    evaluator = evaluation.fashion_mnist_evaluator(evaluation.EvalConfig(count=5_000))
    closest = nearest_neighbor_grid(evaluator.sample(gan), evaluator)
    images.write_png(folder / f"{name}-closest.png", closest)


def train_presets(names, seeds, logs, out):
    """Trains presets with each seed, records their scores and draws samples."""
    for name in names:
        records = {}
        for seed in seeds:
            run, seconds = train_preset(name, seed, logs)
            records[str(seed)] = describe_run(run, seconds)
            print_scores(f"{name}, seed {seed}", records[str(seed)]["scores"]["samples"])
        draw(name, RunDirectory(logs / f"{name}-{seeds[0]}"), out / "images")
        results = read_result(out, "presets")
        results[name] = {**results.get(name, {}), **records}
        ordered = {name: results[name] for name in PRESETS if name in results}
        write_result(out, "presets", ordered)


def print_scores(name, scores):
    print(
        f"{name}: Fréchet {scores['frechet_distance']:.2f}, coverage {scores['coverage']:.3f}, "
        f"missing {scores['missing_classes']}",
        file=sys.stderr,
        flush=True,
    )


def main():
    answer(train_variant=train_variant)
    parser = make_parser(__doc__)
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=", ".join(PRESETS))
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[42], help="seed of the training (default 42)"
    )
    parser.add_argument(
        "--logs", type=Path, default=DOCS.parent / "logs", help="folder of the runs (default logs)"
    )
    parser.add_argument("--ablate", action="store_true", help="train without each ingredient")
    parser.add_argument("--precision", action="store_true", help="train in each precision")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(ABLATION),
        help="variant to train; repeat the flag for several",
    )
    parser.add_argument(
        "--epochs", type=int, help="number of epochs, in place of the default of the variant"
    )
    options = parser.parse_args()
    if unknown := set(options.presets) - set(PRESETS):
        parser.error(f"Expected presets among {list(PRESETS)}. Received: {sorted(unknown)}.")
    if options.ablate:
        ablate(options.out, options.only, options.epochs or ABLATION_EPOCHS)
    if options.precision:
        compare_precision(options.out, options.epochs)
    if options.presets:
        train_presets(options.presets, options.seeds, options.logs, options.out)
    elif not options.ablate and not options.precision:
        parser.error("Expected a preset, --ablate or --precision. Received: none of them.")


if __name__ == "__main__":
    main()
