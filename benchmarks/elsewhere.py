"""Trains a preset where XLA runs and TensorFlow does not, such as a GPU that has JAX alone.

    python benchmarks/elsewhere.py export FOLDER --preset resnet     with TensorFlow, on any machine
    python benchmarks/elsewhere.py train FOLDER              with JAX, where the accelerator is
    python benchmarks/elsewhere.py bring FOLDER logs/resnet-42       with TensorFlow: a finished run
    python benchmarks/presets.py resnet                      measures and records that run

What trains is the step of `GAN.fit()` itself, in the loop that XLA compiles, on the same images in
the same order: `export` lowers it to HLO, and writes what it needs into FOLDER (loop.hlo.gz,
images.npz, shades.npy, orders.npz, state-0.npz, meta.json), which is all that `train` reads. That
needs jax and numpy, and of jax some interfaces that may change (written for 0.11); as it goes, it
writes the networks of every fifth epoch, and epochs.jsonl with the losses and seconds of each.
`judge` compares the saved epochs with the validation images. The optimisers' moments stay where the
training was. Where files hold less, such as the average alone, `bring` scores what there is.

docs/results/residual-trials.jsonl is the judged.jsonl of seven folders, one after the other; for
time, `train` was ended after 50 epochs of RQ and CK, and after 60 of RK:

    export R  --preset resnet
    export R1 --preset resnet --r1 1 --r2 1
    export RQ --preset resnet --decay-epochs 0 --ema-decay 0.9999 --epochs 60
    export RK --preset resnet --r1 1 --r2 1 --decay-epochs 0 --ema-decay 0.9999 --epochs 80
    export C  --preset resnet_conditional
    export CQ --preset resnet_conditional --r1 0.25 --r2 0.25
    export CK --preset resnet_conditional --r1 0.25 --r2 0.25 --decay-epochs 0 \\
              --ema-decay 0.9999 --epochs 60
"""

import argparse
import dataclasses
import gzip
import json
import re
import statistics
import time
from pathlib import Path

import numpy as np

from fashion_gan.files import atomic_write, write_json

ROOT = Path(__file__).parent.parent
PART = 12 << 20  # bytes of state in a file, so that the files can be sent about


def everything(gan):
    """All variables of a GAN, in an order that depends on its config alone."""
    optimizers = [*gan.g_optimizer.variables, *gan.d_optimizer.variables]
    unique = {
        id(variable): variable for variable in [*gan.variables, *gan.metrics_variables, *optimizers]
    }
    return list(unique.values())


def places(variables, among):
    """Where those variables stand among the others."""
    position = {id(variable): i for i, variable in enumerate(among)}
    return [position[id(variable)] for variable in variables]


def twins(gan, among):
    """Which variables of the average begin as copies of which of the generator."""
    if gan.ema_generator is None:
        return {}
    pairs = [places(network.variables, among) for network in (gan.ema_generator, gan.generator)]
    return dict(zip(*pairs, strict=True))


def export(config, folder):
    """Write the compiled epoch of a config, its inputs and the state that it begins with."""
    import tensorflow as tf

    from fashion_gan import data, run
    from fashion_gan.assembly import build

    folder.mkdir(parents=True, exist_ok=True)
    split = data.load()
    gan = build(config, split)
    dataset, _ = run._datasets(split, config, gan.value_range)
    gan.make_train_function()
    source = dataset.source
    steps = len(dataset)
    images, shades, labels = source.resident
    arguments = {
        "images": images,
        "shades": shades,
        "labels": labels,
        "indices": tf.zeros((steps, source.batch_size), tf.int32),
        "steps": tf.constant(steps),
    }
    loop = gan._executor.loop
    concrete = loop.get_concrete_function(**arguments)
    lowered = loop.experimental_get_compiler_ir(**arguments)
    text = lowered(stage="hlo")
    variables = everything(gan)
    position = {id(variable._value.handle): i for i, variable in enumerate(variables)}
    by_handle = {id(variable.handle): variable for variable in concrete.graph.variables}
    captured = [position[id(by_handle[id(c)].handle)] for c in concrete.captured_inputs]
    alias = re.search(r"input_output_alias=\{(.*?)\}, entry", text, re.DOTALL).group(1)
    orders = [source.order().numpy().astype("uint16") for _ in range(config.epochs)]
    meta = {
        "config": dataclasses.asdict(config),
        "shape": [steps, source.batch_size],
        "inputs": [name for name, value in arguments.items() if value is not None],
        "state": captured,
        "outputs": {int(o): int(i) for o, i in re.findall(r"\{(\d+)\}: \((\d+),", alias)},
        "means": places(gan.metrics_variables, variables),
        "networks": places(gan.variables, variables),
        "twins": twins(gan, variables),
        "logs": sorted(concrete.structured_outputs),
    }
    (folder / "loop.hlo.gz").write_bytes(gzip.compress(lowered(stage="hlo_serialized")))
    labels = split.train_labels.astype("int32")
    np.savez_compressed(folder / "images.npz", images=split.train_images, labels=labels)
    np.save(folder / "shades.npy", shades)
    np.savez_compressed(folder / "orders.npz", orders=np.stack(orders))
    state = {i: v.numpy() for i, v in enumerate(variables) if i not in meta["twins"]}
    save(folder / "state", state)
    write_json(folder / "meta.json", meta)


def compiled(program):
    """The executable of serialised HLO, and the device that it is for."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax._src import xla_bridge
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jaxlib.mlir import ir

    computation = xla_client.XlaComputation(program)
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    # Devices behind plugins take StableHLO alone, which has no copies and needs none.
    module = re.sub(r"mhlo\.copy (%\S+) : (\S+)", r"stablehlo.reshape \1 : (\2) -> \2", module)
    device = jax.devices()[0]
    with mlir.make_ir_context():
        executable = xla_bridge.get_backend().compile_and_load(
            ir.Module.parse(module), xla_client.DeviceList((device,)), xla_client.CompileOptions()
        )
    return executable, device


def train(folder, out, minutes, keep_every):
    """Run the epochs of the config, or as many as the time admits."""
    import jax

    meta = json.loads((folder / "meta.json").read_text())
    started = time.perf_counter()
    executable, device = compiled(gzip.decompress((folder / "loop.hlo.gz").read_bytes()))
    compilation = time.perf_counter() - started
    print(f"compiled in {compilation:.1f} s for {device.device_kind}", flush=True)
    # A copy always: the loop writes into its state, which must not be an array of NumPy's.
    put = lambda array: jax.device_put(jax.numpy.array(array, copy=True), device)
    with np.load(folder / "images.npz") as file:
        inputs = {name: put(file[name]) for name in file.files}
    inputs["shades"] = put(np.load(folder / "shades.npy"))
    with np.load(folder / "orders.npz") as file:
        orders = file["orders"]
    state = {i: put(array) for i, array in saved(folder, "state").items()}
    state |= {int(i): put(state[twin]) for i, twin in meta["twins"].items()}
    blank = {i: np.zeros(state[i].shape, state[i].dtype) for i in meta["means"]}
    steps, batch = meta["shape"]
    inputs["steps"] = put(np.int32(steps))
    out.mkdir(parents=True, exist_ok=True)
    with (out / "epochs.jsonl").open("w") as log:
        for epoch in range(len(orders)):
            begun = time.perf_counter()
            state.update({i: put(zeros) for i, zeros in blank.items()})
            inputs["indices"] = put(
                orders[epoch, : steps * batch].astype("int32").reshape(steps, batch)
            )
            given = [inputs[name] for name in meta["inputs"]]
            result = executable.execute([*given, *(state[i] for i in meta["state"])])
            for output, argument in meta["outputs"].items():
                state[meta["state"][argument - len(given)]] = result[int(output)]
            logs = {name: float(result[i]) for i, name in enumerate(meta["logs"])}
            line = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - begun, 2), **logs}
            line |= {"device": device.device_kind, "compilation": round(compilation, 1)}
            log.write(json.dumps(line) + "\n")
            log.flush()
            done = epoch + 1 == len(orders) or time.perf_counter() - started > 60 * minutes
            if done or epoch == 0 or (epoch + 1) % keep_every == 0:
                print(
                    " ".join(f"{k} {v:.4g}" for k, v in line.items() if k != "device"), flush=True
                )
                save(out / f"epoch-{epoch + 1:04d}", {i: state[i] for i in meta["networks"]})
            if not np.isfinite(list(logs.values())).all():
                raise SystemExit(f"Epoch {epoch + 1} ended in {logs}.")
            if done:
                break


def save(path, arrays):
    """Write arrays under their numbers into `PATH-0.npz` and so on, each of a bearable size."""
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


def saved(folder, name):
    """The arrays that `save` wrote there, by their numbers."""
    arrays = {}
    for part in folder.glob(f"{name}-*.npz"):
        with np.load(part) as file:
            arrays |= {int(i): file[i] for i in file.files}
    return arrays


def restored(folder, out, name):
    """The GAN of that folder, with the variables that `train` saved under a name."""
    from fashion_gan.assembly import build
    from fashion_gan.config import Config

    gan = build(Config.from_dict(json.loads((folder / "meta.json").read_text())["config"]))
    variables = everything(gan)
    for i, array in saved(out, name).items():
        variables[i].assign(array)
    return gan


def judge(folder, out):
    """Print how far samples of each saved epoch are from the validation images; judged.jsonl."""
    from fashion_gan import evaluate

    epochs = [json.loads(line) for line in (out / "epochs.jsonl").read_text().splitlines()]
    told_once = {
        "config": json.loads((folder / "meta.json").read_text())["config"],
        "device": epochs[0]["device"],
        "compilation": epochs[0]["compilation"],
        "seconds": statistics.median(epoch["seconds"] for epoch in epochs),
    }
    protocol = evaluate.Protocol(count=5_000, bins=0)
    evaluator = evaluate.fashion_mnist(protocol, held_out="validation")
    told = ("frechet_distance", "coverage", "class_total_variation", "class_agreement")
    with (out / "judged.jsonl").open("w") as log:
        for name in sorted({path.stem.rpartition("-")[0] for path in out.glob("epoch-*.npz")}):
            scores = evaluator.judge(restored(folder, out, name))
            line = {"epoch": int(name.split("-")[1])} | {k: scores[k] for k in told if k in scores}
            log.write(json.dumps(line | told_once) + "\n")
            print(" ".join(f"{k} {v:.4g}" for k, v in line.items()), flush=True)


def bring(folder, out, epoch, run):
    """Make a finished run of what was trained, as `fashion-gan train` would have left it."""
    from fashion_gan import evaluate, run_folder, runtime

    lines = (out / "epochs.jsonl").read_text().splitlines()[: epoch or None]
    epochs = [json.loads(line) for line in lines]
    name = f"epoch-{len(epochs):04d}"
    gan = restored(folder, out, name)
    config = json.loads((folder / "meta.json").read_text())["config"] | {"epochs": len(epochs)}
    evaluator = evaluate.fashion_mnist(evaluate.FULL)
    scores = {"samples": evaluator.judge(gan)}
    momentary = set(places(gan.generator.variables, everything(gan)))
    if gan.ema_generator is not None and saved(out, name).keys() >= momentary:
        scores["raw"] = evaluator.judge(gan, use_ema=False)
    run.mkdir(parents=True)
    write_json(run / run_folder.CONFIG, config)
    write_json(run / "versions.json", runtime.versions())
    write_json(run / run_folder.SCORES, evaluator.record(scores))
    seconds = epochs[0]["compilation"] + sum(epoch["seconds"] for epoch in epochs)
    write_json(run / "seconds.json", seconds)
    write_json(run / "device.json", epochs[0]["device"])
    with atomic_write(run / run_folder.MODEL) as partial:
        gan.save(partial)


def main():
    """Read the command and run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write what train needs; with TensorFlow")
    exporting.add_argument("folder", type=Path, help="to be made")
    exporting.add_argument(
        "settings", nargs=argparse.REMAINDER, help="--preset and others, as for fashion-gan train"
    )
    training = commands.add_parser("train", help="run it; with JAX")
    judging = commands.add_parser("judge", help="measure the saved epochs on validation images")
    bringing = commands.add_parser("bring", help="make a run of a saved epoch; with TensorFlow")
    for command in (training, judging, bringing):
        command.add_argument("folder", type=Path, help="that export made")
        command.add_argument("--out", type=Path, help="of train's files; default FOLDER/out")
    training.add_argument("--minutes", type=float, default=60.0, help="at most; default 60")
    training.add_argument(
        "--keep-every", type=int, default=5, help="epochs between two that are saved; default 5"
    )
    bringing.add_argument("run", type=Path, help="folder of the run, to be made")
    bringing.add_argument("--epoch", type=int, help="a saved one; default the last")
    options = parser.parse_args()
    if options.command == "export":
        from fashion_gan import flags
        from fashion_gan.parser import Parser

        settings = Parser(prog="elsewhere.py export FOLDER")
        settings.add_argument("--preset", help="settings to begin with")
        settings.set_defaults(resume=False)
        flags.add_settings(settings)
        try:
            config = flags.config_of(settings.parse_args(options.settings))
        except ValueError as error:
            settings.error(str(error))
        if config.data:
            settings.error("This trains on Fashion-MNIST alone. Leave --data out.")
        export(config, options.folder)
        return
    out = options.out or options.folder / "out"
    if options.command == "train":
        train(options.folder, out, options.minutes, options.keep_every)
    elif options.command == "judge":
        judge(options.folder, out)
    else:
        bring(options.folder, out, options.epoch, options.run)


if __name__ == "__main__":
    main()
