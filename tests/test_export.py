"""Tests exported generators against Keras, each in its own runtime."""

import inspect
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import GAN, models
from fashion_gan.cli.main import main
from fashion_gan.export import FORMATS

TOLERANCE = 1e-5
"""Of pixels: the runtimes add up in another order."""


def saved_model(path, inputs):
    loaded = tf.saved_model.load(str(path))
    values = list(inputs.values())
    return loaded.serve(values if len(values) > 1 else values[0]).numpy()


def onnx(path, inputs):
    runtime = pytest.importorskip("onnxruntime")
    (output,) = runtime.InferenceSession(str(path)).run(["images"], inputs)
    return output


def litert(path, inputs):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    details = {
        name: detail
        for detail in interpreter.get_input_details()
        for name in inputs
        if f"_{name}:" in detail["name"]
    }
    for name, value in inputs.items():
        interpreter.resize_tensor_input(details[name]["index"], value.shape)
    interpreter.allocate_tensors()
    for name, value in inputs.items():
        interpreter.set_tensor(details[name]["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def openvino(path, inputs):
    core = pytest.importorskip("openvino").Core()
    # Processors with bfloat16 would use it.
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(model(inputs).values()))


RUNTIMES = {
    "tf_saved_model": (saved_model, "folder", None),
    "onnx": (onnx, "file.onnx", "tf2onnx"),
    "openvino": (openvino, "file.xml", "openvino"),
    "litert": (litert, "file.tflite", "ai_edge_litert"),
}


@pytest.fixture(
    scope="module",
    params=["dense", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dcgan", "resnet"))],
)
def gan(request):
    """Returns a GAN to export: the book's dense with an average, or a conditional GAN."""
    keras.utils.set_random_seed(3)
    if request.param == "dense":
        gan = GAN(*models.build_networks("dense"))
        gan.compile(ema_decay=0.9)
        first = gan.ema_generator
        first.set_weights([2 * weight + 0.1 for weight in first.get_weights()])
        return gan
    size = {"width": 8}
    return GAN(
        *models.build_networks(request.param, num_classes=10, image_shape=(16, 16, 3), **size)
    )


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("use_ema", [True, False])
def test_export_matches_keras(gan, format, use_ema, tmp_path):
    if not use_ema and gan.ema_generator is None:
        pytest.skip("both are one")
    run, name, package = RUNTIMES[format]
    if package:
        pytest.importorskip(package)
    card = json.loads(gan.export(tmp_path / name, use_ema=use_ema).read_text())
    latents = np.random.default_rng(0).standard_normal((5, gan.latent_dim)).astype("float32")
    inputs, labels = {"latents": latents}, None
    if gan.num_classes is not None:
        labels = inputs["labels"] = np.array([0, 9, 4, 4, 1], "int32")
    images = run(tmp_path / name, inputs)
    wanted = gan.sample(latents=latents, labels=labels, use_ema=use_ema)
    np.testing.assert_allclose(images, wanted, rtol=0, atol=TOLERANCE)
    assert card["value_range"] == list(gan.value_range)
    assert card["output"] == ["batch", *images.shape[1:]]
    assert set(card["inputs"]) == set(inputs)
    assert card["averaged"] == (gan.ema_generator is not None and use_ema)
    if gan.ema_generator is not None:
        other = gan.sample(latents=latents, use_ema=not use_ema)
        assert np.abs(images - other).max() > 0.01
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_export_raises_for_an_existing_file_and_an_unknown_format(tmp_path):
    gan = GAN(*models.build_networks("dense"))
    (tmp_path / "a.onnx").write_text("mine")
    with pytest.raises(FileExistsError, match="a.onnx exists"):
        gan.export(tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "mine"
    with pytest.raises(ValueError, match="Did you mean 'onnx'"):
        gan.export(tmp_path / "b", "onx")
    with pytest.raises(ValueError, match=r"ends in .tflite for format='litert'. Received: .*b'"):
        gan.export(tmp_path / "b", "litert")
    (tmp_path / "c.bin").write_text("mine")
    with pytest.raises(FileExistsError, match="c.bin exists"):
        gan.export(tmp_path / "c.xml")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("a.onnx", "tf2onnx", "export"), ("a.xml", "openvino", "openvino")],
)
def test_export_raises_with_the_install_command_for_a_missing_package(
    name, package, extra, tmp_path, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else name)
    message = rf"needs {package}: pip install \"fashion-gan\[{extra}\]\""
    with pytest.raises(ImportError, match=message):
        GAN(*models.build_networks("dense")).export(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_export_formats_equal_the_keras_formats_of_tensorflow():
    listed = re.search(
        r"available_formats = \((.*?)\)", inspect.getsource(keras.Model.export), re.S
    )
    assert set(re.findall(r'"(\w+)"', listed[1])) == {*FORMATS, "torch"}
    with pytest.raises(ValueError, match="Expected one of .* Received: format='torch'"):
        GAN(*models.build_networks("dense")).export("a", "torch")


def test_onnx_file_describes_itself(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    card = GAN(*models.build_networks("dense")).export(tmp_path / "dense.onnx")
    session = runtime.InferenceSession(str(tmp_path / "dense.onnx"))
    assert [node.name for node in session.get_inputs()] == ["latents"]
    assert [node.name for node in session.get_outputs()] == ["images"]
    facts = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(fact) for name, fact in facts.items()} == json.loads(card.read_text())


def test_export_command_writes_a_pretrained_generator(tmp_path, capsys):
    out = tmp_path / "deep/er/dense.onnx"
    assert main(["export", "dense", "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert onnx(out, {"latents": np.zeros((2, 30), "float32")}).shape == (2, 28, 28, 1)
    assert main(["export", "dense", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
