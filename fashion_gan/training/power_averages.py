"""Provides power-function averages of the generator, whose length can be chosen after training.

A power-function average of width σ weighs the weights of step τ by τ^γ. Its exponent γ depends on
σ, which is the standard deviation of the weighted times as a fraction of the training. Averages of
two widths are kept. Averages of other widths are linear combinations of their snapshots.

References:
    Karras et al. 2024, https://arxiv.org/abs/2312.02696, section 3 and appendix C.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from fashion_gan.training.ema import add_average, move_average

__all__ = ["WIDTHS", "PowerAverages", "combination", "exponent_from_width"]

WIDTHS = (0.05, 0.1)
"""Widths of the averages that are kept, as in the paper."""

_LARGEST_WIDTH = 12**-0.5  # of equal weights for all steps


def exponent_from_width(width: float) -> float:
    """Returns the exponent γ of an average.

    It solves width² = (γ + 1) / ((γ + 2)² (γ + 3)), the variance of the weighted times.

    Args:
        width: Standard deviation of the weighted times, as a fraction of the training.

    Raises:
        ValueError: Unless the width lies above 0 and below 0.289, that of equal weights.
    """
    if not 0 < width < _LARGEST_WIDTH:
        raise ValueError(
            f"Expected a width above 0 and below {_LARGEST_WIDTH:.3f}. Received: width={width}."
        )
    inverse = width**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return float(roots.real.max())


def combination(
    steps: Sequence[int] | np.ndarray,
    widths: Sequence[float] | np.ndarray,
    at_step: int,
    width: float,
) -> np.ndarray:
    """Returns the factors with which snapshots add up to the average of another width.

    The weights over time of the sum are nearest to those of the average, in the least squares.

    Args:
        steps: Number of train steps after which each snapshot was taken, from 1.
        widths: Width of each snapshot.
        at_step: Number of train steps after which the average is wanted.
        width: Width of the average.

    Returns:
        Factors, float64 `(len(steps),)`.

    Raises:
        ValueError: If a width is out of range.
    """
    times = np.asarray(steps, np.float64) / at_step  # as a fraction, so that powers do not overflow
    exponents = np.asarray([exponent_from_width(each) for each in widths])
    wanted = exponent_from_width(width)
    among = _products(times[:, None], exponents[:, None], times, exponents)
    with_wanted = _products(times, exponents, 1.0, wanted)
    scale = 1 / np.sqrt(np.diagonal(among))
    factors = np.linalg.lstsq(among * scale * scale[:, None], scale * with_wanted, rcond=1e-12)[0]
    return scale * factors


def _products(times: Any, exponents: Any, other_times: Any, other_exponents: Any) -> np.ndarray:
    """Computes ∫ p(τ) q(τ) dτ, where p and q are (γ + 1) τ^γ / t^(γ + 1) on [0, t]."""
    first = np.minimum(times, other_times)
    powers = (first / times) ** exponents * (first / other_times) ** other_exponents
    factors = (exponents + 1) * (other_exponents + 1) / (exponents + other_exponents + 1)
    return factors * powers * first / (times * other_times)


class PowerAverages(keras.layers.Layer):
    """Keeps power-function averages of the weights of a network.

    Args:
        network: Built network whose weights are averaged.
        widths: Widths of the averages. Defaults to `WIDTHS`.
    """

    def __init__(
        self, network: keras.Model, widths: Sequence[float] = WIDTHS, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self._exponents = [exponent_from_width(width) for width in widths]
        self._network = lambda: network  # a bare attribute would be tracked as a sublayer
        self._followed = [id(weight) for weight in network.weights]
        for width in widths:
            for weight in network.weights:
                add_average(self, weight, f"{weight.name}_{width}")
        self.built = True

    def follows(self, network: keras.Model) -> bool:
        """Returns whether there are averages of each weight of `network`, and of no other."""
        return self._followed == [id(weight) for weight in network.weights]

    def averages(self) -> list[list[Any]]:
        """Returns the averages of each width, in the order of the weights of the network."""
        count = len(self._followed)
        return [self.weights[i * count : (i + 1) * count] for i in range(len(self.widths))]

    def update(self, step: Any) -> None:
        """Updates all averages by the weights after a step.

        The average after step t is β a + (1 - β) w, where a is the average before, w are the
        weights, and β = (1 - 1 / t)^(γ + 1).

        Args:
            step: Number of earlier train steps, an integer scalar.
        """
        log_kept = ops.log1p(-1 / (ops.cast(step, "float32") + 1))
        for exponent, averages in zip(self._exponents, self.averages(), strict=True):
            rate = -ops.expm1((exponent + 1) * log_kept)
            for average, weight in zip(averages, self._network().weights, strict=True):
                move_average(average, weight, rate)
