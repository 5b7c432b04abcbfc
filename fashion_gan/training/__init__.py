"""Implements the train step of a GAN and its execution in `fit()`."""

__all__ = ()
