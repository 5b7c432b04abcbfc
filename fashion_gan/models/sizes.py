"""Which image sizes the convolutional pairs can make."""

__all__ = ["quarter"]


def quarter(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """A quarter of the height and of the width.

    Raises:
        ValueError: if one of them is no multiple of 4.
    """
    height, width, _ = image_shape
    if height % 4 or width % 4:
        raise ValueError(
            "These networks halve and double images twice, so that height and width are multiples "
            f"of 4. Received: image_shape={image_shape}."
        )
    return height // 4, width // 4
