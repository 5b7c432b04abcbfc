"""Tests untrusted files: they run no code, and errors describe them in one line."""

import json
import pickle
import random
import re
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import fuzz

import fashion_gan
from fashion_gan import GAN, data
from fashion_gan.cli.main import main
from fashion_gan.runs import checkpoints, summary
from fashion_gan.runs.directory import RunDirectory

PAGE = ROOT / "docs/security.md"


class Payload:
    """Writes a file when unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def change_config(path, change):
    """Rewrites the config in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def saved(tmp_path, make_gan):
    path = tmp_path / "model.keras"
    make_gan().save(path)
    return path


def test_load_raises_for_a_lambda_layer(make_gan, tmp_path):
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(16, activation="sigmoid")]
        + [keras.layers.Lambda(lambda x: x), keras.layers.Reshape((4, 4, 1))]
    )
    path = tmp_path / "model.keras"
    GAN(generator, make_gan().discriminator, 3, value_range=(0, 1)).save(path)
    with pytest.raises(Exception, match="(?i)lambda|unsafe|safe_mode"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("subprocess", "Popen"), ("builtins", "exec")]
)
def test_load_runs_no_function_of_the_system(module, name, make_gan, tmp_path):
    path, trace = saved(tmp_path, make_gan), tmp_path / "trace"
    argument = {"os": f"touch {trace}", "subprocess": ["touch", str(trace)]}.get(
        module, f"open({str(trace)!r}, 'w')"
    )

    def change(config):
        bad = {"module": module, "class_name": name, "registered_name": name}
        config["config"]["generator"] = {**bad, "config": {"args": argument, "command": argument}}

    change_config(path, change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ValueError, TypeError)):
            checkpoints.load(path)
    assert not trace.exists()


def test_load_images_never_unpickles(tmp_path):
    trace = tmp_path / "trace"
    array = np.array([Payload(trace)], dtype=object)
    np.save(tmp_path / "images.npy", array, allow_pickle=True)
    np.savez(tmp_path / "images.npz", images=array)
    with (tmp_path / "plain.npy").open("wb") as file:
        pickle.dump(Payload(trace), file)
    for name in ("images.npy", "images.npz", "plain.npy"):
        with pytest.raises(ValueError):
            data.load_images(tmp_path / name)
    assert not trace.exists()


def test_load_writes_nothing_outside_when_an_archive_has_paths(tmp_path, make_gan):
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "images.npz", "w") as archive:
        archive.writestr("../outside.npy", b"x")
    with pytest.raises(ValueError):
        data.load_images(inner / "images.npz")
    path = saved(inner, make_gan)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside", b"x")
        archive.writestr("assets/../../outside", b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            checkpoints.load(path)
        except Exception as error:
            assert isinstance(error, ValueError | OSError), error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inner"]


NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
FILES = {name: JSON for name in ("config.json", "scores.json", "monitor.json", "metrics.jsonl")}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries(FILES), st.binary(max_size=20))
def test_list_runs_accepts_a_folder_with_any_content(tmp_path, files, noise):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "monitor.json").write_bytes(noise or json.dumps(files["monitor.json"]).encode())
    (listed,) = summary.list_runs(tmp_path)
    assert listed.state in ("broken", "interrupted")
    summary.summary_tables([listed])
    summary.comparison_page([listed])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(JSON)
def test_read_config_reads_any_content_or_raises_with_the_file_name(tmp_path, content):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    RunDirectory(folder).config_path.write_text(json.dumps(content))
    try:
        RunDirectory(folder).read_config()
    except ValueError as error:
        assert str(folder) in str(error)


def test_sample_prints_one_line_for_a_model_of_random_bytes(tmp_path, capsys):
    (tmp_path / "model.keras").write_bytes(b"noise")
    assert main(["sample", str(tmp_path / "model.keras")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_security_page_lists_existing_tests():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    promised = re.findall(r"`(test_\w+)`", PAGE.read_text())
    assert len(promised) >= 8
    for name in promised:
        assert f"def {name}(" in tests, name
    assert fashion_gan.__version__ in PAGE.read_text()


def test_fuzz_finds_only_documented_errors(tmp_path):
    count, refused = fuzz.fuzz(tmp_path, random.Random(0), lambda count: count >= 600)
    assert count == 600 and 200 < refused < 600


def test_fuzz_finds_an_undocumented_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzz, "DOCUMENTED", (TypeError,))
    with pytest.raises(AssertionError, match="kept as fuzz-failure"):
        fuzz.fuzz(tmp_path, random.Random(0), lambda count: count >= 1500)
    assert list(tmp_path.glob("fuzz-failure*"))
