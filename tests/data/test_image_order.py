"""Tests the order of the images: TensorFlow's permutations, in parallel and compiled."""

import numpy as np
import pytest
import tensorflow as tf

from fashion_gan.data.image_order import ImageOrder, permutations

KEYS = tf.constant([[42, 0], [42, 7], [-3, 2**40]], tf.int64)


def shuffle(size, key):
    """Returns the permutation of TensorFlow's kernel for the CPU."""
    numbers = tf.range(size, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(numbers, seed=key, alg="philox").numpy()


@pytest.mark.parametrize("compiled", [False, True])
def test_permutations_equal_those_of_tensorflow_at_any_size(compiled):
    function = tf.function(permutations, jit_compile=compiled)
    for size in (1, 2, 5, 1_000):
        drawn = function(size, KEYS).numpy()
        assert drawn.dtype == np.int64
        np.testing.assert_array_equal(drawn, [shuffle(size, key) for key in KEYS], strict=True)


def test_permutations_follow_a_chain_of_all_steps(monkeypatch):
    # Each step but the last swaps with the next position, so all contents move by one.
    ones = lambda shape, *args, **kwargs: tf.ones(shape, tf.uint32)
    monkeypatch.setattr(tf.random, "stateless_uniform", ones)
    (drawn,) = permutations(100, KEYS[:1]).numpy()
    np.testing.assert_array_equal(drawn, [*range(1, 100), 0])


@pytest.mark.parametrize("num_draws", [None, 17])
def test_image_order_compiles_to_a_program_of_the_epoch(num_draws):
    order = ImageOrder(7, 42, num_draws)
    compiled = tf.function(order.of, jit_compile=True)
    for epoch in (0, 6):
        number = tf.constant(epoch, tf.int64)
        np.testing.assert_array_equal(compiled(number), order.of(number), strict=True)
    program = compiled.experimental_get_compiler_ir(number)
    text = program(stage="hlo")
    assert f"(s64[])->s64[{num_draws or 7}]" in text.splitlines()[0].replace("{0}", "")
    for word in ("infeed", "outfeed", "send(", "recv(", "callback"):
        assert word not in text, word
    # The host would decide after each turn whether a loop of an unknown length has ended.
    optimized = program(stage="optimized_hlo")
    assert optimized.count(" while(") == optimized.count("known_trip_count")
