"""Provides a batch statistic that shows the discriminator whether all fakes are alike."""

from typing import Any

import keras
from keras import ops

__all__ = ["MinibatchStdDev"]


@keras.saving.register_keras_serializable("fashion_gan")
class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel with the mean standard deviation over each group of images.

    The standard deviation of each feature over a group is averaged over all features, which gives
    one number for each group. Groups consist of consecutive images. A GAN's batch has all fakes
    before all reals. They do not mix within a group, since the GAN raises if a batch does not
    divide into groups.

    Args:
        group_size: Number of images in a group. A smaller batch is one group. Defaults to 4.

    Raises:
        ValueError: If the group size is below 2. In training, if the batch does not divide into
            groups.

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
        """Maps features `(batch, …, c)` to `(batch, …, c + 1)`."""
        batch, *shape = x.shape
        group = self.group_size if batch is None else min(self.group_size, batch)
        if batch is not None and batch % group:
            raise ValueError(
                f"Expected a batch size that is a multiple of {group}. Received: {batch}. Choose "
                "another batch size, with drop_remainder=True."
            )
        # Half precision cannot represent 1e-8, which keeps the gradient of the root finite at 0.
        groups = ops.reshape(ops.cast(x, "float32"), (-1, group, *shape))
        variance = ops.var(groups, axis=1)
        deviation = ops.mean(ops.sqrt(variance + 1e-8), axis=tuple(range(1, len(shape) + 1)))
        column = ops.reshape(ops.repeat(deviation, group), (-1, *(1,) * len(shape)))
        channel = ops.ones_like(x[..., :1]) * ops.cast(column, x.dtype)
        return ops.concatenate([x, channel], axis=-1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape with one more channel."""
        return (*shape[:-1], shape[-1] + 1)  # type: ignore[operator]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "group_size": self.group_size}
