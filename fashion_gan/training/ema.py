"""The averaged generator: an exponential moving average (EMA) of weights draws the samples."""

import math
from typing import Any

import keras
from keras import ops

__all__ = ["EMANetwork", "decay_from_half_life"]


def decay_from_half_life(half_life: float, batch_size: int) -> float:
    """Returns the decay per step that forgets half of the average in `half_life` images.

    Args:
        half_life: Number of images.
        batch_size: Number of images in a step.

    Raises:
        ValueError: unless both are positive.

    References:
        Karras et al. 2020, https://arxiv.org/abs/2006.06676, appendix B, and their code.
    """
    if half_life <= 0 or batch_size <= 0:
        raise ValueError(
            f"Expected positive numbers. Received: half_life={half_life}, batch_size={batch_size}."
        )
    return math.pow(0.5, batch_size / half_life)


@keras.saving.register_keras_serializable("fashion_gan")
class EMANetwork(keras.Model):
    """Runs a network with a moving average of its weights in place of the weights.

    It holds the averages alone and calls the network itself, so that every network has an average:
    one with a Lambda, with layers that cannot be serialized, a subclass. Batch-norm statistics are
    averaged as well. No optimizer trains it.

    Args:
        network: Built network whose weights are averaged. The averages start at its weights.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._network = lambda: network  # a bare attribute would be tracked as a sublayer
        self._followed = [id(weight) for weight in network.weights]
        for weight in network.weights:
            average = self.add_weight(
                name=weight.name,
                shape=weight.shape,
                dtype=weight.dtype,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            average.assign(weight)
        # Noise of its own: that of the network belongs to training.
        self._seeds = [keras.random.SeedGenerator(seed=1) for _ in self._seed_states()]
        self.built = True

    def _seed_states(self) -> list[Any]:
        """Returns the states of the seed generators of the network."""
        return [v for v in self._network().variables if v.name == "seed_generator_state"]

    def follows(self, network: keras.Model) -> bool:
        """Returns whether the averages still are those of all weights of `network`."""
        return self._followed == [id(weight) for weight in network.weights]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns what the network outputs with the averaged weights, in inference."""
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
        """Moves each average towards the weight that it follows.

        Args:
            decay: Fraction of the average that a step keeps once the ramp is over.
            step: Number of train steps so far, an integer scalar. Early averages would be mostly
                the untrained network, hence the ramp `min(decay, (1 + step) / (10 + step))`.
        """
        step = ops.cast(step, "float32")
        rate = 1 - ops.minimum(decay, (1 + step) / (10 + step))
        for average, weight in zip(self.weights, self._network().weights, strict=True):
            fast = ops.cast(weight, average.dtype)
            if "float" in average.dtype:
                average.assign_add(ops.cast(rate, average.dtype) * (fast - average))
            else:
                average.assign(fast)  # a counter has no average

    def reset(self) -> None:
        """Sets each average to the weight that it follows."""
        for average, weight in zip(self.weights, self._network().weights, strict=True):
            average.assign(weight)

    def copy_to(self, network: keras.Model) -> None:
        """Sets the weights of a network of the same structure to the averages."""
        network.set_weights(self.get_weights())

    def load_own_variables(self, store: Any) -> None:
        """Loads the averages; leaves them as they are if the file holds none."""
        if len(store.keys()):
            super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        """Returns the serialized network."""
        network = keras.saving.serialize_keras_object(self._network())
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EMANetwork":
        """Returns an average of a network that is built from its config."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
