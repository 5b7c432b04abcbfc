"""Tests the export and import of tools/train_with_jax.py."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from helpers import ROOT

from fashion_gan import evaluation
from fashion_gan.runs import checkpoints
from fashion_gan.runs.builder import build_gan
from fashion_gan.runs.presets import PRESETS


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns the module of tools/, an exported config, and its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT / "tools")])
        import train_with_jax as tool
    config = dataclasses.replace(PRESETS["dense_modern"], epochs=2)
    folder = tmp_path_factory.mktemp("exported")
    tool.export(config, folder)
    return tool, config, folder


def test_export_writes_the_whole_state_and_restore_gan_reads_it(exported, tmp_path):
    tool, config, folder = exported
    meta = json.loads((folder / "meta.json").read_text())
    state, twins = tool.load_arrays(folder, "state"), meta["ema_copies"]
    variables = tool.all_variables(build_gan(config))
    assert sorted([*state, *map(int, twins)]) == list(range(len(variables)))
    for i, variable in enumerate(variables):
        np.testing.assert_array_equal(variable, state[twins.get(str(i), i)])
    written = {meta["state"][i - len(meta["inputs"])] for i in meta["outputs"].values()}
    rest = set(range(len(variables))) - written
    assert {variables[i].name for i in rest} == {"learning_rate"}

    moved = {i: np.asarray(variables[i]) + 1 for i in meta["networks"]}
    tool.save_arrays(tmp_path / "epoch-0001", moved)
    back = tool.all_variables(tool.restore_gan(folder, tmp_path, "epoch-0001"))
    for i, array in moved.items():
        np.testing.assert_array_equal(back[i], array)


def test_import_run_writes_a_run_with_scores_of_the_imported_networks(
    exported, tmp_path, monkeypatch
):
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=0)
    monkeypatch.setattr(evaluation, "FULL", small)
    tool, config, exports = exported
    gan = build_gan(config)
    variables = tool.all_variables(gan)
    average, generator = (
        {i: np.asarray(variables[i]) for i in tool.positions(network.variables, variables)}
        for network in (gan.ema_generator, gan.generator)
    )
    average = {i: array * 1.5 for i, array in average.items()}
    losses = {"epoch": 1, "seconds": 2.0, "compilation": 3.0, "device": "another"}
    (tmp_path / "epochs.jsonl").write_text(2 * (json.dumps(losses) + "\n"))
    for epoch, came in enumerate((average, average | generator), start=1):
        tool.save_arrays(tmp_path / f"epoch-{epoch:04d}", came)
        folder = tmp_path / f"run-{epoch}"
        tool.import_run(exports, tmp_path, epoch, folder)
        scores = json.loads((folder / "scores.json").read_text())["scores"]
        assert set(scores) == ({"samples"} if epoch == 1 else {"samples", "no_ema"})
        assert json.loads((folder / "config.json").read_text())["epochs"] == epoch
        assert json.loads((folder / "seconds.json").read_text()) == 3 + 2 * epoch
        back = checkpoints.load(folder)
        for network, sent in ((back.ema_generator, average), (back.generator, generator)):
            for array, weight in zip(sent.values(), network.get_weights(), strict=True):
                np.testing.assert_array_equal(weight, array)
    assert scores["samples"]["frechet_distance"] != scores["no_ema"]["frechet_distance"]
