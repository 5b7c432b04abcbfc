"""Chooses the score by which runs are compared, for any training images."""

from collections.abc import Container

from fashion_gan.runs.config import Config

__all__ = ["SCORE_LABELS", "watched_score"]

SCORE_LABELS = {
    "frechet_distance": "Fréchet",
    "kernel_distance": "kernel",
    "pixel_frechet_distance": "pixel Fréchet",
}
"""Labels of the watched scores in tables, by name. Lower is better."""


def watched_score(config: Config, measured: Container[str]) -> str:
    """Returns the name of the score to watch among the measured scores.

    For Fashion-MNIST it is the Fréchet distance in the features of the classifier. For other images
    it is the kernel distance in ImageNet features. Runs without ImageNet features have distances in
    pixel space only.

    Args:
        config: Config of the run.
        measured: Names of the measured scores.
    """
    if not config.data:
        return "frechet_distance"
    return "kernel_distance" if "kernel_distance" in measured else "pixel_frechet_distance"
