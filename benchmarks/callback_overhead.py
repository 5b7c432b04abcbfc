"""Measures the time that callbacks, evaluations and resuming add to an epoch.

    python benchmarks/callback_overhead.py callbacks      # about ten minutes on two cores
    python benchmarks/callback_overhead.py evaluation     # about eight minutes on two cores
    python benchmarks/callback_overhead.py callbacks --rounds 1 --turns 1 --epochs 4

`callbacks` trains the dense preset with each callback in one process, an epoch of each in turn, and
compares the epochs with those of a GAN that logs only losses. It also stops a run half-way, resumes
it in a new process, and compares its epochs with those of an uninterrupted run. Writes
docs/results/callback-overhead.json.

`evaluation` times steps, quick evaluations and the monitor in trainings of several presets, and the
full protocol. It needs the images of `python tools/fetch_images.py digits noto-emoji`. Writes
docs/results/evaluation-cost.json.
"""

import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure,
    measure_in_rounds,
    read_result,
    write_result,
)

BARE = "bare"
IMAGES = Path(__file__).parents[1] / ".data/images"
EVALUATED = {
    "dense": {},
    "dense_modern": {},
    "dcgan_modern": {},
    "images": {"data": str(IMAGES / "digits")},
    "projected": {"data": str(IMAGES / "noto-emoji"), "image_size": "32"},
}
"""Settings of each preset whose evaluations are timed."""


def make_clock():
    """Returns callbacks to put first and last, and the list of seconds between them by epoch."""
    import keras

    seconds = []

    class First(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

    class Last(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - first.start)

    first = First()
    return first, Last(), seconds


def make_variants(folder):
    """Returns the settings and the callbacks of each variant."""
    from fashion_gan import data, evaluation
    from fashion_gan.callbacks import (
        BackupAndRestore,
        ImageGrid,
        JSONLogger,
        ModeCollapseMonitor,
        TensorBoard,
    )

    images = data.load_fashion_mnist().train_images
    monitor = ModeCollapseMonitor(images, evaluation.load_classifier(), data.CLASS_NAMES)
    grid, logger = ImageGrid(folder), JSONLogger(folder / "metrics.jsonl")
    return {
        BARE: ({}, []),
        "accuracies and logits": ({}, []),
        "these, ImageGrid and JSONLogger": ({}, [grid, logger]),
        "these and gradient norms": (
            {"log_gradients": True},
            [ImageGrid(folder / "norms"), JSONLogger(folder / "norms.jsonl")],
        ),
        "TensorBoard": ({}, [TensorBoard(folder)]),
        "BackupAndRestore": ({}, [BackupAndRestore(folder / "backup")]),
        "ModeCollapseMonitor": ({}, [monitor]),
    }


def measure_callbacks(turns):
    """Returns the seconds of an epoch in each turn, by variant."""
    import dataclasses

    from fashion_gan import data
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.presets import PRESETS
    from fashion_gan.training import train_step

    images = data.load_fashion_mnist().train_images
    with tempfile.TemporaryDirectory() as folder:
        trainings = {}
        for name, (settings, callbacks) in make_variants(Path(folder)).items():
            gan = build_gan(dataclasses.replace(PRESETS["dense"], **settings))
            trainings[name] = gan, data.make_dataset(images, 32), callbacks, make_clock()
        for turn in range(turns + 1):  # the first one compiles
            for name, (gan, dataset, callbacks, (first, last, _)) in trainings.items():
                without_scores = mock.patch.object(train_step, "scores", lambda *_: {})
                with without_scores if name == BARE else nullcontext():
                    gan.fit(
                        dataset,
                        initial_epoch=turn,
                        epochs=turn + 1,
                        callbacks=[first, *callbacks, last],
                        verbose=0,
                    )
        return {name: seconds[1:] for name, (*_, (_, _, seconds)) in trainings.items()}


def measure_epochs(folder, epochs):
    """Returns the seconds of each epoch up to `epochs`, from where the backup in `folder` is."""
    from fashion_gan import data
    from fashion_gan.callbacks import BackupAndRestore
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.presets import PRESETS

    gan = build_gan(PRESETS["dense"])
    first, last, seconds = make_clock()
    dataset = data.make_dataset(data.load_fashion_mnist().train_images, 32)
    callbacks = [first, BackupAndRestore(folder), last]
    gan.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)
    return seconds


def measure_evaluation(preset, epochs):
    """Returns the seconds of a step, of quick evaluations and of the monitor in a preset.

    The epochs are shortened to 40 steps, or 400 of the pair `dense`. The first one is not timed,
    since it compiles.
    """
    import dataclasses

    from fashion_gan import data, evaluation
    from fashion_gan.callbacks import EvaluateGAN, ModeCollapseMonitor
    from fashion_gan.runs.builder import load_split, prepare, steps_per_epoch
    from fashion_gan.runs.presets import PRESETS

    config = dataclasses.replace(PRESETS[preset], **EVALUATED[preset])
    split = load_split(config)
    between = config.eval_freq * steps_per_epoch(config, len(split.train_images))
    steps = 400 if config.model == "dense" else 40
    experiment = prepare(dataclasses.replace(config, steps_per_epoch=steps), split=split)
    if config.data:
        evaluator = evaluation.image_evaluator(split, evaluation.QUICK)
        features = (evaluation.load_imagenet_features(),)
    else:
        evaluator = evaluation.fashion_mnist_evaluator(
            evaluation.QUICK, split="validation", images=split
        )
        features = evaluation.load_classifier(), data.CLASS_NAMES
    training, evaluating, monitoring = make_clock(), make_clock(), make_clock()
    first, last, epoch_seconds = training
    callbacks = [monitoring[0], evaluating[0], first, last]
    callbacks += [EvaluateGAN(evaluator), evaluating[1]]
    callbacks += [ModeCollapseMonitor(split.train_images, *features), monitoring[1]]
    experiment.gan.fit(experiment.train, epochs=epochs, callbacks=callbacks, verbose=0)
    with_evaluation, with_monitor = evaluating[2], monitoring[2]
    return {
        "steps_between_evaluations": between,
        "step_seconds": [seconds / steps for seconds in epoch_seconds[1:]],
        "quick_seconds": differences(with_evaluation, epoch_seconds),
        "monitor_seconds": differences(with_monitor, with_evaluation),
    }


def differences(longer, shorter):
    """Returns the differences of pairs after the first one."""
    return [a - b for a, b in zip(longer[1:], shorter[1:], strict=True)]


def measure_protocol():
    """Returns the seconds of the full protocol and of the reference statistics."""
    from fashion_gan import data, evaluation
    from fashion_gan.runs.builder import build_gan
    from fashion_gan.runs.presets import PRESETS

    split, gan = data.load_fashion_mnist(), build_gan(PRESETS["dense"])
    arguments = (split.train_images, evaluation.load_classifier(), data.CLASS_NAMES)
    evaluator = evaluation.Evaluator(split.test_images, *arguments, evaluation.FULL)
    start = time.perf_counter()
    _ = evaluator.reference_stats
    reference_stats = time.perf_counter() - start
    protocol = []
    for _ in range(3):
        start = time.perf_counter()
        evaluator.evaluate(gan)
        protocol.append(time.perf_counter() - start)
    return {"reference_stats_seconds": reference_stats, "protocol_seconds": protocol}


def measure_resumption(epochs):
    """Measures the epochs of a run, and those of a run that is resumed half-way."""
    with tempfile.TemporaryDirectory() as folder:

        def request(name, epochs):
            return Request("measure_epochs", {"folder": f"{folder}/{name}", "epochs": epochs})

        uninterrupted = measure(__file__, request("uninterrupted", epochs))
        measure(__file__, request("resumed", epochs // 2))
        resumed = measure(__file__, request("resumed", epochs))
    return {"uninterrupted": uninterrupted, "resumed": resumed}


def run_callbacks(options):
    requests = {
        "callbacks": Request("measure_callbacks", {"turns": options.turns}),
        "resumption": Request("measure_resumption", {"epochs": options.epochs}),
    }
    results = measure_in_rounds(__file__, requests, options.rounds)
    processes, resumptions = results["callbacks"], results["resumption"]
    # Both first epochs compile and are omitted.
    ratios = [
        statistics.median(run["resumed"][1:])
        / statistics.median(run["uninterrupted"][options.epochs // 2 + 1 :])
        for run in resumptions
    ]
    return {
        "machine": describe_machine(),
        "overheads": {
            name: [
                seconds / bare - 1
                for process in processes
                for seconds, bare in zip(process[name], process[BARE], strict=True)
            ]
            for name in processes[0]
            if name != BARE
        },
        "bare_epoch_seconds": [s for process in processes for s in process[BARE]],
        "resumed_ratios": ratios,
        "resumed_runs": resumptions,
    }


def main():
    answer(
        measure_callbacks=measure_callbacks,
        measure_epochs=measure_epochs,
        measure_evaluation=measure_evaluation,
        measure_protocol=measure_protocol,
        measure_resumption=measure_resumption,
    )
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("cost", choices=("callbacks", "evaluation"), help="what to measure")
    parser.add_argument(
        "--turns", type=int, default=9, help="epochs of each callback in a round (default 9)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        help="epochs of the run that is ended after half of them (default 12), or of those with "
        "an evaluation after each (default 9)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=EVALUATED,
        metavar="PRESET",
        help=f"presets to time, of {', '.join(EVALUATED)} (default all, and the full protocol)",
    )
    options = parser.parse_args()
    if options.cost == "callbacks":
        options.epochs = options.epochs or 12
        write_result(options.out, "callback-overhead", run_callbacks(options))
    else:
        epochs, presets = options.epochs or 9, {}
        for preset in EVALUATED if options.only is None else options.only:
            request = Request("measure_evaluation", {"preset": preset, "epochs": epochs})
            presets[preset] = measure(__file__, request)
        result = {**read_result(options.out, "evaluation-cost"), "machine": describe_machine()}
        if options.only is None:
            result |= measure(__file__, Request("measure_protocol"))
        result["presets"] = {**result.get("presets", {}), **presets}
        write_result(options.out, "evaluation-cost", result)


if __name__ == "__main__":
    main()
