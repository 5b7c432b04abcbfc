"""The floor of a dense step: its matrix products alone, in one XLA loop; and XLA's other kernels.

    python benchmarks/products.py        # five minutes on two cores

No step can be faster that multiplies the same matrices with the same library. Timed in turns with
the whole step, and that again with what XLA lets one choose in `XLA_FLAGS`. Writes
docs/results/products.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/products.json"
BATCH, STEPS = 32, 100
FLAGS = {
    "vectors of 512 bits": "--xla_cpu_prefer_vector_width=512",
    "Eigen for each product": "--xla_cpu_experimental_ynn_fusion_type=invalid",
    "YNNPACK for each product": "--xla_cpu_experimental_ynn_fusion_type=dot",
    "XNNPACK for each product": "--xla_cpu_use_xnnpack=true "
    "--xla_cpu_experimental_xnn_fusion_type=dot",
    "oneDNN for each product": "--xla_cpu_use_onednn=true "
    "--xla_cpu_experimental_onednn_fusion_type=dot",
    "another schedule": "--xla_cpu_enable_concurrency_optimized_scheduler=true",
    "fast math": "--xla_cpu_enable_fast_math=true",
}
"""Another way of XLA's to `XLA_FLAGS`."""


def shapes():
    """`(m, k, n)` of each product in a step of the dense pair."""
    from fashion_gan import models

    generator, discriminator = (
        [tuple(layer.kernel.shape) for layer in network.layers if hasattr(layer, "kernel")]
        for network in models.build("dense")
    )
    both, one = 2 * BATCH, BATCH
    for k, n in generator:
        yield one, k, n  # the fakes of the first phase
    for index, (k, n) in enumerate(discriminator):
        yield both, k, n  # forward
        yield k, both, n  # gradient of the kernel
        if index:
            yield both, n, k  # gradient of the input
    for index, (k, n) in enumerate(generator):
        yield one, k, n
        yield k, one, n
        if index:
            yield one, n, k
    for k, n in discriminator:
        yield one, k, n
        yield one, n, k


def measure_products():
    """Milliseconds of all products of a step."""
    import tensorflow as tf

    wanted = list(shapes())
    draw = tf.random.Generator.from_seed(0).normal
    pairs = [(draw((m, k)), draw((k, n))) for m, k, n in wanted]

    @tf.function(jit_compile=True, autograph=False)
    def loop(pairs):
        def step(i, shift):
            # Each product feeds the next one's shift, so that none is left out or done once.
            for a, b in pairs:
                shift = shift + 1e-9 * tf.matmul(a + shift, b)[0, 0]
            return i + 1, shift

        return tf.while_loop(lambda i, _: i < STEPS, step, (0, tf.constant(0.0)))

    float(loop(pairs)[1])
    spans = []
    for _ in range(20):
        start = time.perf_counter()
        float(loop(pairs)[1])
        spans.append(time.perf_counter() - start)
    flops = sum(2 * m * k * n for m, k, n in wanted)
    return {"ms": 1e3 * sorted(spans)[10] / STEPS, "flops": flops}


def measure_step():
    """Milliseconds of a whole step in an epoch of `fit()`."""
    from fashion_gan.benchmark.measure import measure
    from fashion_gan.presets import PRESETS

    done = measure(
        PRESETS["dense"], "auto", steps=3_400, steps_per_execution=STEPS, started=time.time()
    )
    return {"ms": done["ms_per_step"], "flops": done["flops"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure = {"products": measure_products, "step": measure_step}[json.loads(options.child)]
        print(json.dumps(measure()))
        sys.exit()
    candidates = {"products": ("products", ""), "step": ("step", "")}
    candidates.update({name: ("step", flags) for name, flags in FLAGS.items()})
    times = {name: [] for name in candidates}
    for turn in range(options.rounds):
        for name, (what, flags) in candidates.items():
            measured = ask(__file__, what, XLA_FLAGS=flags)
            times[name].append(measured["ms"])
            said = f"[{turn + 1}/{options.rounds}] {name}: {measured['ms']:.3f} ms"
            print(said, file=sys.stderr, flush=True)
    report = {"machine": machine(), "flops": measured["flops"], "flags": FLAGS, "ms": times}
    write_json(options.out, report)
