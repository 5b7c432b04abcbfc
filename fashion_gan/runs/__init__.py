"""Trains configs in run folders, and reads, scores and compares these runs."""

__all__: list[str] = []
