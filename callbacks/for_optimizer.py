"""A Keras callback that acts on both optimizers, made to act on one."""

from typing import Any

import keras

from fashion_gan.registry import lookup
from fashion_gan.training.optimizers import OptimizerPair

__all__ = ["ForOptimizer"]

_OPTIMIZERS = ("g_optimizer", "d_optimizer")


class ForOptimizer(keras.callbacks.Callback):
    """Lets another callback, such as `ReduceLROnPlateau`, see one network's optimizer only.

    Everything else of the model is there for it as usual.

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
        """Pass on what is known of the run."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Show the callback the model with one optimizer."""
        super().set_model(model)
        self.callback.set_model(_ModelProxy(model, getattr(model, self.optimizer)))


class _ModelProxy:
    """Stands for the model, with another `optimizer`."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.__dict__.update(
            _model=model, optimizer=OptimizerPair([optimizer], lambda: model.optimizer.iterations)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)
