"""Converts runs and `.keras` files that were written before the names of 0.1.0 were final.

    python tools/migrate_run.py RUN_OR_FILE …

A run or file is replaced only after its converted form loads. Unfinished runs cannot be converted.
Finish them first with the version that started them. A second conversion changes nothing.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

import fashion_gan
from fashion_gan.files import atomic_write, write_json
from fashion_gan.runs.directory import RunDirectory

SETTINGS = {
    "networks": "model",
    "precision": "dtype_policy",
    "decay_from": "lr_decay_start",
    "decay_epochs": "lr_decay_epochs",
    "decay_to": "lr_final_scale",
    "replay": "replay_size",
    "label_flips": "label_flip_rate",
    "alarm": "on_collapse",
    "skip_broken": "skip_corrupt",
    "image_every": "image_freq",
    "evaluate_every": "eval_freq",
}
METRICS = {
    "nearest_ratio": "memorization_ratio",
    "class_agreement": "conditional_accuracy",
    "kernel_distance_sd": "kernel_distance_std",
    "pixel_kernel_distance_sd": "pixel_kernel_distance_std",
    "rotation": "mode_rotation",
    "loss_rise": "loss_growth",
    "g_gradient_left": "g_gradient_ratio",
    "findings": "num_issues",
    "raw": "no_ema",
}
MONITOR = {"said": "reported", "restorations": "restores"}
ISSUES = {
    "vanished": "missing",
    "discriminator won": "discriminator saturated",
    "discriminator blind": "discriminator at chance level",
}
ARGUMENTS = {
    "MinibatchDeviation": ("MinibatchStdDev", {"group": "group_size"}),
    "Replay": ("ReplayBuffer", {"share": "replace_fraction"}),
    "InstanceNoise": ("InstanceNoise", {"deviation": "stddev"}),
    "LabelFlips": ("LabelFlips", {"share": "label_flip_rate"}),
    **{name: (name, {"lazy": "interval"}) for name in ("R1", "R2", "WGANGP", "DRAGAN")},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="+", type=Path, help="folder of a run, or .keras file")
    for path in parser.parse_args().path:
        migrate_run(path) if path.is_dir() else migrate_model(path)
        print(f"{path} is converted.")


def migrate_run(folder):
    """Converts the files of a finished run; the model comes first, the config last."""
    run = RunDirectory(folder)
    if not run.model_path.exists():
        raise SystemExit(
            f"Expected a finished run. Received: {folder}, which has no {run.model_path.name}. "
            "Finish it with the version that started it."
        )
    migrate_model(run.model_path)
    if run.metrics_path.exists():
        lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
        with atomic_write(run.metrics_path) as partial:
            partial.write_text("".join(f"{json.dumps(renamed(x, METRICS))}\n" for x in lines))
    for path, names in ((run.scores_path, METRICS), (run.monitor_path, MONITOR)):
        if path.exists():
            write_json(path, renamed(json.loads(path.read_text()), names))
    if run.monitor_path.exists():
        states = json.loads(run.monitor_path.read_text())
        for state in states.values():
            state["reported"] = [issue_name(name) for name in state["reported"]]
            state["streaks"] = {issue_name(name): n for name, n in state["streaks"].items()}
        write_json(run.monitor_path, states, indent=None)
    write_json(run.config_path, settings(json.loads(run.config_path.read_text())))


def renamed(content, names):
    """Returns JSON content with renamed keys, at every depth."""
    if isinstance(content, list):
        return [renamed(item, names) for item in content]
    if isinstance(content, dict):
        return {names.get(key, key): renamed(value, names) for key, value in content.items()}
    return content


def issue_name(name):
    """Returns the new name of an issue such as `vanished: Bag`."""
    kind, *classes = name.split(": ", 1)
    return ": ".join([ISSUES.get(kind, kind), *classes])


def settings(config):
    """Returns the settings of a run under their new names."""
    config = renamed(config, SETTINGS)
    if config.get("model") == "plain":
        config["model"] = "convnet"
    if config.get("jit_compile") in ("on", "off"):
        config["jit_compile"] = config["jit_compile"] == "on"
    return config


def migrate_model(path):
    """Converts a `.keras` file, and loads it before the older one is replaced."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = layer_arguments(json.loads(content["config.json"]))
    compile_arguments(config["compile_config"])
    content["config.json"] = json.dumps(config).encode()
    weights = content["model.weights.h5"]
    with h5py.File(io.BytesIO(weights), "r") as file:
        average = ema_weights(path, content) if "average" in file else None
    content["model.weights.h5"] = migrate_weights(weights, average)
    with atomic_write(path) as partial:
        write_archive(partial, content)
        fashion_gan.load(partial)


def layer_arguments(content):
    """Returns the configs of layers and penalties with their new classes and arguments."""
    if isinstance(content, list):
        return [layer_arguments(item) for item in content]
    if not isinstance(content, dict):
        return content
    content = {key: layer_arguments(value) for key, value in content.items()}
    registered = str(content.get("registered_name"))
    if registered.startswith("fashion_gan>") and content["class_name"] in ARGUMENTS:
        name, arguments = ARGUMENTS[content["class_name"]]
        content |= {"class_name": name, "registered_name": f"fashion_gan>{name}"}
        config = content["config"]
        content["config"] = {arguments.get(key, key): value for key, value in config.items()}
    return content


def compile_arguments(config):
    """Replaces `remedies` by augmentations, a replay buffer and an argument of the loss."""
    augmentations = []
    for remedy in config.pop("remedies", None) or []:
        if remedy["class_name"] == "ReplayBuffer":
            config["replay"] = remedy
        elif remedy["class_name"] == "LabelFlips":
            config["loss"]["config"] |= remedy["config"]
        else:
            augmentations.append(remedy)
    if augmentations:
        config["augmentations"] = augmentations


def ema_weights(path, content):
    """Returns the weights of the averaged generator, in the order of the generator's."""
    config = json.loads(content["config.json"])
    config["compile_config"]["ema_decay"] = None
    with h5py.File(io.BytesIO(content["model.weights.h5"]), "r") as old:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as new:
            for name in old:
                source = {"generator": "average", "layers": None}.get(name, name)
                if source is not None:
                    old.copy(old[source], new, name)
            copy_replay(old, new)
    swapped = {
        **content,
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": buffer.getvalue(),
    }
    temporary = path.with_name(f".{path.stem}-average.keras")
    try:
        write_archive(temporary, swapped)
        return fashion_gan.load(temporary).generator.get_weights()
    finally:
        temporary.unlink(missing_ok=True)


def migrate_weights(weights, average):
    """Returns the bytes of the weights file in the new layout."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(buffer, "w") as new:
        for name in old:
            if name not in ("average", "layers"):
                old.copy(old[name], new, name)
        copy_replay(old, new)
        if average is not None:
            for index, array in enumerate(average):
                new[f"ema_generator/vars/{index}"] = array
            new["vars/has_average"] = np.array(True)
    return buffer.getvalue()


def copy_replay(old, new):
    """Copies the layers of the GAN itself, with the replay buffer under its new name."""
    for name in old.get("layers", {}):
        target = "replay_buffer" if name == "replay" else name
        old.copy(old[f"layers/{name}"], new, f"layers/{target}")


def write_archive(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


if __name__ == "__main__":
    main()
