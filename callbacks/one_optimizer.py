"""A Keras callback that acts on both optimisers, made to act on one."""

from typing import Any

import keras

from fashion_gan.registry import lookup
from fashion_gan.training.optimizers import OptimizerPair

__all__ = ["OneOptimizer"]


class OneOptimizer(keras.callbacks.Callback):
    """Lets another callback, such as `ReduceLROnPlateau`, see one network's optimiser only.

    Everything else of the model is there for it as usual.

    Args:
        network: `"generator"` or `"discriminator"`.
        callback: the callback.

    Raises:
        ValueError: for another network.
    """

    def __init__(self, network: str, callback: keras.callbacks.Callback) -> None:
        super().__init__()
        self.attribute = lookup(
            {"generator": "g_optimizer", "discriminator": "d_optimizer"}, network, "network"
        )
        self.callback = callback
        for hook in dir(keras.callbacks.Callback):
            if hook.startswith("on_"):
                setattr(self, hook, getattr(callback, hook))

    def set_params(self, params: dict[str, Any]) -> None:
        """Pass on what is known of the run."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Show the callback the model with one optimiser."""
        super().set_model(model)
        self.callback.set_model(_View(model, getattr(model, self.attribute)))


class _View:
    """The model, but for its `optimizer`."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.__dict__.update(
            _model=model, optimizer=OptimizerPair([optimizer], lambda: model.optimizer.iterations)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)
