"""Tests the benchmark: a small run, FLOPs against a hand count, and SVG charts."""

import json
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import GAN, benchmark, models
from fashion_gan.benchmark import flops, measure, train_on_batch
from fashion_gan.cli.main import main
from fashion_gan.pages import charts

SMALL = ["--rounds", "1", "--steps", "2", "--steps-per-execution", "2", "--batch-size", "8"]


def graph_flops(function, *arguments):
    """Counts the FLOPs of matrix products and convolutions in a traced function's graph.

    Only of those that run: gradients that are not asked for are in the graph, but lead nowhere.
    """
    graph = function.get_concrete_function(*arguments).graph
    waiting, running = [*graph.control_outputs, *(x.op for x in graph.outputs)], set()
    while waiting:
        operation = waiting.pop()
        if operation not in running:
            running.add(operation)
            waiting += [*operation.control_inputs, *(x.op for x in operation.inputs)]
    flops = 0
    for operation in running:
        shapes = [value.shape for value in operation.inputs]
        if operation.type == "MatMul":
            inner = shapes[0][0 if operation.get_attr("transpose_a") else 1]
            flops += 2 * operation.outputs[0].shape.num_elements() * inner
        elif operation.type == "Conv2D":
            kernel = shapes[1]
            flops += 2 * operation.outputs[0].shape.num_elements() * kernel[:3].num_elements()
        elif operation.type == "Conv2DBackpropInput":  # its third input is what Conv2D would give
            flops += 2 * shapes[2].num_elements() * shapes[1][:3].num_elements()
        elif operation.type == "Conv2DBackpropFilter":
            kernel = operation.outputs[0].shape
            flops += 2 * shapes[2].num_elements() * kernel[:3].num_elements()
        elif operation.type.startswith("DepthwiseConv2dNative"):
            kernel = operation.outputs[0].shape if "Filter" in operation.type else shapes[1]
            given = operation.outputs[0].shape if len(shapes) == 2 else shapes[2]
            flops += 2 * given.num_elements() * kernel[:2].num_elements()
    return flops


def test_step_flops_of_dense_match_a_hand_count():
    g, d = 30 * 100 + 100 * 150 + 150 * 784, 784 * 150 + 150 * 100 + 100
    d_phase = g + 2 * (d + d + (d - 784 * 150))
    g_phase = g + d + d + g + (g - 30 * 100)
    pair = models.build_networks("dense")
    assert flops.step_flops(*pair, 32) == 2 * 32 * (d_phase + g_phase) == 87_411_200
    assert flops.forward_flops(pair[0]) == [2 * 3_000, 2 * 15_000, 2 * 117_600]


@pytest.mark.parametrize(
    "name",
    [
        "dense",
        "convnet",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("dcgan", "infogan", "resnet")),
    ],
)
def test_step_flops_match_the_graph_of_tensorflow(name):
    gan = GAN(*models.build_networks(name))
    gan.compile(jit_compile=False)
    step = tf.function(gan.train_step, autograph=False)
    counted = graph_flops(step, tf.TensorSpec((4, 28, 28, 1)))
    assert flops.step_flops(gan.generator, gan.discriminator, 4) == counted


def test_step_flops_of_a_projector_match_the_graph_of_tensorflow():
    generator, _ = models.build_networks("convnet")
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(4, 3, 2)(inputs)
    x = keras.layers.Flatten()(keras.layers.DepthwiseConv2D(5, 2)(x))
    projector = keras.Model(inputs, x)
    discriminator = keras.Sequential(
        [keras.layers.Input(x.shape[1:]), keras.layers.Dense(7), keras.layers.Dense(2)]
    )
    gan = GAN(generator, discriminator, projector=projector)
    gan.compile(jit_compile=False)
    step = tf.function(gan.train_step, autograph=False)
    counted = graph_flops(step, tf.TensorSpec((4, 28, 28, 1)))
    assert flops.step_flops(generator, discriminator, 4, projector) == counted


def test_forward_flops_raises_for_an_unknown_layer():
    unknown = keras.layers.EinsumDense("ab,bc->ac", 8, name="einsum")
    network = keras.Sequential([keras.layers.Input((8,)), unknown])
    with pytest.raises(ValueError, match="Received: 'einsum' of type EinsumDense"):
        flops.forward_flops(network)


def test_train_on_batch_loop_trains_one_network_a_phase(tiny_images, monkeypatch):
    generator, discriminator = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1))
    optimizers = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
    loop = train_on_batch.TrainOnBatchLoop(generator, discriminator, optimizers, jit_compile=False)
    moved = []
    for model, other in ((loop.discriminator, generator), (loop.both, discriminator)):

        def train(*data, model=model, other=other, call=model.train_on_batch):
            own = discriminator if model is discriminator else generator
            before = [network.get_weights() for network in (own, other)]
            result = call(*data)
            after = [network.get_weights() for network in (own, other)]
            moved.append(
                [
                    not all(map(np.array_equal, old, new))
                    for old, new in zip(before, after, strict=True)
                ]
            )
            return result

        monkeypatch.setattr(model, "train_on_batch", train)
    loop.run(iter([tf.constant(tiny_images)] * 3), 3)
    assert moved == [[True, False]] * 6


@pytest.mark.slow
def test_benchmark_reports_two_variants_with_a_table_and_a_chart(tmp_path, capsys):
    picture = tmp_path / "times.svg"
    variants = ["--variant", "book", "--variant", "fit-many"]
    assert main(["benchmark", *variants, *SMALL, "--chart", str(picture), "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["machine"]["flops_per_second"] > 1e8
    assert [result["variant"] for result in report["results"]] == ["book", "fit-many"]
    for result in report["results"]:
        assert result["flops"] == 87_411_200 * 8 // 32
        assert result["ms_per_step"]["min"] <= result["ms_per_step"]["median"]
        assert 0 < result["flops_utilization"] < 1
        assert 0 < result["bandwidth_utilization"] < 1
        assert result["first_seconds"] > result["compile_seconds"] > 0
        assert result["host_mib"] > 100
        assert result["xla"] == "XLA is off: jit_compile=False was requested."
    assert err.splitlines()[1].startswith("[2/2] dense, fit-many, batch 8: ")
    assert "fit-many" in picture.read_text()
    assert ElementTree.fromstring(picture.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
    assert benchmark.table(report).row_count == 2


def test_bar_chart_scales_bars_to_their_values_and_escapes_names():
    drawn = ElementTree.fromstring(
        charts.bars("a < b", "ms", [charts.Bar("x & y", 1, 1, 2), charts.Bar("z", 2, 1, 4)])
    )
    widths = [float(rect.get("width")) for rect in drawn.findall("{*}rect")][1:]
    assert widths[1] == 2 * widths[0] > 0
    assert [text.text for text in drawn.findall("{*}text")][:2] == ["a < b", "x & y"]
    with pytest.raises(ValueError, match="at least one bar"):
        charts.bars("nothing", "ms", [])


@pytest.mark.slow
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_benchmark_prints_one_line_when_there_is_no_gpu(capsys):
    assert main(["benchmark", "--device", "GPU"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fashion-gan: error: Expected a GPU. Received: --device GPU")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"presets": ["dens"]}, "Did you mean 'dense'"),
        ({"variants": ["fitt"]}, "Did you mean 'fit'"),
        ({"variants": ["devices-0"]}, "Received: variant='devices-0'"),
        ({"rounds": 0}, "at least 1. Received: rounds=0"),
    ],
)
def test_compare_raises_for_wrong_arguments_before_anything_runs(arguments, message, monkeypatch):
    monkeypatch.setattr(benchmark, "_child", None)
    with pytest.raises(ValueError, match=message):
        benchmark.compare(**arguments)


def test_compare_reports_a_variant_that_fails_and_continues(monkeypatch):
    good = {"ms_per_step": 2.0, "first_seconds": 3.0, "compile_seconds": 1.0, "host_mib": 5.0}
    good |= {"device_mib": None, "flops": 10, "bytes": 6, "batch_size": 4}
    good |= {"dtype_policy": "float32", "xla": "XLA is off: no."}

    def child(request):
        if request["task"] == "machine":
            rates = {"flops_per_second": 1e4, "bytes_per_second": 3e3}
            return {"device": "CPU", "devices": 1, **rates}
        return {"error": "no"} if request["arguments"]["variant"] == "xla" else good

    monkeypatch.setattr(benchmark, "_child", child)
    lines = []
    report = benchmark.compare(variants=["xla", "fit"], rounds=2, progress=lines.append)
    failed, fine = report["results"]
    assert failed == {"preset": "dense", "variant": "xla", "batch_size": 32, "error": "no"}
    assert (fine["bytes_floor_ms"], fine["bandwidth_utilization"]) == (2, 1)
    assert (fine["floor_ms"], fine["flops_utilization"], fine["images_per_second"]) == (
        1,
        0.5,
        2000,
    )
    assert len(fine["measurements"]) == 2
    assert lines[0] == "[1/4] dense, xla, batch 32: no"
    assert len(lines) == 3
    assert benchmark.table(report).row_count == 2
    assert "dense, fit" in benchmark.chart(report)


def test_machine_reports_the_gpu_name_and_the_rates_of_both_precisions(monkeypatch):
    monkeypatch.setattr(measure, "_use", lambda device, count: "GPU")
    monkeypatch.setattr(measure, "copied_bytes_per_second", lambda: 3.0)
    monkeypatch.setattr(
        measure, "matmul_flops_per_second", lambda dtype="float32": {"float32": 1.0}.get(dtype, 2.0)
    )
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu, gpu])
    details = lambda device: {"device_name": "Abacus"} if device is gpu else {}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    machine = measure.machine("GPU")
    assert (machine["device"], machine["devices"], machine["device_name"]) == ("GPU", 2, "Abacus")
    assert (machine["flops_per_second"], machine["half_flops_per_second"]) == (1, 2)
    assert machine["tf32"] is True  # TensorFlow's default


def test_benchmark_compares_each_precision_with_its_own_gpu_rate(monkeypatch, capsys):
    result = {"ms_per_step": 4.0, "first_seconds": 3.0, "compile_seconds": 1.0, "host_mib": 5.0}
    result |= {"device_mib": 7.0, "flops": 10, "bytes": 6, "xla": "XLA is on: there is a GPU."}
    rates = {"flops_per_second": 1e4, "half_flops_per_second": 2e4, "bytes_per_second": 3e3}
    machine = {"device": "GPU", "devices": 2, "device_name": "Abacus", "tf32": True, **rates}
    variants = []

    def child(request):
        if request["task"] == "machine":
            return machine
        variants.append(request["arguments"]["variant"])
        policy = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
        dtype_policy = policy.get(variants[-1], "float32")
        return {
            **result,
            "batch_size": request["preset"]["batch_size"],
            "dtype_policy": dtype_policy,
        }

    monkeypatch.setattr(benchmark, "_child", child)
    arguments = ["--preset", "dcgan", "--rounds", "1", "--batch-size", "64", "--batch-size", "256"]
    assert main(["benchmark", *arguments, "--device", "GPU", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert variants == [name for name in (*benchmark.VARIANTS, "devices-2") for _ in range(2)]
    for one in results:
        mixed = one["dtype_policy"] != "float32"
        assert one["floor_ms"] == (0.5 if mixed else 1), one["variant"]
        assert (one["device_mib"], one["bytes_floor_ms"]) == (7, 2)
        assert one["images_per_second"] == 1e3 * one["batch_size"] / 4
    assert main(["benchmark", *arguments, "--device", "GPU"]) == 0
    out = capsys.readouterr().out
    assert "0 GFLOP/s in float32 (TF32) and 0 in bfloat16" in out
    assert "5 + 7" in out


def test_chart_draws_images_per_second_against_several_batch_sizes():
    times = {"median": 2.0, "min": 1.0, "max": 3.0}
    report = {
        "machine": {"processor": "Abacus", "device_name": "H <100>"},
        "results": [
            {
                "preset": "dense",
                "variant": "auto",
                "batch_size": size,
                "images_per_second": 500 * size,
                "ms_per_step": times,
            }
            for size in (32, 64)
        ],
    }
    drawn = benchmark.chart(report)
    assert (
        "<title>dense, auto</title>" in drawn and "log2 of images per second on H &lt;100" in drawn
    )
    report["results"].pop()
    assert "A train step on H &lt;100" in benchmark.chart(report)


def test_step_bytes_of_dense_match_a_hand_count():
    gan = GAN(*models.build_networks("dense"))
    gan.compile()
    weights = 30 * 100 + 100 + 100 * 150 + 150 + 150 * 784 + 784
    weights += 784 * 150 + 150 + 150 * 100 + 100 + 100 + 1
    scalars = 2 * (8 + 4)  # the number of iterations and the learning rate of each optimizer
    state = 4 * weights + 4 * weights + scalars  # RMSprop has a slot for each weight
    g, d = 4 * (100 + 150 + 784), 4 * (150 + 100 + 1)
    assert flops.step_bytes(gan, 32) == 2 * state + 32 * (3 * g + 6 * d)


def test_rates_use_the_shortest_call(monkeypatch):
    monkeypatch.setattr(flops, "_shortest", lambda run, seconds: (run(), 2.0)[1])
    assert flops.matmul_flops_per_second() == 2 * 2048**3 / 2
    assert flops.copied_bytes_per_second() == 2 * 4 * 2**24 / 2
