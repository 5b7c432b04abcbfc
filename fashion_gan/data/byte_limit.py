"""Limits the bytes of pixels that a file may declare, before memory is allocated for them."""

import os

__all__ = ["MAX_BYTES", "check_bytes"]

MAX_BYTES = 8 * 2**30
"""Default limit on the decoded pixels of a file or folder, in bytes."""

_VARIABLE = "FASHION_GAN_MAX_BYTES"


def check_bytes(path: str | os.PathLike[str], declared: int, max_bytes: int | None = None) -> None:
    """Checks that the bytes of pixels that a file declares are within the limit.

    Args:
        path: File or folder. The error names it.
        declared: Bytes of pixels that the header declares.
        max_bytes: Limit in bytes. Defaults to the environment variable `FASHION_GAN_MAX_BYTES`, or
            to `MAX_BYTES` if the variable is not set.

    Raises:
        ValueError: If `declared` exceeds the limit, or the variable is not a number of bytes.
    """
    limit = _default_limit() if max_bytes is None else max_bytes
    if declared > limit:
        raise ValueError(
            f"Expected at most {limit} bytes of pixels. Received: {os.fspath(path)}, which "
            f"declares {declared}. Raise the limit with {_VARIABLE}={declared} if this is right."
        )


def _default_limit() -> int:
    text = os.environ.get(_VARIABLE) or str(MAX_BYTES)
    if not (text.isascii() and text.isdigit() and len(text) < 1000):
        raise ValueError(
            f"Expected {_VARIABLE} as a whole number of bytes. Received: {text[:50]!r}. Correct or "
            "unset the variable."
        )
    return int(text)
