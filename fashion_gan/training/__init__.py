"""The engine of a GAN: its train step, and what surrounds the step in `fit()`."""

__all__ = ()
