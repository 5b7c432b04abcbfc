"""The generator for other runtimes: as SavedModel, ONNX or LiteRT, by Keras' own exporters."""

import contextlib
import importlib.util
import io
import os
import warnings
from pathlib import Path

from fashion_gan import runtime
from fashion_gan.files import atomic_write, write_json
from fashion_gan.gan import GAN
from fashion_gan.registry import check_suffix, lookup

__all__ = ["FORMATS", "export"]

FORMATS = {"saved_model": "tf_saved_model", "onnx": "onnx", "litert": "litert"}
"""Our name to Keras'."""

_SUFFIXES = {".onnx": "onnx", ".tflite": "litert"}
_PACKAGES = {"onnx": ("onnx", "tf2onnx")}


def export(
    gan: GAN, out: str | os.PathLike[str], format: str | None = None, *, use_ema: bool = True
) -> Path:
    """Write the generator that draws the samples, for batches of any size.

    Its inputs are `latents`, float32 `(batch, latent_dim)` of standard normals, and, of a
    conditional pair, `labels`, int32 `(batch,)`; its output is images `(batch, height, width,
    channels)`. A JSON file, `fashion_gan.json` within a SavedModel and `OUT.json` beside a file,
    tells their sizes and the `value_range` of the images. Images of four channels are RGBA, and the
    file then has `"alpha": "straight"`: colors are not multiplied by alpha.

    Args:
        gan: that has the generator.
        out: folder of a SavedModel, or file; it must not exist.
        format: a name of `FORMATS`; by default `"onnx"` for `.onnx`, `"litert"` for `.tflite`, and
            else `"saved_model"`.
        use_ema: whether to export the averaged generator, if there is one.

    Returns:
        The path of the JSON file.

    Raises:
        FileExistsError: if `out` exists.
        ImportError: if a package is missing that Keras needs for the format.
        ValueError: for an unknown format or ending, or if the two contradict each other.
    """
    out = Path(out)
    suffix = check_suffix(out, _SUFFIXES, folder=True)
    format = format or _SUFFIXES.get(suffix, "saved_model")
    keras_format = lookup(FORMATS, format, "format")
    if suffix and _SUFFIXES[suffix] != format:
        raise ValueError(f"{out} ends like {_SUFFIXES[suffix]}. Received: format={format!r}.")
    card = out / "fashion_gan.json" if format == "saved_model" else Path(f"{out}.json")
    for path in (out, card):
        if path.exists():
            raise FileExistsError(f"{path} exists. Delete it, or name another.")
    missing = [name for name in _PACKAGES.get(format, ()) if not importlib.util.find_spec(name)]
    if missing:
        raise ImportError(
            f"The format {format!r} needs {' and '.join(missing)}: "
            'pip install "fashion-gan[export]".'
        )
    generator = gan.sampling_network(use_ema)
    with (
        atomic_write(out) as partial,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # Keras and tf2onnx use what NumPy will not have for long
        generator.export(
            partial, format=keras_format, input_signature=gan.export_signature(), verbose=False
        )
    write_json(
        card,
        {
            "inputs": {
                "latents": ["batch", gan.latent_dim],
                **({} if gan.num_classes is None else {"labels": ["batch"]}),
            },
            "output": ["batch", *gan.image_shape],
            "value_range": list(gan.value_range),
            **({"alpha": "straight"} if gan.image_shape[2:] == (4,) else {}),
            "num_classes": gan.num_classes,
            "averaged": generator is gan.ema_generator,
            "made_with": runtime.versions(),
        },
    )
    return card
