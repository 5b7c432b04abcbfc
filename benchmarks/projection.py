"""Measures the errors and the time of projecting samples and test images.

Each generator projects its own samples, drawn with a seed that the search does not use, and then
test images. The error of a test image is reported with the error of the nearest training image.
Both are root mean squares over pixels in [0, 1].
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

NAMES = ("dense_modern", "dcgan_modern", "resnet", "resnet_conditional")
PARTS = ("samples", "test_images")
FOUND = 0.01
"""Error below which a sample counts as recovered."""
_SAMPLES = 1_000_000  # seed of the samples


def project(name, images, real):
    """Projects samples of a generator or test images, and returns errors and seconds."""
    import time

    import numpy as np

    import fashion_gan
    from fashion_gan import data, latents, metrics

    gan = fashion_gan.GAN.from_preset(name)
    split = data.load_fashion_mnist()
    labels = None
    if real:
        targets = split.test_images[:images]
        if gan.num_classes is not None:
            labels = split.test_labels[:images]
    else:
        if gan.num_classes is not None:
            labels = np.arange(images) % gan.num_classes
        targets = gan.sample(images, labels=labels, seed=_SAMPLES)
    start, start_cpu = time.perf_counter(), time.process_time()
    found = latents.project(gan, targets, labels)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    result = {
        "images": images,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "error": summarize(found.errors),
        "latent_length": float(np.linalg.norm(found.latents, axis=1).mean()),
    }
    if not real:
        return {**result, "found": float(np.mean(found.errors < FOUND))}
    rows = [part.reshape(len(part), -1) / 255 for part in (targets, split.train_images)]
    nearest = metrics.nearest(*rows).distances[:, 0] / np.sqrt(rows[0].shape[1])
    nearer = float(np.mean(found.errors < nearest))
    return {**result, "nearest_training_image": summarize(nearest), "nearer": nearer}


def summarize(errors):
    """Returns the median, the mean and the largest error."""
    import numpy as np

    return {
        "median": float(np.median(errors)),
        "mean": float(np.mean(errors)),
        "max": float(np.max(errors)),
    }


def main():
    parser = make_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default {' '.join(NAMES)}")
    help = "part to measure; the other keeps its result (default both)"
    parser.add_argument("--part", choices=PARTS, help=help)
    parser.add_argument("--images", type=int, default=100, help="images of each kind")
    options = parser.parse_args()
    for name in options.names or NAMES:
        result = read_result(options.out, "projection")
        parts = result.get("generators", {}).get(name, {})
        for part in [options.part] if options.part else PARTS:
            arguments = {"name": name, "images": options.images, "real": part == "test_images"}
            parts[part] = measure(__file__, Request("project", arguments))
            print(name, part, json.dumps(parts[part]), file=sys.stderr, flush=True)
        generators = {**result.get("generators", {}), name: parts}
        write_result(
            options.out, "projection", {"machine": describe_machine(), "generators": generators}
        )


if __name__ == "__main__":
    answer(project=project)
    main()
