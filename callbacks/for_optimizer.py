"""Provides a wrapper that applies a Keras callback to one of the two optimizers."""

from typing import Any

import keras

from fashion_gan.registry import lookup
from fashion_gan.training.optimizers import OptimizerPair

__all__ = ["ForOptimizer"]

_OPTIMIZERS = ("g_optimizer", "d_optimizer")


class ForOptimizer(keras.callbacks.Callback):
    """Applies another callback, such as `ReduceLROnPlateau`, to one optimizer only.

    The other attributes of the model remain available to the callback.

    Args:
        optimizer: `"g_optimizer"` or `"d_optimizer"`.
        callback: Callback that sees this optimizer as `model.optimizer`.

    Raises:
        ValueError: If `optimizer` is another name.
    """

    def __init__(self, optimizer: str, callback: keras.callbacks.Callback) -> None:
        super().__init__()
        self.optimizer = lookup({name: name for name in _OPTIMIZERS}, optimizer, "optimizer")
        self.callback = callback
        for hook in dir(keras.callbacks.Callback):
            if hook.startswith("on_"):
                setattr(self, hook, getattr(callback, hook))

    def set_params(self, params: dict[str, Any]) -> None:
        """Passes the parameters of the training to the callback."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Passes the callback a proxy of the model that has one optimizer."""
        super().set_model(model)
        self.callback.set_model(_ModelProxy(model, getattr(model, self.optimizer)))


class _ModelProxy:
    """Forwards attributes to the model, except for `optimizer`."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.__dict__.update(
            _model=model, optimizer=OptimizerPair([optimizer], lambda: model.optimizer.iterations)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)
