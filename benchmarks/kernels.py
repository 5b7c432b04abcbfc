"""Times the matrix products and convolutions of a train step, and alternatives to them.

    python benchmarks/kernels.py matmul             # about five minutes on two cores
    python benchmarks/kernels.py convolutions       # some minutes a round
    python benchmarks/kernels.py matmul --only step --rounds 1 --out /tmp/trial
    python benchmarks/kernels.py convolutions --only XLA --steps 2 --rounds 1 --out /tmp/trial

`matmul` times only the matrix products of a dense step, in one XLA loop. With these kernels, no
step can be faster. It also times the whole step, unchanged and with alternatives from `XLA_FLAGS`.
Writes docs/results/kernels-matmul.json.

`convolutions` times the dcgan step on the CPU: with and without oneDNN, with XLA, with one thread,
in another precision, and with alternative convolutions. The layers "products" compute each
convolution as one matrix product over the pixels below its kernel. A transposed convolution is the
product that gives the four pixels of each output square. The results are equal up to rounding,
which `products_apart` records. The layers "upsampling" are a different network, which doubles the
image and then convolves. Writes docs/results/kernels-convolutions.json.
"""

import statistics
import time

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure,
    measure_in_rounds,
    write_result,
)

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
"""`XLA_FLAGS` of each alternative, by name."""

MATMUL = {
    "products": Request("measure_products"),
    "step": Request("measure_dense_step"),
    **{
        name: Request("measure_dense_step", environment={"XLA_FLAGS": flags})
        for name, flags in FLAGS.items()
    },
}
CONVOLUTIONS = {
    "as it is": {},
    "XLA": {"jit_compile": True},
    "without oneDNN": {"onednn": False},
    "one thread": {"threads": 1},
    "mixed_bfloat16": {"dtype_policy": "mixed_bfloat16"},
    "upsampling": {"layers": "upsampling"},
    "matrix products": {"layers": "products"},
    "matrix products, XLA": {"layers": "products", "jit_compile": True},
    "matrix products, mixed_bfloat16": {"layers": "products", "dtype_policy": "mixed_bfloat16"},
}


def product_shapes():
    """Yields `(m, k, n)` of each matrix product in a step of the dense pair."""
    from fashion_gan import models

    generator, discriminator = (
        [tuple(layer.kernel.shape) for layer in network.layers if hasattr(layer, "kernel")]
        for network in models.build_networks("dense")
    )
    both, one = 2 * BATCH, BATCH
    for k, n in generator:
        yield one, k, n  # fakes in the discriminator's update
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
    """Times all matrix products of a dense step, and returns milliseconds and FLOPs."""
    import tensorflow as tf

    shapes = list(product_shapes())
    normal = tf.random.Generator.from_seed(0).normal
    factors = [(normal((m, k)), normal((k, n))) for m, k, n in shapes]

    @tf.function(jit_compile=True, autograph=False)
    def loop(factors):
        def step(i, shift):
            # Each product shifts the input of the next, so that XLA neither drops nor reuses it.
            for a, b in factors:
                shift = shift + 1e-9 * tf.matmul(a + shift, b)[0, 0]
            return i + 1, shift

        return tf.while_loop(lambda i, _: i < STEPS, step, (0, tf.constant(0.0)))

    float(loop(factors)[1])
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        float(loop(factors)[1])
        seconds.append(time.perf_counter() - start)
    flops = sum(2 * m * k * n for m, k, n in shapes)
    return {"ms": 1e3 * sorted(seconds)[10] / STEPS, "flops": flops}


def measure_dense_step():
    """Times a whole dense step in an epoch of `fit()`, and returns milliseconds and FLOPs."""
    from fashion_gan.benchmark.measure import measure
    from fashion_gan.runs.presets import PRESETS

    result = measure(
        PRESETS["dense"], "auto", steps=3_400, steps_per_execution=STEPS, started=time.time()
    )
    return {"ms": result["ms_per_step"], "flops": result["flops"]}


def measure_dcgan_step(
    steps, layers="keras", jit_compile=False, threads=None, dtype_policy="float32"
):
    """Times a dcgan step over `steps` steps after `steps` warm-up steps, and the first step."""
    import keras
    import tensorflow as tf

    from fashion_gan import GAN, data

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.utils.set_random_seed(42)
    keras.config.set_dtype_policy(dtype_policy)
    gan = GAN(*build_dcgan(layers))
    gan.compile(jit_compile=jit_compile)
    images = data.load_fashion_mnist().train_images
    batches = iter(data.make_dataset(images, 64, value_range=(-1, 1)).repeat())
    gan.make_train_function()

    def train(count):
        start = time.perf_counter()
        for _ in range(count):
            gan.train_function(batches)
        return time.perf_counter() - start

    first = train(1)
    train(steps)
    return {"ms_per_step": 1e3 * train(steps) / steps, "first_seconds": first}


def build_dcgan(layers):
    """Builds the dcgan pair with layers "keras", "upsampling" or "products"."""
    from keras import Sequential

    from fashion_gan import models

    networks = models.build_networks("dcgan")
    if layers == "keras":
        return networks
    replace = as_products if layers == "products" else as_upsampling
    return [
        Sequential([n.inputs[0], *(new for old in n.layers for new in replace(old))], name=n.name)
        for n in networks
    ]


def as_upsampling(layer):
    """Returns an upsampling and a convolution for a transposed convolution, or the layer itself."""
    from keras import layers as kl

    if not isinstance(layer, kl.Conv2DTranspose):
        return [layer]
    convolution = kl.Conv2D(
        layer.filters, 5, padding="same", activation=layer.activation, dtype=layer.dtype_policy
    )
    return [kl.UpSampling2D(2), convolution]


def as_products(layer):
    """Returns a layer that computes a convolution of kernel 5 and stride 2 as a matrix product."""
    import keras
    from keras import layers as kl
    from keras import ops

    def below(x, size, stride, count):
        """Gathers the pixels below a square kernel at each position into the channels."""
        height, width = count
        return ops.concatenate(
            [
                x[:, i : i + stride * height : stride, j : j + stride * width : stride]
                for i in range(size)
                for j in range(size)
            ],
            axis=-1,
        )

    class Convolution(kl.Conv2D):
        def call(self, x):
            count = (x.shape[1] // 2, x.shape[2] // 2)
            x = below(ops.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0))), 5, 2, count)
            y = ops.matmul(x, ops.reshape(self.kernel, (-1, self.filters)))
            return self.activation(y + self.bias)

    class Transposed(kl.Conv2DTranspose):
        def call(self, x):
            _, height, width, channels = x.shape
            x = ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
            x = below(x, 3, 1, (height + 2, width + 2))
            # A pixel of the output at 2 m + r takes kernel row r + 2 t from the input at m - t.
            kernel = ops.pad(self.kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
            kernel = ops.reshape(kernel, (3, 2, 3, 2, self.filters, channels))[::-1, :, ::-1]
            kernel = ops.transpose(kernel, (0, 2, 5, 1, 3, 4))
            y = ops.matmul(x, ops.reshape(kernel, (9 * channels, 4 * self.filters)))
            y = ops.reshape(y, (-1, height + 2, width + 2, 2, 2, self.filters))
            y = ops.transpose(y, (0, 1, 3, 2, 4, 5))
            y = ops.reshape(y, (-1, 2 * height + 4, 2 * width + 4, self.filters))
            return self.activation(y[:, 1 : 1 + 2 * height, 1 : 1 + 2 * width] + self.bias)

    kind = {kl.Conv2D: Convolution, kl.Conv2DTranspose: Transposed}.get(type(layer))
    if kind is None:
        return [layer]
    config = layer.get_config()
    config["dtype"] = keras.dtype_policies.get(layer.dtype_policy.name)
    return [kind.from_config(config)]


def compare_layers():
    """Returns each network's largest difference with products, relative to its output."""
    import keras
    import numpy as np

    rng, differences = np.random.default_rng(0), []
    for by_products, by_keras in zip(build_dcgan("products"), build_dcgan("keras"), strict=True):
        x = rng.standard_normal((4, *by_keras.input_shape[1:])).astype("float32")
        by_products.set_weights(by_keras.get_weights())
        a, b = (keras.ops.convert_to_numpy(network(x)) for network in (by_products, by_keras))
        differences.append(float(np.abs(a - b).max() / np.abs(b).max()))
    return differences


def run_matmul(options):
    requests = {name: MATMUL[name] for name in options.only or MATMUL}
    results = measure_in_rounds(__file__, requests, options.rounds)
    flops = next(iter(results.values()))[0]["flops"]
    times = {name: [r["ms"] for r in rounds] for name, rounds in results.items()}
    return {"machine": describe_machine(), "flops": flops, "flags": FLAGS, "ms": times}


def run_convolutions(options):
    requests = {}
    for name in options.only or CONVOLUTIONS:
        arguments = {"steps": options.steps, **CONVOLUTIONS[name]}
        onednn = str(int(arguments.pop("onednn", True)))  # TensorFlow reads it when it starts
        environment = {"TF_ENABLE_ONEDNN_OPTS": onednn}
        requests[name] = Request("measure_dcgan_step", arguments, environment)
    results = measure_in_rounds(__file__, requests, options.rounds)
    return {
        "machine": describe_machine(),
        "steps": options.steps,
        "products_apart": measure(__file__, Request("compare_layers")),
        "median_ms_per_step": {
            name: statistics.median(r["ms_per_step"] for r in rounds)
            for name, rounds in results.items()
        },
        "rounds": results,
    }


def main():
    answer(
        measure_products=measure_products,
        measure_dense_step=measure_dense_step,
        measure_dcgan_step=measure_dcgan_step,
        compare_layers=compare_layers,
    )
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("kernels", choices=("matmul", "convolutions"), help="what to measure")
    parser.add_argument(
        "--only",
        action="append",
        metavar="VARIANT",
        help="variant to measure; repeat the flag for several",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=20,
        help="number of measured steps of the dcgan, after the same number of warm-up steps",
    )
    options = parser.parse_args()
    variants = MATMUL if options.kernels == "matmul" else CONVOLUTIONS
    if unknown := set(options.only or ()) - set(variants):
        parser.error(f"Expected --only among {list(variants)}. Received: {sorted(unknown)}.")
    run = run_matmul if options.kernels == "matmul" else run_convolutions
    write_result(options.out, f"kernels-{options.kernels}", run(options))


if __name__ == "__main__":
    main()
