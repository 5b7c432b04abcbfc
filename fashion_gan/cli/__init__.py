"""Implements the command line, with one file for each command or group of commands."""

__all__: list[str] = []
