"""`fashion-gan sample`, `animate`, `export` and `explore`: what a trained generator makes."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_gan.cli.options import (
    add_command,
    add_data_dir,
    add_no_ema,
    add_which,
    report,
    start_tensorflow,
)
from fashion_gan.cli.parser import frames_per_second, non_negative_int, port, positive_int
from fashion_gan.files import SAMPLES, atomic_write
from fashion_gan.registry import check_suffix

if TYPE_CHECKING:
    from fashion_gan.gan import GAN
    from fashion_gan.typing import Labels

__all__ = ["add_commands", "write_samples"]

_RUN = "folder of a run, .keras file, or a pretrained name"


def add_commands(commands: Any) -> None:
    """Adds `sample`, `animate`, `export` and `explore`."""
    _add_sample(commands)
    _add_animate(commands)
    _add_export(commands)
    _add_explore(commands)


def _add_sample(commands: Any) -> None:
    parser = add_command(commands, "sample", _sample, "generate images")
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "--num-images",
        type=positive_int,
        default=64,
        metavar="N",
        help="number of images (default 64)",
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=0, metavar="N", help="seed of the latents"
    )
    parser.add_argument(
        "--class",
        dest="label",
        metavar="CLASS",
        help="class, by name or number (conditional models)",
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="FILE.png for a grid, FILE.npy for uint8 (n, h, w, channels), or a folder of PNG; "
        "older samples are replaced, a folder may hold nothing else (default RUN-samples.png)",
    )


def _sample(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    from fashion_gan.runs.checkpoints import find_source

    source = find_source(options.run)
    gan = source.load(options.which, report)
    label = None if options.label is None else source.class_index(options.label)
    out = options.out or f"{options.run.removesuffix('.keras').rstrip('/')}-samples.png"
    write_samples(
        gan,
        out,
        options.num_images,
        seed=options.seed,
        labels=label,
        use_ema=options.use_ema,
    )
    print(f"{options.num_images} images: {out}")


def write_samples(
    gan: "GAN",
    out: str | os.PathLike[str],
    num_images: int,
    *,
    seed: int = 0,
    labels: "Labels | None" = None,
    use_ema: bool = True,
) -> None:
    """Generates images into a file or folder.

    Args:
        gan: GAN to sample from.
        out: `FILE.png` for a grid; `FILE.npy` for uint8 `(num_images, height, width, channels)`; a
            name without a suffix for a folder of PNG files, `00000.png` and so on, one for each
            image. An older file is replaced. In a folder, the images of an earlier sample are
            replaced, and those beyond `num_images` are removed.
        num_images: Number of images.
        seed: Seed of the latents. Defaults to 0.
        labels: Classes of the images, see `GAN.sample`. Defaults to None.
        use_ema: Whether to sample from the averaged generator, see `GAN.sample`. Defaults to True.

    Raises:
        FileExistsError: If the folder is a file, or holds anything but images of earlier samples.
        ValueError: If `out` has another suffix.
    """
    import numpy as np

    from fashion_gan import images

    out = Path(out)
    suffix = check_suffix(out, (".png", ".npy"), folder=True)
    if not suffix:
        images.numbered_pngs(out)
    samples = gan.sample(num_images, labels=labels, seed=seed, use_ema=use_ema)
    pixels = images.with_channels(images.to_uint8(samples, gan.value_range))
    out.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".png":
        columns = gan.num_classes if labels is None else None
        images.write_png(out, images.tile(pixels, columns, invert=pixels.shape[-1] == 1))
    elif suffix == ".npy":
        with atomic_write(out) as partial:
            np.save(partial, pixels)
    else:
        images.write_pngs(out, pixels)


def _add_animate(commands: Any) -> None:
    parser = add_command(
        commands, "animate", _animate, "animate the image grids of a run, epoch by epoch"
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of epoch_0000.png, …")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=".gif, .png or .webp; an older one is replaced (default RUN.gif)",
    )
    parser.add_argument(
        "--fps",
        type=frames_per_second,
        default=5.0,
        metavar="N",
        help="epochs in a second, 0.1 to 100 (default 5)",
    )
    parser.add_argument(
        "--scale",
        type=positive_int,
        default=2,
        metavar="N",
        help="pixels as squares of N (default 2)",
    )


def _animate(options: argparse.Namespace) -> None:
    from fashion_gan import images

    run_dir = Path(options.run)
    out = options.out or f"{options.run.rstrip('/')}.gif"
    samples = run_dir / SAMPLES if (run_dir / SAMPLES).is_dir() else run_dir
    count = images.animate(samples, out, frames_per_second=options.fps, scale=options.scale)
    print(f"{count} epochs: {out}")


def _add_export(commands: Any) -> None:
    parser = add_command(
        commands, "export", _export, "write a generator for other runtimes (extra for ONNX: export)"
    )
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="FILE.onnx, FILE.tflite, or a folder; must not exist",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="saved_model, onnx or litert (default: by PATH)"
    )
    add_which(parser)
    add_no_ema(parser)


def _export(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    from fashion_gan.export import export
    from fashion_gan.runs.checkpoints import find_source

    gan = find_source(options.run).load(options.which, report)
    card = export(gan, options.out, options.format, use_ema=options.use_ema)
    print(f"The generator: {options.out}. Its inputs and the range of its images: {card}")


def _add_explore(commands: Any) -> None:
    parser = add_command(
        commands, "explore", _explore, "open a page to play with a generator (extra: explore)"
    )
    parser.add_argument(
        "run", nargs="?", default="resnet", metavar="RUN", help=f"{_RUN} (default resnet)"
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="port to listen on (default: a free one from 7860)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    add_data_dir(parser)


def _explore(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    from fashion_gan import demo

    explorer = demo.open_source(
        options.run,
        options.data_dir,
        which=options.which,
        use_ema=options.use_ema,
        announce=report,
    )
    demo.serve(explorer, options.run, options.host, options.port, browser=not options.no_browser)
