"""A run: a config, trained in a folder of its own, and all that is read from that folder."""

__all__: list[str] = []
