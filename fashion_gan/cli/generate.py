"""Implements the commands `fashion-gan sample`, `animate`, `export` and `explore`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_gan.cli.options import (
    RUN,
    add_class,
    add_command,
    add_data_dir,
    add_no_ema,
    add_which,
    report,
    start_tensorflow,
)
from fashion_gan.cli.parser import (
    fraction,
    frames_per_second,
    non_negative_int,
    port,
    positive_float,
    positive_int,
    seed_list,
)
from fashion_gan.files import SAMPLES, atomic_write
from fashion_gan.registry import check_suffix

if TYPE_CHECKING:
    import numpy as np

    from fashion_gan.gan import GAN
    from fashion_gan.typing import Images, Labels

__all__ = ["add_commands", "write_samples"]

_NUM_IMAGES = 64


def add_commands(commands: Any) -> None:
    """Adds `sample`, `animate`, `export` and `explore`."""
    _add_sample(commands)
    _add_animate(commands)
    _add_export(commands)
    _add_explore(commands)


def _add_sample(commands: Any) -> None:
    parser = add_command(
        commands,
        "sample",
        _sample,
        "generate images",
        examples=(
            "fashion-gan sample logs/photos --num-images 100 --out samples.png",
            "fashion-gan sample logs/photos --which best --num-images 1000 --out samples",
            "fashion-gan sample resnet_conditional --class sandal --seeds 0-31 --truncation 0.7",
        ),
        details="During a training, or after one that was stopped, the newest backup is used.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--num-images",
        type=positive_int,
        metavar="N",
        help=f"number of images (default {_NUM_IMAGES})",
    )
    parser.add_argument(
        "--seed", type=non_negative_int, metavar="N", help="seed of all latents (default 0)"
    )
    parser.add_argument(
        "--seeds",
        type=seed_list,
        metavar="LIST",
        help="seeds, one for each image, such as 3,17,42 or 0-31, in place of --seed and "
        "--num-images; they name the files in a folder",
    )
    parser.add_argument(
        "--truncation",
        type=positive_float,
        metavar="LIMIT",
        help="largest absolute value in a latent; larger numbers are redrawn, so images become "
        "better and less diverse (default: no limit)",
    )
    add_class(parser)
    parser.add_argument(
        "--keep",
        type=fraction,
        metavar="FRACTION",
        help="write only this fraction of the images, or of each class: those which the "
        "discriminator rates as most real",
    )
    parser.add_argument(
        "--columns",
        type=positive_int,
        metavar="N",
        help="number of images in a row of the grid (default: one for each class, or a square "
        "grid)",
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="FILE.png for a grid, FILE.npy for a uint8 array (n, height, width, channels), or a "
        "folder for PNG files, which may hold only older samples; existing samples are overwritten "
        "(default RUN-samples.png)",
    )


def _sample(options: argparse.Namespace) -> None:
    if options.seeds and (options.num_images or options.seed is not None):
        flag = "--seed" if options.seed is not None else "--num-images"
        raise ValueError(f"Expected either --seeds or {flag}. Received: both. Omit one of them.")
    start_tensorflow(options)
    from fashion_gan.runs.checkpoints import find_source

    source = find_source(options.run)
    gan = source.load(options.which, report)
    label = None if options.label is None else source.class_index(options.label)
    out = options.out or f"{options.run.removesuffix('.keras').rstrip('/')}-samples.png"
    count = len(options.seeds) if options.seeds else options.num_images or _NUM_IMAGES
    kept = write_samples(
        gan,
        out,
        count,
        seed=options.seed or 0,
        seeds=options.seeds,
        truncation=options.truncation,
        keep=options.keep,
        columns=options.columns,
        labels=label,
        use_ema=options.use_ema,
    )
    if options.keep is not None:
        print(f"{kept} of {count} images, by the discriminator's largest logits: {out}")
    else:
        print(f"{count} images: {out}")


def write_samples(
    gan: "GAN",
    out: str | os.PathLike[str],
    num_images: int,
    *,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    truncation: float | None = None,
    keep: float | None = None,
    columns: int | None = None,
    labels: "Labels | None" = None,
    use_ema: bool = True,
) -> int:
    """Generates images into a file or folder.

    Args:
        gan: GAN to sample from.
        out: Path to write. `FILE.png` is a grid. `FILE.npy` is an array uint8
            `(num_images, height, width, channels)`. A name without a suffix is a folder of PNG
            files, one for each image, named `00000.png` and so on. An existing file is overwritten.
            In a folder, images of an earlier sample are overwritten or removed.
        num_images: Number of images to generate.
        seed: Seed of the latents. Defaults to 0.
        seeds: Seed of the latent of each image, which also names the file in a folder. Defaults to
            None, for latents from `seed` and file names by index.
        truncation: Largest absolute value in a latent, see `latents.truncate`. Defaults to None,
            for no limit.
        keep: Fraction of the images, or of the images of each class, to write. Images with the
            largest logits of the discriminator are kept. Defaults to None, for all images.
        columns: Number of images in a row of a grid. Defaults to the number of classes, or to a
            number that makes the grid about square.
        labels: Classes of the images, see `GAN.sample`. Defaults to None.
        use_ema: Whether to sample from the averaged generator, see `GAN.sample`. Defaults to True.

    Returns:
        Number of images written.

    Raises:
        FileExistsError: If the folder is a file, or holds files that are not samples.
        ValueError: If `out` has another suffix, or `keep` is given with a discriminator that was
            never trained.
    """
    import numpy as np

    from fashion_gan import images
    from fashion_gan.latents import truncate
    from fashion_gan.training.validation import sample_labels

    out = Path(out)
    suffix = check_suffix(out, (".png", ".npy"), folder=True)
    if not suffix:
        images.numbered_pngs(out)
    if keep is not None and not gan.steps:
        raise ValueError(
            "Expected a GAN with a trained discriminator, for keep. Received: a "
            "discriminator after 0 steps, such as that of a pretrained generator. Omit --keep, or "
            "pass a run."
        )
    largest = np.inf if truncation is None else truncation
    each = [(num_images, seed)] if seeds is None else [(1, number) for number in seeds]
    points = np.concatenate([truncate(n, gan.latent_dim, largest, number) for n, number in each])
    classes = sample_labels(labels, len(points), gan.num_classes)
    samples = gan.sample(latents=points, labels=classes, use_ema=use_ema)
    numbers = list(range(len(points)) if seeds is None else seeds)
    if keep is not None:
        kept = _most_real(gan, samples, classes, keep)
        samples, numbers = samples[kept], [numbers[index] for index in kept]
    pixels = images.with_channels(images.to_uint8(samples, gan.value_range))
    out.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".png":
        columns = columns or (gan.num_classes if labels is None else None)
        grid = images.tile(pixels, columns, invert=pixels.shape[-1] == 1, scale=None)
        images.write_png(out, grid)
    elif suffix == ".npy":
        with atomic_write(out) as partial:
            np.save(partial, pixels)
    else:
        images.write_pngs(out, pixels, numbers)
    return len(pixels)


def _most_real(
    gan: "GAN", samples: "Images", classes: "np.ndarray | None", keep: float
) -> "np.ndarray":
    """Returns the indices of the images with the largest logits of the discriminator.

    The same fraction of each class is kept. The classes alternate, as in a grid with a column for
    each class.
    """
    import numpy as np

    from fashion_gan.typing import LabeledImages

    # Batch statistics are computed over groups, and the last images are repeated to fill a group.
    order = np.arange(-(-len(samples) // gan.group_size) * gan.group_size) % len(samples)
    rated = LabeledImages(samples[order], None if classes is None else classes[order])
    batches = rated.batches(512 // gan.group_size * gan.group_size)
    logits = np.concatenate(
        [np.mean(gan.logits(gan.project(batch), training=False), axis=1) for batch in batches]
    )
    groups = np.zeros(len(samples), int) if classes is None else classes
    kept, ranks = [], []
    for group in np.unique(groups):
        (rows,) = np.nonzero(groups == group)
        best = rows[np.argsort(-logits[rows], kind="stable")[: int(np.ceil(keep * len(rows)))]]
        kept.append(np.sort(best))
        ranks.append(np.arange(len(best)))
    return np.concatenate(kept)[np.argsort(np.concatenate(ranks), kind="stable")]


def _add_animate(commands: Any) -> None:
    parser = add_command(
        commands,
        "animate",
        _animate,
        "animate the samples of a run, with a frame for each epoch",
        examples=(
            "fashion-gan animate logs/photos",
            "fashion-gan animate logs/photos --fps 10 --out photos.webp",
        ),
    )
    parser.add_argument(
        "run", metavar="RUN", help="folder of a run, or of files epoch_0000.png and so on"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="FILE.gif, FILE.webp or FILE.png (APNG); an existing file is overwritten (default "
        "RUN.gif)",
    )
    parser.add_argument(
        "--fps",
        type=frames_per_second,
        default=5.0,
        metavar="N",
        help="epochs per second, 0.1 to 100 (default 5)",
    )
    parser.add_argument(
        "--scale",
        type=positive_int,
        default=2,
        metavar="N",
        help="factor by which the images are enlarged (default 2)",
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
        commands,
        "export",
        _export,
        "write a generator as SavedModel, ONNX or LiteRT (extra for ONNX: export)",
        examples=(
            "fashion-gan export logs/photos --out photos.onnx",
            "fashion-gan export dense --out dense-model",
        ),
        details='For ONNX, install the extra first: pip install ".[export]".',
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="FILE.onnx for ONNX, FILE.xml for OpenVINO, FILE.tflite for LiteRT, or a folder for a "
        "SavedModel; must not exist",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="tf_saved_model, onnx, openvino or litert (default: by the ending of --out)",
    )
    add_which(parser)
    add_no_ema(parser)


def _export(options: argparse.Namespace) -> None:
    start_tensorflow(options)
    from fashion_gan.runs.checkpoints import find_source

    gan = find_source(options.run).load(options.which, report)
    card = gan.export(options.out, options.format, use_ema=options.use_ema)
    print(f"The generator: {options.out}. Its inputs and the range of its images: {card}")


def _add_explore(commands: Any) -> None:
    parser = add_command(
        commands,
        "explore",
        _explore,
        "explore the images of a generator in the browser (extra: explore)",
        examples=("fashion-gan explore", "fashion-gan explore logs/photos --port 8000"),
        details="The page has sliders for directions in the latent space, paths between seeds, and "
        "a search for the latent of your own image. Install the extra first: pip install "
        '".[explore]".',
    )
    parser.add_argument(
        "run", nargs="?", default="resnet", metavar="RUN", help=f"{RUN} (default resnet)"
    )
    add_which(parser)
    add_no_ema(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1, which only this machine can reach)",
    )
    parser.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="port to listen on (default: the first free one from 7860)",
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
