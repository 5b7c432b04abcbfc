"""What measuring costs: the quick evaluation against an epoch of the dense GAN, the full protocol.

    python benchmarks/evaluation_cost.py     # about three minutes on two cores

Writes docs/results/evaluation-cost.json, which `python docs/update.py` puts into a page.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

from processes import machine

from fashion_gan.files import write_json

RESULT = Path(__file__).parent.parent / "docs/results/evaluation-cost.json"
EPOCHS = 9


def main() -> None:
    """Measure and write."""
    from fashion_gan.runtime import import_tensorflow_quietly

    import_tensorflow_quietly()

    import keras

    from fashion_gan import assembly, data, evaluate, features
    from fashion_gan.callbacks import MetricEvaluation
    from fashion_gan.presets import PRESETS

    class Clock(keras.callbacks.Callback):
        """Seconds from the begin of each epoch to where the evaluation begins, and of that."""

        def __init__(self, evaluation: Any) -> None:
            super().__init__()
            self.evaluation = evaluation
            self.epochs: list[float] = []
            self.evaluations: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            spent = time.perf_counter() - self.begun
            self.evaluations.append(self.evaluation.seconds)
            self.epochs.append(spent - self.evaluation.seconds)

    fashion, config = data.load(), PRESETS["dense"]
    gan = assembly.build(config)
    arguments = (fashion.train_images, features.load(), data.CLASS_NAMES)
    quick = MetricEvaluation(
        evaluate.Evaluator(fashion.validation_images, *arguments, evaluate.QUICK)
    )
    clock = Clock(quick)
    dataset = data.make_dataset(fashion.train_images, config.batch_size)
    gan.fit(dataset, epochs=EPOCHS, callbacks=[quick, clock], verbose=0)
    shares = [e / t for e, t in zip(clock.evaluations, clock.epochs, strict=True)][1:]

    full = evaluate.Evaluator(fashion.test_images, *arguments, evaluate.FULL)
    begun = time.perf_counter()
    _ = full.real_side
    real_side = time.perf_counter() - begun
    protocol = []
    for _ in range(3):
        begun = time.perf_counter()
        full.judge(gan)
        protocol.append(time.perf_counter() - begun)
    result = {
        "machine": machine(),
        "epoch_seconds": clock.epochs[1:],
        "quick_seconds": clock.evaluations[1:],
        "share_of_an_epoch": statistics.median(shares),
        "real_side_seconds": real_side,
        "protocol_seconds": protocol,
    }
    write_json(RESULT, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
