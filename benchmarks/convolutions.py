"""The dcgan step on the CPU: oneDNN, XLA, threads, precision, and other ways to convolve.

    python benchmarks/convolutions.py                             # all, some minutes a round
    python benchmarks/convolutions.py --only "as it is" --steps 2 --rounds 1 --out FILE.json

`matrix products` computes each convolution as one product over the pixels below its kernel, and a
transposed one as the product that gives the four pixels of each output square: the same numbers up
to rounding, which the script checks. `upsampling` is another network: it doubles the image and then
convolves. Each measurement has a process of its own, and the variants take turns. Writes
docs/results/convolutions.json.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from processes import ask, machine

from fashion_gan.files import write_json

RESULTS = Path(__file__).parent.parent / "docs/results/convolutions.json"
VARIANTS = {
    "as it is": {},
    "XLA": {"xla": True},
    "without oneDNN": {"onednn": False},
    "one thread": {"threads": 1},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "upsampling": {"layers": "upsampling"},
    "matrix products": {"layers": "products"},
    "matrix products, XLA": {"layers": "products", "xla": True},
    "matrix products, mixed_bfloat16": {"layers": "products", "precision": "mixed_bfloat16"},
}


def measure(steps, layers="keras", xla=False, threads=None, precision="float32", **_):
    """Milliseconds a step, over `steps` after as many to warm up; seconds of the first one."""
    import keras
    import tensorflow as tf

    from fashion_gan import GAN, data

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.utils.set_random_seed(42)
    keras.config.set_dtype_policy(precision)
    gan = GAN(*pair(layers))
    gan.compile(jit_compile=xla)
    batches = data.make_dataset(data.load().train_images, 64, value_range=(-1, 1)).repeat()
    gan.make_train_function()
    iterator = iter(batches)

    def train(count):
        start = time.perf_counter()
        for _ in range(count):
            gan.train_function(iterator)
        return time.perf_counter() - start

    first = train(1)
    train(steps)
    return {"ms_per_step": 1e3 * train(steps) / steps, "first_seconds": first}


def pair(layers):
    """The dcgan pair; unless `layers` is "keras", with other ways to convolve."""
    from keras import Sequential

    from fashion_gan import models

    if layers == "keras":
        return models.build("dcgan")
    replace = by_products if layers == "products" else by_upsampling
    networks = models.build("dcgan")
    return [
        Sequential([p.inputs[0], *(new for old in p.layers for new in replace(old))], name=p.name)
        for p in networks
    ]


def by_upsampling(layer):
    """A transposed convolution as an upsampling and a convolution; anything else as it is."""
    from keras import layers as kl

    if not isinstance(layer, kl.Conv2DTranspose):
        return [layer]
    convolution = kl.Conv2D(
        layer.filters, 5, padding="same", activation=layer.activation, dtype=layer.dtype_policy
    )
    return [kl.UpSampling2D(2), convolution]


def by_products(layer):
    """A convolution of kernel 5 and stride 2 as a matrix product, with new weights of its shape."""
    import keras
    from keras import layers as kl
    from keras import ops

    def below(x, size, stride, count):
        """What lies below a square kernel at each of its places, side by side in the channels."""
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


def check_products():
    """How far each network by products is from Keras' own, relative to its largest output."""
    import keras
    import numpy as np

    rng, apart = np.random.default_rng(0), []
    for mine, keras_own in zip(pair("products"), pair("keras"), strict=True):
        x = rng.standard_normal((4, *keras_own.input_shape[1:])).astype("float32")
        mine.set_weights(keras_own.get_weights())
        a, b = (keras.ops.convert_to_numpy(network(x)) for network in (mine, keras_own))
        apart.append(float(np.abs(a - b).max() / np.abs(b).max()))
    return apart


def ask_with_onednn(request):
    """`ask`; TensorFlow chooses oneDNN by its environment."""
    return ask(__file__, request, TF_ENABLE_ONEDNN_OPTS=str(int(request.get("onednn", True))))


def run_all(names, rounds, steps):
    measured = {name: [] for name in names}
    for turn in range(rounds):
        for name, results in measured.items():
            results.append(ask_with_onednn({"steps": steps, **VARIANTS[name]}))
            print(f"[{turn + 1}/{rounds}] {name}: {results[-1]}", file=sys.stderr, flush=True)
    times = {name: [r["ms_per_step"] for r in results] for name, results in measured.items()}
    return {
        "machine": machine(),
        "steps": steps,
        "products_apart": ask(__file__, {"check": True}),
        "median_ms_per_step": {name: statistics.median(values) for name, values in times.items()},
        "rounds": measured,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="one or several")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="to warm up, and as many timed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        request = json.loads(options.child)
        print(json.dumps(check_products() if "check" in request else measure(**request)))
    else:
        report = run_all(options.only or list(VARIANTS), options.rounds, options.steps)
        write_json(options.out, report)
