"""Measures the size and the Fréchet distance of generators in LiteRT, with and without int8.

Each generator of the package is exported with the options of `OPTIONS`. LiteRT generates images
from the same latents as Keras. The distance compares them with the validation images.
"""

import json
import sys

from _harness import (
    Request,
    answer,
    describe_machine,
    make_parser,
    measure,
    read_result,
    write_result,
)

NAMES = ("dense_modern", "dcgan_modern", "resnet")
OPTIONS = ("keras", "float32", "float16", "int8 weights", "int8")
_BATCH = 100


def score(name, options, count):
    """Returns the size of an exported generator, and the distance of its images."""
    import tempfile
    from pathlib import Path

    import numpy as np

    import fashion_gan
    from fashion_gan import evaluation, images

    gan = fashion_gan.GAN.from_preset(name)
    protocol = evaluation.EvalConfig(count, kernel_subsets=1, kernel_size=1_000, bins=0)
    evaluator = evaluation.fashion_mnist_evaluator(protocol, split="validation")
    latents = np.random.default_rng(0).standard_normal((count, gan.latent_dim)).astype("float32")
    expected = gan.sample(latents=latents)
    result, generated = {"images": count}, expected
    if options != "keras":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "generator.tflite"
            gan.export(path, **litert_options(options, gan.latent_dim))
            result["megabytes"] = path.stat().st_size / 1e6
            generated = run_litert(path, latents)
    pixels = images.to_uint8(generated, gan.value_range)
    low, high = gan.value_range
    apart = (generated - expected) / (high - low)
    result["pixel_error"] = float(np.sqrt(np.mean(np.square(apart))))
    result["frechet_distance"] = float(evaluator(pixels)["frechet_distance"])
    return result


def litert_options(options, latent_dim):
    """Returns the arguments of `GAN.export` for a name of `OPTIONS`."""
    import numpy as np
    import tensorflow as tf

    def calibrate():
        rng = np.random.default_rng(1)
        for _ in range(200):
            yield [rng.standard_normal((1, latent_dim)).astype("float32")]

    optimize = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    return {
        "float32": {},
        "float16": {**optimize, "target_spec": {"supported_types": [tf.float16]}},
        "int8 weights": optimize,
        "int8": {**optimize, "representative_dataset": calibrate},
    }[options]


def run_litert(path, latents):
    """Returns the images of latents."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, (_BATCH, latents.shape[1]))
    interpreter.allocate_tensors()
    parts = []
    for start in range(0, len(latents), _BATCH):
        interpreter.set_tensor(source, latents[start : start + _BATCH])
        interpreter.invoke()
        parts.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(parts)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default {' '.join(NAMES)}")
    parser.add_argument("--images", type=int, default=5_000, help="images of each (default 5,000)")
    options = parser.parse_args()
    for name in options.names or NAMES:
        for kind in OPTIONS:
            arguments = {"name": name, "options": kind, "count": options.images}
            row = measure(__file__, Request("score", arguments))
            print(name, kind, json.dumps(row), file=sys.stderr, flush=True)
            generators = read_result(options.out, "export-formats").get("generators", {})
            generators[name] = {**generators.get(name, {}), kind: row}
            machine = describe_machine("ai_edge_litert")
            result = {"machine": machine, "generators": generators}
            write_result(options.out, "export-formats", result)


if __name__ == "__main__":
    answer(score=score)
    main()
