"""Writes the generator as SavedModel, ONNX, OpenVINO or LiteRT, with Keras' exporters."""

import contextlib
import importlib.util
import io
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from fashion_gan import runtime
from fashion_gan.files import atomic_write, write_json
from fashion_gan.registry import check_suffix, lookup

if TYPE_CHECKING:
    from fashion_gan.gan import GAN

__all__ = ["FORMATS", "Format", "write_export"]


@dataclass(frozen=True)
class Format:
    """Describes a format of `keras.Model.export`.

    Attributes:
        suffix: Suffix of the file, or an empty string for a folder.
        packages: Modules that Keras imports to write the format, in addition to TensorFlow.
        extra: Extra of this package that installs them.
    """

    suffix: str
    packages: tuple[str, ...] = ()
    extra: str = ""


FORMATS = {
    "tf_saved_model": Format(""),
    "onnx": Format(".onnx", ("onnx", "tf2onnx"), "export"),
    "openvino": Format(".xml", ("openvino",), "openvino"),
    "litert": Format(".tflite"),
}
"""Formats by their names in Keras. Its format `torch` needs the PyTorch backend."""


def write_export(
    gan: "GAN",
    path: str | os.PathLike[str],
    format: str | None,
    *,
    input_signature: Any,
    use_ema: bool,
    verbose: bool,
    **options: Any,
) -> Path:
    """Exports the generator and writes its sizes and the range of its images, see `GAN.export`.

    Args:
        gan: GAN whose generator is exported.
        path: File or folder to write. It must not exist.
        format: Name of `FORMATS`, or None to derive it from the suffix.
        input_signature: Signature of latents and, for a conditional GAN, labels.
        use_ema: Whether to export the averaged generator, if there is one.
        verbose: Whether to print what the exporters print.
        **options: Options of the format.

    Returns:
        The path of the JSON file.

    Raises:
        FileExistsError: If a file to write exists.
        ImportError: If a package is missing that Keras requires for the format.
        ValueError: If the format or suffix is unknown, or if they contradict each other.
    """
    path = Path(path)
    names = {kind.suffix: name for name, kind in FORMATS.items()}
    suffix = check_suffix(path, [known for known in names if known], folder=True)
    format = names[suffix] if format is None else format
    kind = lookup(FORMATS, format, "format")
    if suffix and suffix != kind.suffix:
        raise ValueError(f"{path} ends like {names[suffix]}. Received: format={format!r}.")
    if kind.suffix and not suffix:
        raise ValueError(
            f"Expected a file that ends in {kind.suffix} for format={format!r}. "
            f"Received: {str(path)!r}."
        )
    card = Path(f"{path}.json") if suffix else path / "fashion_gan.json"
    weights = path.with_suffix(".bin")
    for file in (path, card, *([weights] if format == "openvino" else [])):
        if file.exists():
            raise FileExistsError(f"{file} exists. Delete it, or name another.")
    missing = [name for name in kind.packages if not importlib.util.find_spec(name)]
    if missing:
        raise ImportError(
            f"The format {format!r} needs {' and '.join(missing)}: "
            f'pip install "fashion-gan[{kind.extra}]".'
        )
    generator = gan.sampling_network(use_ema)
    inputs = zip(("latents", "labels"), keras.tree.flatten(input_signature), strict=False)
    facts = {
        "inputs": {
            name: ["batch" if size is None else size for size in spec.shape]
            for name, spec in inputs
        },
        "output": ["batch", *gan.image_shape],
        "value_range": list(gan.value_range),
        **({"alpha": "straight"} if gan.image_shape[2:] == (4,) else {}),
        "num_classes": gan.num_classes,
        "averaged": generator is gan.ema_generator,
        "made_with": runtime.versions(),
    }
    with atomic_write(path) as partial, contextlib.nullcontext() if verbose else _silence():
        generator.export(
            str(partial), format=format, input_signature=input_signature, verbose=verbose, **options
        )
        if format == "onnx":
            _describe_onnx(partial, facts)
        if format == "openvino":
            with atomic_write(weights) as file:
                partial.with_suffix(".bin").rename(file)
    write_json(card, facts)
    return card


def _describe_onnx(path: Path, facts: dict[str, Any]) -> None:
    """Names the output `images`, which tf2onnx calls `Identity:0`, and adds facts as metadata."""
    import onnx

    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["images" if name == output.name else name for name in names]
    output.name = "images"
    onnx.helper.set_model_props(model, {name: json.dumps(fact) for name, fact in facts.items()})
    onnx.save(model, path)


@contextlib.contextmanager
def _silence() -> Any:
    """Hides what the exporters print, and warnings about deprecated functions that they use."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
