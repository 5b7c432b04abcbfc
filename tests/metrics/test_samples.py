"""Tests inputs and errors of every metric, and that only NumPy is loaded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fashion_gan import metrics
from fashion_gan.metrics.samples import as_samples

RNG = np.random.default_rng(0)
GOOD = RNG.normal(size=(40, 6))
BINS = metrics.fit_ndb_bins(GOOD, 3)
PCA = metrics.fit_pca(GOOD, 3)

# A function of one set of samples each.
ONE = {
    "gaussian": metrics.gaussian,
    "manifold": metrics.manifold,
    "fit_ndb_bins": lambda x: metrics.fit_ndb_bins(x, 3),
    "fit_pca": lambda x: metrics.fit_pca(x, 3),
}
# A function of two sets each, of as many features.
TWO = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": lambda x, y: metrics.kernel_distance(x, y, size=30),
    "nearest": metrics.nearest,
    "prdc": metrics.prdc,
}
# A function of one set each, fitted to another with 6 features.
FITTED = {"ndb": lambda x: metrics.ndb(BINS, x), "PCA": PCA.transform}

EVERY = {
    **ONE,
    **FITTED,
    **{f"{name}, left": lambda x, f=f: f(x, GOOD) for name, f in TWO.items()},
    **{f"{name}, right": lambda x, f=f: f(GOOD, x) for name, f in TWO.items()},
}


def every(functions):
    return pytest.mark.parametrize("function", functions.values(), ids=functions)


@every(EVERY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_as_samples_raises_with_the_number_of_non_finite_rows(function, value):
    function(GOOD)
    bad = GOOD.copy()
    bad[[3, 3, 8], [0, 1, 5]] = value
    with pytest.raises(ValueError, match="NaN or infinity in 2 of 40"):
        function(bad)


@every({**TWO, **{name: lambda x, y, f=f: f(y) for name, f in FITTED.items()}})
def test_as_samples_raises_for_a_wrong_number_of_features(function):
    with pytest.raises(ValueError, match="number of features.* with 6, .* with 5"):
        function(GOOD, GOOD[:, :5])


@every(EVERY)
@pytest.mark.parametrize("shape", [(40,), (0, 6), (40, 0), ()])
def test_as_samples_raises_without_a_second_axis(function, shape):
    with pytest.raises(ValueError, match=r"shape \(samples, features\).* Received: shape=\("):
        function(np.zeros(shape))


@every(EVERY)
@pytest.mark.parametrize("dtype", [complex, bool, str, object])
def test_as_samples_raises_for_non_real_dtypes(function, dtype):
    with pytest.raises(TypeError, match="as floats or integers. Received: dtype="):
        function(GOOD.astype(dtype))


@every(EVERY)
def test_as_samples_accepts_lists_and_other_dtypes_without_changing_them(function):
    bytes_ = RNG.integers(0, 256, (40, 6)).astype(np.uint8)
    read_only = bytes_.astype(np.float32)
    read_only.flags.writeable = False
    as_double = bytes_.astype(float)
    as_double.flags.writeable = False
    results = [function(x) for x in (bytes_, bytes_.tolist(), read_only, as_double)]
    arrays = [vars(r) if hasattr(r, "__dict__") else {"": r} for r in results]
    for other in arrays[1:]:
        for name, value in other.items():
            np.testing.assert_array_equal(value, arrays[0][name])


def test_as_samples_makes_rows_contiguous():
    for x in (GOOD, np.asfortranarray(GOOD), GOOD[::2], GOOD.reshape(40, 3, 2).swapaxes(1, 2)):
        assert as_samples(x, "some").flags.c_contiguous


def test_metrics_exports_every_public_name():
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None


def test_metrics_is_imported_without_keras_and_tensorflow():
    program = (
        "import sys, fashion_gan.metrics\n"
        "print([m for m in ('keras', 'tensorflow', 'scipy', 'sklearn') if m in sys.modules])"
    )
    root = Path(metrics.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"
