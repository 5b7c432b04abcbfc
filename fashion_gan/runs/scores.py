"""The score by which runs are compared, whatever images they were trained on."""

from collections.abc import Container

from fashion_gan.runs.config import Config

__all__ = ["SCORE_LABELS", "watched_score"]

SCORE_LABELS = {
    "frechet_distance": "Fréchet",
    "kernel_distance": "kernel",
    "pixel_frechet_distance": "pixel Fréchet",
}
"""Names of the scores that are watched, and their labels in tables. Lower is better."""


def watched_score(config: Config, measured: Container[str]) -> str:
    """Returns the name of the score to watch among those that were measured.

    It is the Fréchet distance in the features of the classifier for Fashion-MNIST, and the kernel
    distance in features of ImageNet for other images. Runs without these features have distances in
    the pixels alone.

    Args:
        config: Config of the run.
        measured: Names of the scores that were measured.
    """
    if not config.data:
        return "frechet_distance"
    return "kernel_distance" if "kernel_distance" in measured else "pixel_frechet_distance"
