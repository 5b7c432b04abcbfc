"""A statistic over the batch, by which the discriminator sees that fakes are all alike."""

from typing import Any

import keras
from keras import ops

__all__ = ["MinibatchStdDev"]


@keras.saving.register_keras_serializable("fashion_gan")
class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel: how much the images of a group differ, one number for each group.

    Of each feature the standard deviation over the group is taken, and of these the mean. Groups
    are consecutive images: fakes and reals, which follow each other in a GAN's batch, do not mix,
    since the GAN refuses batches that do not divide into groups.

    Args:
        group_size: Number of images in a group; all of a batch that is smaller.

    Raises:
        ValueError: for a group below 2; in training, if the batch does not divide into groups.

    References:
        Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 3, a simpler form of Salimans
        et al. 2016, https://arxiv.org/abs/1606.03498, section 3.2.
    """

    def __init__(self, group_size: int = 4, **kwargs: Any) -> None:
        if group_size < 2:
            raise ValueError(f"Expected at least 2. Received: group_size={group_size}.")
        super().__init__(**kwargs)
        self.group_size = group_size

    def call(self, x: Any) -> Any:
        """`(batch, …, c)` to `(batch, …, c + 1)`."""
        batch, *shape = x.shape
        group = self.group_size if batch is None else min(self.group_size, batch)
        if batch is not None and batch % group:
            raise ValueError(
                f"Groups of {group} images make no batch of {batch}. Choose a batch size that "
                f"is a multiple of {group}, with drop_remainder=True."
            )
        # In float32: half precision has no number to keep the root off 0, where it has no slope.
        groups = ops.reshape(ops.cast(x, "float32"), (-1, group, *shape))
        variance = ops.var(groups, axis=1)
        deviation = ops.mean(ops.sqrt(variance + 1e-8), axis=tuple(range(1, len(shape) + 1)))
        column = ops.reshape(ops.repeat(deviation, group), (-1, *(1,) * len(shape)))
        channel = ops.ones_like(x[..., :1]) * ops.cast(column, x.dtype)
        return ops.concatenate([x, channel], axis=-1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One channel more."""
        return (*shape[:-1], shape[-1] + 1)  # type: ignore[operator]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "group_size": self.group_size}
