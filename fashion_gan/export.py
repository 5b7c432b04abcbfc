"""Exports the generator as SavedModel, ONNX or LiteRT, with Keras' exporters."""

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
"""Names of the formats in Keras, by their names in this package."""

_SUFFIXES = {".onnx": "onnx", ".tflite": "litert"}
_PACKAGES = {"onnx": ("onnx", "tf2onnx")}


def export(
    gan: GAN, out: str | os.PathLike[str], format: str | None = None, *, use_ema: bool = True
) -> Path:
    """Exports the generator, or its average if there is one, for batches of any size.

    The inputs are `latents`, standard normals float32 `(batch, latent_dim)`, and for a conditional
    generator `labels`, int32 `(batch,)`. The output is images `(batch, height, width, channels)`. A
    JSON file holds their sizes and the `value_range` of the images. It is `fashion_gan.json` in the
    folder of a SavedModel, and `OUT.json` for other formats. Images of four channels are RGBA. The
    JSON file then has `"alpha": "straight"`, since colors are not multiplied by alpha.

    Args:
        gan: GAN whose generator is exported.
        out: Folder of a SavedModel, or file of another format. It must not exist.
        format: Name of `FORMATS`. Defaults to `"onnx"` for `.onnx`, to `"litert"` for `.tflite`,
            and otherwise to `"saved_model"`.
        use_ema: Whether to export the averaged generator, if there is one. Defaults to True.

    Returns:
        The path of the JSON file.

    Raises:
        FileExistsError: If `out` or its JSON file exists.
        ImportError: If a package is missing that Keras requires for the format.
        ValueError: If the format or suffix is unknown, or if they contradict each other.
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
        warnings.simplefilter("ignore")  # Keras and tf2onnx use deprecated functions of NumPy
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
