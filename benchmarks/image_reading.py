"""Measures the time of reading images, and the memory of reading and of training.

    python benchmarks/image_reading.py                      # about five minutes on two cores
    python benchmarks/image_reading.py --images 5000 --photos 10 --gigabytes 1.5 --out /tmp/trial

Reads 100,000 JPEG files of 32 x 32 pixels, from the files and then from the cache. Reads 100 JPEG
photos of 12 million pixels, resized to 64 x 64. Trains the dense pair for 200 steps on a `.npy`
file of 4 GB. The memory of training is the largest resident size of the process. The memory of
reading is the growth of this size. Writes docs/results/image-reading.json.
"""

import os
import re
import tempfile
import time
from pathlib import Path

from _harness import Request, answer, describe_machine, make_parser, measure, write_result

MEGABYTE = 1e6


def largest_size():
    """Returns the largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / MEGABYTE


def read_images(path, image_size):
    """Reads a folder, and returns the seconds, the growth of memory and the size of the array."""
    from fashion_gan import data

    options = data.ImageOptions(image_size=image_size)
    before, start = largest_size(), time.perf_counter()
    images = data.load_images(path, options).images
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "megabytes": largest_size() - before,
        "array_megabytes": images.nbytes / MEGABYTE,
    }


def train_on_file(path, folder):
    """Trains the dense pair on a `.npy` file, and returns the largest size of the process."""
    from fashion_gan.runs.config import Config
    from fashion_gan.runs.train import train_run

    config = Config(
        data=str(path),
        epochs=2,
        steps_per_epoch=100,
        steps_per_execution=50,
        eval_freq=0,
        on_collapse="off",
    )
    start = time.perf_counter()
    train_run(config, Path(folder) / "run", verbose=0, final=False)
    return {"megabytes": largest_size(), "seconds": time.perf_counter() - start}


def write_small_images(folder, count):
    """Writes JPEG files of 32 x 32 pixels."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(count):
        blocks = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(folder / f"{index:06}.jpg")


def write_photos(folder, count):
    """Writes JPEG files of 4,000 x 3,000 pixels, as one file under many names."""
    import numpy as np
    from PIL import Image

    blocks = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(blocks.repeat(100, 0).repeat(100, 1)).save(folder / "000.jpg")
    for index in range(1, count):
        os.link(folder / "000.jpg", folder / f"{index:03}.jpg")


def write_large_array(path, gigabytes):
    """Writes a `.npy` file of images of 64 x 64 pixels in RGB."""
    import numpy as np

    shape = (int(gigabytes * 1e9 / (64 * 64 * 3)), 64, 64, 3)
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    rng = np.random.default_rng(0)
    for first in range(0, len(array), 10_000):
        array[first : first + 10_000] = rng.integers(0, 256, array[first : first + 10_000].shape)
    array.flush()


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="number of small images")
    parser.add_argument("--photos", type=int, default=100, help="number of photos")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the array")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = {"KERAS_HOME": str(folder / "home")}
        for part in ("small", "photos"):
            (folder / part).mkdir()
        write_small_images(folder / "small", options.images)
        write_photos(folder / "photos", options.photos)
        write_large_array(folder / "large.npy", options.gigabytes)

        def read(part, image_size=""):
            arguments = {"path": str(folder / part), "image_size": image_size}
            return measure(__file__, Request("read_images", arguments, cache))

        result = {
            "machine": describe_machine("pillow"),
            "images": options.images,
            "photos": options.photos,
            "gigabytes": options.gigabytes,
            "small_first": read("small"),
            "small_again": read("small"),
            "photos_first": read("photos", "64"),
            "training": measure(
                __file__,
                Request(
                    "train_on_file", {"path": str(folder / "large.npy"), "folder": name}, cache
                ),
            ),
        }
    write_result(options.out, "image-reading", result)


if __name__ == "__main__":
    answer(read_images=read_images, train_on_file=train_on_file)
    main()
