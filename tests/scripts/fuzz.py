"""Fuzzes the readers of IDX files, arrays, run folders and models.

    python tests/scripts/fuzz.py --seconds 600

It damages good files, byte by byte or by pieces, and reads them. Anything that is raised but the
documented errors ends it with status 1, and leaves the file as fuzz-failure.*. The same seed makes
the same damage.
"""

import argparse
import gzip
import random
import shutil
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from fashion_gan import GAN, data, models
from fashion_gan.runs import checkpoints, summary
from fashion_gan.runs.directory import RunDirectory

DOCUMENTED = (ValueError, TypeError, OSError)
"""What the command line answers in one line."""


def read_idx(path):
    data.read_idx(path)


def read_arrays(path):
    data.load_images(path)


def read_folder(path):
    (found,) = summary.list_runs(path.parent.parent)
    summary.summary_tables([found])
    summary.comparison_page([found])
    RunDirectory(path.parent).read_config()


def read_model(path):
    checkpoints.load(path)


def seeds(folder):
    """Returns valid files, each with its reader and the number of tries."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 4, 5), np.uint8)
    idx = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
    (folder / "images-idx3-ubyte").write_bytes(idx)
    (folder / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx, mtime=0))
    np.save(folder / "images.npy", images)
    np.savez(folder / "images.npz", images=images, labels=np.arange(3))
    some = folder / "runs/some"
    some.mkdir(parents=True)
    (some / "config.json").write_text('{"model": "dense", "epochs": 3, "r1": 0.5}')
    (some / "scores.json").write_text('{"scores": {"samples": {"frechet_distance": 3.5}}}')
    (some / "monitor.json").write_text('{"episodes": [], "epoch": 2}')
    (some / "metrics.jsonl").write_text('{"epoch": 1, "d_loss": 0.5}\n{"epoch": 2, "d_loss": 1}\n')
    gan = GAN(*models.build_networks("dense", latent_dim=2, image_shape=(2, 2, 1)))
    gan.compile()
    gan.save(folder / "model.keras")
    readers = [(path, read_idx, 8) for path in sorted(folder.glob("images-idx*"))]
    readers += [(path, read_arrays, 4) for path in sorted(folder.glob("images*"))]
    readers += [(path, read_folder, 4) for path in sorted(some.iterdir())]
    return [*readers, (folder / "model.keras", read_model, 1)]


def damaged(content, rng):
    """Returns the bytes with one to four pieces changed, removed, doubled or moved."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(made) + 1)
        end = min(len(made), start + rng.choice((1, 1, 2, 4, 16, len(made))))
        kind = rng.randrange(6)
        if kind == 0:
            made[start:end] = rng.randbytes(end - start)
        elif kind == 1:
            del made[start:end]
        elif kind == 2:
            made[start:start] = made[start:end]
        elif kind == 3:
            made[start:start] = rng.choice((b"\0" * 8, b"\xff" * 8, b"NaN", b"1e999", b"-1", b"{"))
        elif kind == 4 and start < len(made):
            made[start] ^= 1 << rng.randrange(8)
        else:
            del made[start:]
    return bytes(made)


def fuzz(folder, rng, enough):
    """Reads damaged files until `enough(count)`, and returns the count and the errors.

    Raises:
        AssertionError: for an error that is not documented.
    """
    readers = seeds(folder)
    whole = {path: path.read_bytes() for path, _, _ in readers}
    for path, read, _ in readers:
        read(path)
    count = refused = 0
    while not enough(count):
        path, read, _ = rng.choices(readers, [often for _, _, often in readers])[0]
        path.write_bytes(damaged(whole[path], rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except DOCUMENTED:
            refused += 1
        except Exception as error:
            kept = Path(f"fuzz-failure{path.suffix or '.idx'}")
            shutil.copy(path, kept)
            raise AssertionError(f"{read.__name__} of {path.name}, kept as {kept}") from error
        finally:
            path.write_bytes(whole[path])
        count += 1
    return count, refused


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="default 60")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as made:
        count, refused = fuzz(
            Path(made), random.Random(options.seed), lambda _: time.monotonic() > end
        )
    print(f"{count:,} damaged files, of which {refused:,} were refused.", file=sys.stderr)
