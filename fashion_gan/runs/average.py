"""Averages the generator of a run after its training, over a length that is chosen then."""

import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan.files import check_no_links_out
from fashion_gan.gan import GAN
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.training.power_averages import combination

__all__ = ["CANDIDATES", "Snapshots", "choose_average"]

CANDIDATES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
"""Widths that `choose_average` compares."""


@dataclass(frozen=True)
class Snapshots:
    """Reads the snapshots of a run, see `callbacks.PowerAverageSnapshots`.

    Attributes:
        paths: Files of the snapshots, in the order of their steps.
        steps: Number of train steps after which each was taken.
        widths: Widths of the averages in each snapshot.
    """

    paths: tuple[Path, ...]
    steps: tuple[int, ...]
    widths: tuple[float, ...]

    @classmethod
    def of_run(cls, run: str | os.PathLike[str]) -> "Snapshots":
        """Finds the snapshots of a run.

        Raises:
            FileNotFoundError: If the folder holds no snapshot.
            ValueError: If a file cannot be read, if their widths differ, or if a link leads out of
                the folder.
        """
        folder = RunDirectory(run).averages_dir
        paths = tuple(sorted(folder.glob("step_*.npz")))
        if not paths:
            raise FileNotFoundError(
                f"Expected averages of the generator in {folder}. Received: none. Train with "
                "--post-hoc-ema."
            )
        check_no_links_out(folder)
        heads = [_read(path, ("step", "widths")) for path in paths]
        if any(not np.array_equal(widths, heads[0][1]) for _, widths in heads):
            raise ValueError(
                f"Expected equal widths in all files of {folder}. Received: different ones. Remove "
                "the files of other trainings."
            )
        steps = tuple(int(step) for step, _ in heads)
        return cls(paths, steps, tuple(float(width) for width in heads[0][1]))

    @cached_property
    def _columns(self) -> list[list[np.ndarray]]:
        """Returns the averages of each snapshot and width, in this order."""
        return [
            _read(path, sorted(_names(path, group), key=_index))
            for path in self.paths
            for group in range(len(self.widths))
        ]

    def average(self, width: float) -> list[np.ndarray]:
        """Returns the weights of the generator, averaged over the training until the last snapshot.

        Arrays of integers, such as counters, are those of the last snapshot.

        Args:
            width: Width of the average, above 0 and below 0.289.

        Raises:
            ValueError: If the width is out of range, if a file cannot be read, or if shapes differ
                between the snapshots.
        """
        times = np.repeat(self.steps, len(self.widths))
        widths = np.tile(self.widths, len(self.steps))
        shapes = [[array.shape for array in column] for column in self._columns]
        if any(each != shapes[-1] for each in shapes):
            raise ValueError(
                f"Expected equal shapes in all files of {self.paths[0].parent}. Received: "
                "averages of different generators. Remove the files of the others."
            )
        factors = combination(times, widths, self.steps[-1], width)
        last = self._columns[-1]
        return [
            sum(
                factor * column[index].astype(np.float64)
                for factor, column in zip(factors, self._columns, strict=True)
            ).astype(array.dtype)
            if np.issubdtype(array.dtype, np.floating)
            else array
            for index, array in enumerate(last)
        ]


def choose_average(
    gan: GAN,
    snapshots: Snapshots,
    evaluator: Any,
    widths: Sequence[float] = CANDIDATES,
    announce: Callable[[str], None] = lambda what: None,
) -> tuple[float, dict[str, dict[str, Any]]]:
    """Compares averages of several widths, and sets the generator for samples to the best one.

    Args:
        gan: GAN of the run. Its average gets the chosen weights, or its generator without one.
        snapshots: Snapshots of the run.
        evaluator: `evaluation.Evaluator` whose watched score ranks the averages.
        widths: Widths to compare. Defaults to `CANDIDATES`.
        announce: Function that is called with a phrase on the next measurement.

    Returns:
        The best width, and the scores of the GAN as it was and of each width, by name.
    """
    network = gan.sampling_network()
    announce("measuring the run")
    scores = {"as trained": evaluator.evaluate(gan)}
    for width in widths:
        announce(f"measuring width {width}")
        network.set_weights(snapshots.average(width))
        scores[f"width {width}"] = evaluator.evaluate(gan)
    best = min(widths, key=lambda width: scores[f"width {width}"][evaluator.watched_score])
    network.set_weights(snapshots.average(best))
    return best, scores


def _names(path: Path, group: int) -> list[str]:
    with _open(path) as file:
        return [name for name in file.files if name.startswith(f"{group}.")]


def _index(name: str) -> int:
    return int(name.partition(".")[2])


def _read(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    with _open(path) as file:
        try:
            return [file[name] for name in names]
        except (KeyError, MemoryError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error


def _open(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:  # stored arrays take no more memory than the file
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("its arrays are compressed")
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read ({error}). Remove it, and average the others.")
