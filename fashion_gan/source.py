"""What a command is pointed at: the folder of a run, a `.keras` file, or a pretrained name."""

from pathlib import Path
from typing import Any

from fashion_gan import pretrained, run, run_folder
from fashion_gan.config import Config

__all__ = ["check", "config_of", "gan_of", "is_known"]


def is_known(source: str) -> bool:
    """Whether it names a generator rather than, say, a file of images."""
    path = Path(source)
    return source in pretrained.cards() or path.suffix == ".keras" or run_folder.is_run(path)


def check(source: str) -> None:
    """Raise FileNotFoundError unless there is something of that name, a generator or images."""
    if source not in pretrained.cards() and not Path(source).exists():
        names = ", ".join(pretrained.cards())
        raise FileNotFoundError(
            f"There is no {source}, and no pretrained generator of that name, of which there are: "
            f"{names}. `fashion-gan runs` lists the runs."
        )


def gan_of(source: str) -> Any:
    """Its GAN.

    Raises:
        FileNotFoundError: if there is none.
    """
    check(source)
    return pretrained.load_pretrained(source) if source in pretrained.cards() else run.load(source)


def config_of(source: str) -> Config:
    """What it was trained with, or the book's where that is not written."""
    cards = pretrained.cards()
    if source in cards:
        return Config.from_dict(cards[source]["config"])
    return run_folder.read_config(source) if run_folder.is_run(source) else Config()
