"""Trains a preset with JAX on machines without TensorFlow, such as a GPU with JAX only.

    python tools/train_with_jax.py export FOLDER --preset resnet     with TensorFlow, on any machine
    python tools/train_with_jax.py train FOLDER                      with JAX, on the accelerator
    python tools/train_with_jax.py import FOLDER logs/resnet-42      with TensorFlow: a finished run
    python benchmarks/train_presets.py resnet                        scores and records that run

The train step is that of `GAN.fit()`, in the loop that XLA compiles, on the same images in the same
order. `export` lowers the loop to HLO and writes the inputs of `train` into FOLDER: loop.hlo.gz,
images.npz, lookup_table.npy, orders.npz, state-0.npz and meta.json. `train` needs jax and numpy. It
uses private interfaces of jax that may change (written for 0.11). It writes the networks of every
fifth epoch, and epochs.jsonl with the losses and seconds of each epoch. `evaluate` compares the
saved epochs with the validation images. The moments of the optimizers are not saved. `import` also
accepts files with only the averaged generator, and then writes the scores of the average.

docs/results/residual-trials.jsonl is the concatenated scores.jsonl of seven folders. To save time,
`train` was stopped after 50 epochs of RQ and CK, and after 60 of RK:

    export R  --preset resnet
    export R1 --preset resnet --r1 1 --r2 1
    export RQ --preset resnet --lr-decay-epochs 0 --ema-decay 0.9999 --epochs 60
    export RK --preset resnet --r1 1 --r2 1 --lr-decay-epochs 0 --ema-decay 0.9999 --epochs 80
    export C  --preset resnet_conditional
    export CQ --preset resnet_conditional --r1 0.25 --r2 0.25
    export CK --preset resnet_conditional --r1 0.25 --r2 0.25 --lr-decay-epochs 0 \\
              --ema-decay 0.9999 --epochs 60
"""

import argparse
import gzip
import json
import re
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fashion_gan.files import atomic_write, write_json

PART = 12 << 20  # bytes of arrays in one file, small enough to transfer
SCORES = ("frechet_distance", "coverage", "class_total_variation", "conditional_accuracy")


def all_variables(gan):
    """Returns all variables of a GAN, in an order that depends only on its config."""
    optimizers = [*gan.g_optimizer.variables, *gan.d_optimizer.variables]
    unique = {
        id(variable): variable for variable in [*gan.variables, *gan.metrics_variables, *optimizers]
    }
    return list(unique.values())


def positions(variables, among):
    """Returns the positions of some variables among others."""
    position = {id(variable): i for i, variable in enumerate(among)}
    return [position[id(variable)] for variable in variables]


def ema_copies(gan, among):
    """Maps the variables of the average to the variables of the generator that they copy first."""
    if gan.ema_generator is None:
        return {}
    pairs = [positions(network.variables, among) for network in (gan.ema_generator, gan.generator)]
    return dict(zip(*pairs, strict=True))


def export(config, folder):
    """Writes the compiled epoch of a config, its inputs and its initial state."""
    import tensorflow as tf

    from fashion_gan.runs.builder import prepare

    folder.mkdir(parents=True, exist_ok=True)
    if config.mirror:
        raise ValueError("Expected a config without mirror images. Received: mirror=True. Omit it.")
    experiment = prepare(config)
    gan, split, source = experiment.gan, experiment.split, experiment.train.indexed_images
    gan.make_train_function()
    steps = len(experiment.train)
    loop = gan._executor.loop
    order = gan._executor.order_of(source, tf.constant(0, tf.int64))
    arguments = gan._executor.loop_arguments(source, order, first=0, steps=steps)
    concrete = loop.get_concrete_function(**arguments)
    lowered = loop.experimental_get_compiler_ir(**arguments)
    text = lowered(stage="hlo")
    variables = all_variables(gan)
    position = {id(variable._value.handle): i for i, variable in enumerate(variables)}
    by_handle = {id(variable.handle): variable for variable in concrete.graph.variables}
    captured = [position[id(by_handle[id(c)].handle)] for c in concrete.captured_inputs]
    alias = re.search(r"input_output_alias=\{(.*?)\}, entry", text, re.DOTALL).group(1)
    orders = [source.order.next().numpy().astype("uint16") for _ in range(config.epochs)]
    meta = {
        "config": asdict(config),
        "shape": [steps, source.batch_size],
        "inputs": [name for name, value in arguments.items() if tf.is_tensor(value)],
        "state": captured,
        "outputs": {int(o): int(i) for o, i in re.findall(r"\{(\d+)\}: \((\d+),", alias)},
        "means": positions(gan.metrics_variables, variables),
        "networks": positions(gan.variables, variables),
        "ema_copies": ema_copies(gan, variables),
        "logs": sorted(concrete.structured_outputs),
    }
    (folder / "loop.hlo.gz").write_bytes(gzip.compress(lowered(stage="hlo_serialized")))
    labels = split.train_labels.astype("int64")
    np.savez_compressed(folder / "images.npz", images=split.train_images, labels=labels)
    np.save(folder / "lookup_table.npy", arguments["lookup_table"])
    np.savez_compressed(folder / "orders.npz", orders=np.stack(orders))
    state = {i: v.numpy() for i, v in enumerate(variables) if i not in meta["ema_copies"]}
    save_arrays(folder / "state", state)
    write_json(folder / "meta.json", meta)


def compile_hlo(program):
    """Returns the executable of serialized HLO, and its device."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax._src import xla_bridge
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jaxlib.mlir import ir

    computation = xla_client.XlaComputation(program)
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    # Plugin devices accept only StableHLO, which has no copies and needs none.
    module = re.sub(r"mhlo\.copy (%\S+) : (\S+)", r"stablehlo.reshape \1 : (\2) -> \2", module)
    device = jax.devices()[0]
    with mlir.make_ir_context():
        executable = xla_bridge.get_backend().compile_and_load(
            ir.Module.parse(module), xla_client.DeviceList((device,)), xla_client.CompileOptions()
        )
    return executable, device


def train(folder, out, minutes, keep_every):
    """Runs the epochs of the config, or as many as fit into `minutes`."""
    import jax

    meta = json.loads((folder / "meta.json").read_text())
    started = time.perf_counter()
    executable, device = compile_hlo(gzip.decompress((folder / "loop.hlo.gz").read_bytes()))
    compilation = time.perf_counter() - started
    print(f"compiled in {compilation:.1f} s for {device.device_kind}", flush=True)
    # Always a copy, since the loop overwrites its state, which NumPy must not own.
    put = lambda array: jax.device_put(jax.numpy.array(array, copy=True), device)
    with np.load(folder / "images.npz") as file:
        inputs = {name: put(file[name]) for name in file.files}
    inputs["lookup_table"] = put(np.load(folder / "lookup_table.npy"))
    with np.load(folder / "orders.npz") as file:
        orders = file["orders"]
    state = {i: put(array) for i, array in load_arrays(folder, "state").items()}
    state |= {int(i): put(state[copied]) for i, copied in meta["ema_copies"].items()}
    blank = {i: np.zeros(state[i].shape, state[i].dtype) for i in meta["means"]}
    steps, batch = meta["shape"]
    inputs |= {"first": put(np.int32(0)), "steps": put(np.int32(steps))}
    out.mkdir(parents=True, exist_ok=True)
    with (out / "epochs.jsonl").open("w") as log:
        for epoch in range(len(orders)):
            start = time.perf_counter()
            state.update({i: put(zeros) for i, zeros in blank.items()})
            inputs["order"] = put(
                orders[epoch, : steps * batch].astype("int64").reshape(steps, batch)
            )
            arguments = [inputs[name] for name in meta["inputs"]]
            result = executable.execute([*arguments, *(state[i] for i in meta["state"])])
            for output, argument in meta["outputs"].items():
                state[meta["state"][argument - len(arguments)]] = result[int(output)]
            logs = {name: float(result[i]) for i, name in enumerate(meta["logs"])}
            line = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - start, 2), **logs}
            line |= {"device": device.device_kind, "compilation": round(compilation, 1)}
            log.write(json.dumps(line) + "\n")
            log.flush()
            done = epoch + 1 == len(orders) or time.perf_counter() - started > 60 * minutes
            if done or epoch == 0 or (epoch + 1) % keep_every == 0:
                print(
                    " ".join(f"{k} {v:.4g}" for k, v in line.items() if k != "device"), flush=True
                )
                save_arrays(out / f"epoch-{epoch + 1:04d}", {i: state[i] for i in meta["networks"]})
            if not np.isfinite(list(logs.values())).all():
                raise SystemExit(f"Expected finite losses. Received in epoch {epoch + 1}: {logs}.")
            if done:
                break


def save_arrays(path, arrays):
    """Writes arrays under their numbers into `PATH-0.npz` and further files of limited size."""
    parts, room = [{}], PART
    for i, array in arrays.items():
        array = np.asarray(array)
        if array.nbytes > room and parts[-1]:
            parts.append({})
            room = PART
        parts[-1][str(i)] = array
        room -= array.nbytes
    for number, part in enumerate(parts):
        np.savez_compressed(f"{path}-{number}.npz", **part)


def load_arrays(folder, name):
    """Returns the arrays that `save_arrays` wrote, by their numbers."""
    arrays = {}
    for part in folder.glob(f"{name}-*.npz"):
        with np.load(part) as file:
            arrays |= {int(i): file[i] for i in file.files}
    return arrays


def restore_gan(folder, out, name):
    """Builds the GAN of an export and loads the variables that `train` saved under a name."""
    from fashion_gan.runs.builder import build_gan

    gan = build_gan(read_config(folder))
    variables = all_variables(gan)
    for i, array in load_arrays(out, name).items():
        variables[i].assign(array)
    return gan


def read_config(folder, **changes):
    """Returns the config of an export, with some settings changed."""
    from fashion_gan.runs.config import Config

    config = json.loads((folder / "meta.json").read_text())["config"]
    return Config.from_dict(config | changes)


def evaluate(folder, out):
    """Scores each saved epoch against the validation images, and writes scores.jsonl."""
    from fashion_gan import evaluation

    epochs = [json.loads(line) for line in (out / "epochs.jsonl").read_text().splitlines()]
    common = {
        "config": asdict(read_config(folder)),
        "device": epochs[0]["device"],
        "compilation": epochs[0]["compilation"],
        "seconds": statistics.median(epoch["seconds"] for epoch in epochs),
    }
    protocol = evaluation.EvalConfig(count=5_000, bins=0)
    evaluator = evaluation.fashion_mnist_evaluator(protocol, split="validation")
    with (out / "scores.jsonl").open("w") as log:
        for name in sorted({path.stem.rpartition("-")[0] for path in out.glob("epoch-*.npz")}):
            scores = evaluator.evaluate(restore_gan(folder, out, name))
            line = {"epoch": int(name.split("-")[1])} | {
                k: scores[k] for k in SCORES if k in scores
            }
            log.write(json.dumps(line | common) + "\n")
            print(" ".join(f"{k} {v:.4g}" for k, v in line.items()), flush=True)


def import_run(folder, out, epoch, run_dir):
    """Writes a finished run from saved arrays, as `fashion-gan train` would have left it."""
    from fashion_gan import evaluation, runtime
    from fashion_gan.runs.directory import RunDirectory

    lines = (out / "epochs.jsonl").read_text().splitlines()[: epoch or None]
    epochs = [json.loads(line) for line in lines]
    name = f"epoch-{len(epochs):04d}"
    gan = restore_gan(folder, out, name)
    evaluator = evaluation.fashion_mnist_evaluator(evaluation.FULL)
    scores = {"samples": evaluator.evaluate(gan)}
    trained = set(positions(gan.generator.variables, all_variables(gan)))
    if gan.ema_generator is not None and load_arrays(out, name).keys() >= trained:
        scores["no_ema"] = evaluator.evaluate(gan, use_ema=False)
    run = RunDirectory(run_dir)
    run.path.mkdir(parents=True)
    run.begin(read_config(folder, epochs=len(epochs)), runtime.versions(), split=None)
    write_json(run.scores_path, evaluator.record(scores))
    seconds = epochs[0]["compilation"] + sum(epoch["seconds"] for epoch in epochs)
    write_json(run.path / "seconds.json", seconds)
    write_json(run.path / "device.json", epochs[0]["device"])
    with atomic_write(run.model_path) as partial:
        gan.save(partial)


def config_from_arguments(arguments):
    """Returns the config of a command line such as that of `fashion-gan train`."""
    from fashion_gan.cli.options import add_settings, config_from_options
    from fashion_gan.cli.parser import Parser

    parser = Parser(prog="train_with_jax.py export FOLDER")
    parser.add_argument("--preset", help="preset of all other settings")
    parser.set_defaults(resume=False)
    add_settings(parser)
    try:
        config = config_from_options(parser.parse_args(arguments))
    except ValueError as error:
        parser.error(str(error))
    if config.data:
        parser.error("Expected Fashion-MNIST. Received: --data. Omit --data.")
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exporter = commands.add_parser("export", help="write the files for train; needs TensorFlow")
    exporter.add_argument("folder", type=Path, help="folder to create")
    exporter.add_argument(
        "settings", nargs=argparse.REMAINDER, help="--preset and others, as for fashion-gan train"
    )
    trainer = commands.add_parser("train", help="train the exported step; needs JAX")
    evaluator = commands.add_parser("evaluate", help="score the saved epochs; needs TensorFlow")
    importer = commands.add_parser("import", help="write a run of a saved epoch; needs TensorFlow")
    for command in (trainer, evaluator, importer):
        command.add_argument("folder", type=Path, help="folder that export wrote")
        command.add_argument("--out", type=Path, help="files of train (default FOLDER/out)")
    trainer.add_argument(
        "--minutes", type=float, default=60.0, help="largest number of minutes (default 60)"
    )
    trainer.add_argument(
        "--keep-every", type=int, default=5, help="epochs between two saved ones (default 5)"
    )
    importer.add_argument("run_dir", type=Path, help="folder of the run to write")
    importer.add_argument("--epoch", type=int, help="saved epoch (default the last)")
    options = parser.parse_args()
    if options.command == "export":
        export(config_from_arguments(options.settings), options.folder)
        return
    out = options.out or options.folder / "out"
    if options.command == "train":
        train(options.folder, out, options.minutes, options.keep_every)
    elif options.command == "evaluate":
        evaluate(options.folder, out)
    else:
        import_run(options.folder, out, options.epoch, options.run_dir)


if __name__ == "__main__":
    main()
