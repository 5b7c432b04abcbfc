"""Provides an exponential moving average (EMA) of the generator's weights, for sampling."""

import math
from typing import Any

import keras
from keras import ops

__all__ = ["EMANetwork", "add_average", "decay_from_half_life", "move_average"]


def decay_from_half_life(half_life: float, batch_size: int) -> float:
    """Returns the decay per step for which the average has a half-life of `half_life` images.

    Args:
        half_life: Number of images after which half of the average is replaced.
        batch_size: Number of images in a step.

    Raises:
        ValueError: Unless both are positive.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, appendix B, and their code.
    """
    if half_life <= 0 or batch_size <= 0:
        raise ValueError(
            f"Expected positive numbers. Received: half_life={half_life}, batch_size={batch_size}."
        )
    return math.pow(0.5, batch_size / half_life)


def add_average(layer: keras.Layer, weight: Any, name: str) -> None:
    """Adds a weight to a layer that is the average of another weight, and starts at it."""
    average = layer.add_weight(
        name=name,
        shape=weight.shape,
        dtype=weight.dtype,
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
    )
    average.assign(weight)


def move_average(average: Any, weight: Any, rate: Any) -> None:
    """Moves an average towards its weight by a fraction `rate` of the way."""
    now = ops.cast(weight, average.dtype)
    if "float" in average.dtype:
        average.assign_add(ops.cast(rate, average.dtype) * (now - average))
    else:
        average.assign(now)  # integers such as counters are copied


@keras.saving.register_keras_serializable("fashion_gan")
class EMANetwork(keras.Model):
    """Runs a network with a moving average of its weights in place of the weights.

    It stores only the averages and calls the network itself. It therefore supports every network,
    including subclasses, Lambda layers and layers that cannot be serialized. Batch-norm statistics
    are averaged as well. No optimizer trains it.

    Args:
        network: Built network whose weights are averaged. The averages start at its weights.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._network = lambda: network  # a bare attribute would be tracked as a sublayer
        self._followed = [id(weight) for weight in network.weights]
        for weight in network.weights:
            add_average(self, weight, weight.name)
        # Separate noise, since the network's seed generators belong to training.
        self._seeds = [keras.random.SeedGenerator(seed=1) for _ in self._seed_states()]
        self.built = True

    def _seed_states(self) -> list[Any]:
        """Returns the states of the seed generators of the network."""
        return [v for v in self._network().variables if v.name == "seed_generator_state"]

    def follows(self, network: keras.Model) -> bool:
        """Returns whether there is an average of each weight of `network`, and of no other."""
        return self._followed == [id(weight) for weight in network.weights]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Runs the network with the averaged weights, in inference mode."""
        network = self._network()
        states = list(zip(self._seed_states(), (s.state for s in self._seeds), strict=True))
        pairs = [*zip(network.weights, self.weights, strict=True), *states]
        with keras.StatelessScope([(variable, own.value) for variable, own in pairs]) as scope:
            outputs = network(inputs, training=False)
        for state, own in states:
            if (value := scope.get_current_value(state)) is not None:
                own.assign(value)
        return outputs

    def update(self, decay: float, step: Any) -> None:
        """Updates each average by its weight.

        Args:
            decay: Fraction of the average that a step keeps after the warm-up.
            step: Number of train steps so far, an integer scalar. The decay warms up as
                `min(decay, (1 + step) / (10 + step))`, since early averages would otherwise consist
                mostly of the untrained network.
        """
        step = ops.cast(step, "float32")
        rate = 1 - ops.minimum(decay, (1 + step) / (10 + step))
        for average, weight in zip(self.weights, self._network().weights, strict=True):
            move_average(average, weight, rate)

    def reset(self) -> None:
        """Sets each average to the current weight."""
        for average, weight in zip(self.weights, self._network().weights, strict=True):
            average.assign(weight)

    def copy_to(self, network: keras.Model) -> None:
        """Sets the weights of a network of the same structure to the averages."""
        network.set_weights(self.get_weights())

    def load_own_variables(self, store: Any) -> None:
        """Loads the averages, or keeps the present averages if the file holds none."""
        if len(store.keys()):
            super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with the network serialized."""
        network = keras.saving.serialize_keras_object(self._network())
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EMANetwork":
        """Returns the average of a new network that is built from its config."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
