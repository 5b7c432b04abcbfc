"""Tests power-function averages against exact sums over all steps, in training and afterwards."""

import io
import zipfile

import keras
import numpy as np
import pytest
from helpers import StopAt, assert_equal_states, read_state, stateful_networks

from fashion_gan import GAN, callbacks, data
from fashion_gan.runs.average import Snapshots
from fashion_gan.training.power_averages import WIDTHS, combination, exponent_from_width

STEPS = 400


def power_average(path, width, until=None):
    """Computes the average of values per step `(steps, n)` by its definition as one sum."""
    path = path[:until]
    exponent = exponent_from_width(width)
    edges = np.linspace(0, 1, len(path) + 1) ** (exponent + 1)
    return np.diff(edges) @ path


def random_path():
    """Returns a random walk of three weights that drift."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.standard_normal((STEPS, 3)) + [0, 0.3, -0.1], axis=0)


def make_gan():
    keras.utils.set_random_seed(5)
    gan = GAN(*stateful_networks(), seed=3)
    gan.compile(post_hoc_ema=True, ema_decay=0.9, jit_compile=False)
    return gan


@pytest.mark.parametrize("width", [0.01, 0.05, 0.1, 0.25])
def test_exponent_gives_weighted_times_the_width_as_their_standard_deviation(width):
    exponent = exponent_from_width(width)
    times = (np.arange(1_000_000) + 0.5) / 1_000_000
    weights = times**exponent / np.sum(times**exponent)
    mean = weights @ times
    assert np.sqrt(weights @ (times - mean) ** 2) == pytest.approx(width, rel=1e-4)


@pytest.mark.parametrize("width", [0, -0.1, 0.3])
def test_exponent_raises_for_a_width_out_of_range(width):
    with pytest.raises(ValueError, match=f"below 0.289. Received: width={width}"):
        exponent_from_width(width)


@pytest.mark.parametrize(("width", "tolerance"), [(0.05, 1e-9), (0.1, 1e-9), (0.07, 0.01)])
@pytest.mark.parametrize("at_step", [STEPS, 200])
def test_combination_matches_the_average_kept_exactly(width, tolerance, at_step):
    path = random_path()
    steps = np.repeat(np.arange(20, at_step + 1, 20), 2)
    widths = np.tile(WIDTHS, len(steps) // 2)
    snapshots = [power_average(path, *each) for each in zip(widths, steps, strict=True)]
    factors = combination(steps, widths, at_step, width)
    expected = power_average(path, width, at_step)
    spread = path.std(axis=0)
    assert np.max(np.abs(factors @ snapshots - expected) / spread) < tolerance
    other = power_average(path, 0.2, at_step)
    assert np.max(np.abs(factors @ snapshots - other) / spread) > 10 * tolerance


@pytest.mark.parametrize("width", [0.02, 0.14, 0.2])
def test_combination_weighs_steps_as_the_average_does(width):
    steps = np.repeat(np.arange(20, STEPS + 1, 20), 2)
    widths = np.tile(WIDTHS, len(steps) // 2)
    factors = combination(steps, widths, STEPS, width)
    assert factors.sum() == pytest.approx(1, abs=0.01)
    each_step = np.eye(STEPS)  # the average of these is the weight of each step
    kept = [power_average(each_step, *each) for each in zip(widths, steps, strict=True)]
    kept = [np.pad(one, (0, STEPS - len(one))) for one in (k[k.nonzero()] for k in kept)]
    error = np.abs(factors @ kept - power_average(each_step, width)).sum()
    assert error < 0.1 < np.abs(kept[-1] - power_average(each_step, width)).sum()


def test_fit_keeps_averages_that_match_numpy_with_batch_norm(tiny_images):
    gan, path = make_gan(), []
    dataset = data.make_dataset(tiny_images, 8)
    for _ in range(12):
        gan.fit(dataset, epochs=1, steps_per_epoch=1, verbose=0)
        path.append(np.concatenate([w.ravel() for w in gan.generator.get_weights()]))
    # The average of t steps weighs step τ by ((τ / t)^(γ + 1) - ((τ - 1) / t)^(γ + 1)).
    for width, averages in zip(WIDTHS, gan.power_averages.averages(), strict=True):
        ours = np.concatenate([np.ravel(average) for average in averages])
        np.testing.assert_allclose(ours, power_average(np.array(path), width), rtol=2e-4, atol=1e-6)


def test_fit_is_bit_for_bit_equal_with_and_without_power_averages(tiny_images):
    one, other = make_gan(), make_gan()
    other.compile(post_hoc_ema=False, ema_decay=0.9, jit_compile=False)
    for gan in (one, other):
        gan.fit(data.make_dataset(tiny_images, 8), epochs=2, verbose=0)
    for a, b in zip(one.generator.get_weights(), other.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.power_averages is None


def test_power_averages_resume_bit_for_bit(tiny_images, tmp_path):
    def train(folder, stop=()):
        gan = make_gan()
        saved = [callbacks.PowerAverageSnapshots(folder / "averages")]
        saved += [*stop, callbacks.BackupAndRestore(folder / "backup", save_interval=-1)]
        gan.fit(data.make_dataset(tiny_images, 8), epochs=3, callbacks=saved, verbose=0)
        return gan

    whole = train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped here"):
        train(tmp_path / "stopped", [StopAt(6)])
    resumed = train(tmp_path / "stopped")
    assert_equal_states(read_state(whole), read_state(resumed))
    names = [f"step_{step:08d}.npz" for step in (4, 8, 12)]
    for name in names:
        files = (np.load(tmp_path / part / "averages" / name) for part in ("whole", "stopped"))
        one, other = map(dict, files)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])
    assert sorted(path.name for path in (tmp_path / "stopped/averages").iterdir()) == names


def test_saved_gan_restores_power_averages(tiny_images, tmp_path):
    gan = make_gan()
    gan.fit(data.make_dataset(tiny_images, 8), verbose=0)
    gan.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    for one, other in zip(gan.power_averages.weights, loaded.power_averages.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_load_weights_raises_for_a_file_without_power_averages(tmp_path):
    gan = make_gan()
    gan.compile(ema_decay=0.9, jit_compile=False)
    gan.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="power_averages"):
        make_gan().load_weights(tmp_path / "a.weights.h5")


def test_snapshots_average_floats_and_keep_the_last_integers(tmp_path):
    path = random_path().astype("float32")
    folder = tmp_path / "averages"
    folder.mkdir()
    for step in range(20, STEPS + 1, 20):
        kept = [power_average(path, width, step).astype("float32") for width in WIDTHS]
        arrays = {f"{i}.0": kept[i] for i in range(2)} | {f"{i}.1": np.int64(step) for i in (0, 1)}
        np.savez(folder / f"step_{step:08d}.npz", step=step, widths=WIDTHS, **arrays)
    average, counter = Snapshots.of_run(tmp_path).average(0.07)
    expected = power_average(path, 0.07)
    np.testing.assert_allclose(average, expected, atol=0.01 * path.std())
    assert (average.dtype, counter) == (np.float32, STEPS)


def test_snapshots_raise_for_a_damaged_file(tmp_path):
    (tmp_path / "averages").mkdir()
    (tmp_path / "averages/step_00000004.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"step_00000004.npz cannot be read .* average the others"):
        Snapshots.of_run(tmp_path)


def test_snapshots_raise_for_files_that_could_fill_the_memory_and_for_links(tmp_path):
    folder = tmp_path / "run/averages"
    folder.mkdir(parents=True)
    path = folder / "step_00000004.npz"
    np.savez_compressed(path, step=4, widths=WIDTHS, **{"0.0": np.zeros(10**6)})
    with pytest.raises(ValueError, match="cannot be read .its arrays are compressed"):
        Snapshots.of_run(tmp_path / "run")
    path.rename(tmp_path / "other.npz")
    path.symlink_to(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="Expected links that stay within .*step_00000004.npz"):
        Snapshots.of_run(tmp_path / "run")
    path.unlink()
    header = io.BytesIO()
    fields = {"descr": "<f8", "fortran_order": False, "shape": (2**44,)}
    np.lib.format.write_array_header_1_0(header, fields)
    np.savez(path, widths=WIDTHS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("step.npy", header.getvalue())
    with pytest.raises(ValueError, match="cannot be read"):
        Snapshots.of_run(tmp_path / "run")


def test_snapshots_raise_for_averages_of_different_generators(tmp_path):
    (tmp_path / "averages").mkdir()
    for step, size in ((4, 3), (8, 2)):
        arrays = {f"{group}.0": np.zeros(size) for group in (0, 1)}
        np.savez(tmp_path / f"averages/step_{step:08d}.npz", step=step, widths=WIDTHS, **arrays)
    with pytest.raises(ValueError, match="Expected equal shapes .* different generators"):
        Snapshots.of_run(tmp_path).average(0.1)
    np.savez(tmp_path / "averages/step_00000008.npz", step=8, widths=(0.05, 0.2), **arrays)
    with pytest.raises(ValueError, match="Expected equal widths"):
        Snapshots.of_run(tmp_path)


def test_power_average_snapshots_remove_those_after_a_restored_state(tiny_images, tmp_path):
    gan, dataset = make_gan(), data.make_dataset(tiny_images, 8)
    (tmp_path / "step_00000008.npz").write_bytes(b"of a training before its state was restored")
    gan.fit(dataset, callbacks=callbacks.PowerAverageSnapshots(tmp_path), verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000004.npz"]


def test_power_average_snapshots_raise_for_a_gan_without_averages(tmp_path, make_gan, tiny_images):
    with pytest.raises(ValueError, match="post_hoc_ema=True. Received: one without"):
        make_gan().fit(tiny_images, callbacks=callbacks.PowerAverageSnapshots(tmp_path), verbose=0)
    with pytest.raises(ValueError, match="Received: save_freq=0"):
        callbacks.PowerAverageSnapshots(tmp_path, save_freq=0)
