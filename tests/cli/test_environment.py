"""Tests the command with other backends, Keras defaults, closed streams and ASCII terminals."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fashion_gan.cli.main import main
from fashion_gan.files import check_no_links_out, check_space, read_bytes, read_json
from fashion_gan.registry import printable
from fashion_gan.runtime import check_backend

COMMAND = [sys.executable, "-m", "fashion_gan"]


def keras_home(folder, **defaults):
    folder.mkdir(exist_ok=True)
    (folder / "keras.json").write_text(json.dumps(defaults))
    return str(folder)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (220, 8, 8), dtype=np.uint8))
    flags = "--epochs 1 --batch-size 60 --eval-freq 0 --on-collapse off --jit-compile false"
    flags += " --model convnet --width 4 --steps-per-epoch 2"
    return ["train", "--data", str(path), *flags.split()]


def run(*arguments, **options):
    options = {"capture_output": True, "text": True, **options}
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([*COMMAND, *map(str, arguments)], env=environment, **options)


@pytest.fixture(scope="module")
def digest(arguments, tmp_path_factory):
    """Returns the samples of a training in a plain environment."""
    run_dir = tmp_path_factory.mktemp("plain") / "run"
    assert run(*arguments, "--run-dir", run_dir).returncode == 0
    return samples_of(run_dir)


def samples_of(run_dir):
    (path,) = run_dir.glob("samples/epoch_0001.png")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("backend", ["jax", "torch", "bogus"])
def test_commands_raise_when_keras_has_another_backend(backend, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert main(["sample", "dense"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"KERAS_BACKEND={backend!r}. Set KERAS_BACKEND=tensorflow." in line
    assert main(["runs", "."]) == 0  # needs no Keras


def test_check_backend_reads_keras_json_when_the_variable_is_not_set(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", keras_home(tmp_path / "a", backend="jax"))
    with pytest.raises(ImportError, match="keras.json='jax'. Set KERAS_BACKEND=tensorflow"):
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend()
    monkeypatch.delenv("KERAS_BACKEND")
    for content in ("{", "[1]", '{"backend": "tensorflow"}', "{}"):
        (tmp_path / "a/keras.json").write_text(content)
        check_backend()


@pytest.mark.slow
def test_import_raises_when_keras_has_another_backend():
    code = "import fashion_gan; fashion_gan.GAN"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert "Set KERAS_BACKEND=tensorflow." in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "defaults",
    [
        {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3},
        {"floatx": "float64"},
    ],
    ids=str,
)
def test_train_ignores_the_defaults_of_keras_json(defaults, arguments, digest, tmp_path):
    home = keras_home(tmp_path / "home", **defaults)
    done = run(*arguments, "--run-dir", tmp_path / "run", env={"KERAS_HOME": home})
    assert done.returncode == 0, done.stderr
    assert samples_of(tmp_path / "run") == digest
    sample = ["sample", str(tmp_path / "run"), "--out"]
    assert main([*sample, str(tmp_path / "a.npy")]) == 0
    assert run(*sample, tmp_path / "b.npy", env={"KERAS_HOME": home}).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["<&- >&- 2> /dev/full", "> /dev/full 2>&-", "| head -1"])
def test_train_results_are_unchanged_when_streams_are_closed_or_full(
    redirection, arguments, digest, tmp_path
):
    words = [*COMMAND, *arguments, "--run-dir", str(tmp_path / "run")]
    line = f"set -o pipefail; {' '.join(words)} {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert samples_of(tmp_path / "run") == digest
    assert (tmp_path / "run/model.keras").exists()


@pytest.mark.slow
def test_runs_command_exits_quietly_on_a_closed_pipe_and_with_an_error_on_a_full_disk(tmp_path):
    for number in range(300):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    line = f"{' '.join(COMMAND)} runs {tmp_path}"
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(["bash", "-c", f"{line} > /dev/full"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_train_saves_a_backup_on_sighup(arguments, tmp_path):
    flags = ["--epochs", "400", "--image-freq", "1000"]
    command = [*COMMAND, *arguments, *flags, "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    metrics = tmp_path / "run/metrics.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (
        metrics.exists() and metrics.read_text().count("\n") > 1
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    error = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 130
    assert "  resume: fashion-gan train --resume" in error and "Traceback" not in error
    assert list((tmp_path / "run/backup").glob("epoch_*"))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands_print_on_any_terminal(encoding, tmp_path):
    folder = tmp_path / "run-é-\u2028-\N{PILE OF POO}"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    odd = os.fsencode(tmp_path) + b"/run-\xff"
    os.mkdir(odd)
    with open(odd + b"/config.json", "w") as file:
        file.write("{}")
    environment = {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    for command in (["runs", tmp_path], ["compare", folder, os.fsdecode(odd)]):
        done = run(*command, env=environment, text=False)
        assert done.returncode == 0, done.stderr
    assert (
        run("train", "--run-dir", odd.decode(errors="surrogateescape"), env=environment).returncode
        == 2
    )


def test_printable_escapes_control_characters():
    assert printable("plain é \N{PILE OF POO}") == "plain é \N{PILE OF POO}"
    assert printable("\x1b[31m\x07\n\t\x9b") == r"\x1b[31m\x07\n\t\x9b"
    assert printable("\u202e\ud800") == r"\u202e\ud800"


def test_read_bytes_raises_for_irregular_or_too_large_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="at most 4 bytes. Received: 5 in"):
        read_bytes(tmp_path / "file", 4)
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match="Expected a regular file"):
            read_bytes(path)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none")


def test_read_json_raises_for_a_file_that_is_not_json(tmp_path):
    path = tmp_path / "x.json"
    for content in (b"{", b"[" * 200_000, b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="x.json"):
            read_json(path)


def test_check_space_raises_with_the_number_of_bytes_needed(tmp_path):
    check_space(tmp_path, 1)
    with pytest.raises(OSError, match="No space left on device: 1,000,000,000,000,000,000 bytes"):
        check_space(tmp_path, 10**18)


def test_check_no_links_out_accepts_a_folder_that_does_not_exist(tmp_path):
    check_no_links_out(tmp_path / "none")
