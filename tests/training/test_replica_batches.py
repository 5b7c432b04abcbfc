"""Batches that replicas can share equally, and batch norm on a replica's share."""

import contextlib
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashion_gan import data, models
from fashion_gan.training import validation

ONE, TWO = (SimpleNamespace(num_replicas_in_sync=count) for count in (1, 2))
IMAGES = np.zeros((12, 4, 4, 1), "float32")


def batches(size, **arguments):
    return data.make_dataset(IMAGES, size, **arguments)


UNEQUAL = [
    (batches(3), {}, "batches of 3."),
    (batches(4, drop_remainder=False), {}, "batches of unknown size."),
    (IMAGES, {"batch_size": 5}, "batches of 5."),
    (IMAGES[:11], {"batch_size": 4}, "batches of 3."),
    (IMAGES[:11], {}, "batches of 11."),
    ((batch for batch in [IMAGES]), {}, "batches of unknown size."),
    (batches(4), {"validation_data": batches(3)}, "batches of 3."),
    (batches(4), {"validation_data": (IMAGES[:11], None)}, "batches of 11."),
    (IMAGES, {"batch_size": 4, "validation_data": IMAGES, "validation_batch_size": 3}, "of 3."),
]
EQUAL = [
    (batches(4), {"validation_data": batches(6)}),
    (IMAGES, {"batch_size": 4, "validation_data": (IMAGES[:10], None)}),
    (IMAGES, {}),
]


@pytest.mark.parametrize(("x", "arguments", "message"), UNEQUAL)
def test_check_replica_batches_raises_for_unequal_shares(x, arguments, message):
    with pytest.raises(ValueError, match="a multiple of 2, for 2 replicas") as error:
        validation.check_replica_batches(TWO, x, **arguments)
    assert message in str(error.value)
    assert "Choose such a batch size with drop_remainder=True" in str(error.value)
    validation.check_replica_batches(ONE, x, **arguments)


@pytest.mark.parametrize(("x", "arguments"), EQUAL)
def test_check_replica_batches_accepts_equal_shares(x, arguments):
    validation.check_replica_batches(TWO, x, **arguments)


def test_check_replica_batches_raises_for_a_validation_split():
    with pytest.raises(
        ValueError, match=r"Expected validation_data on . replicas. Received: validation_split=0.1"
    ):
        validation.check_replica_batches(TWO, IMAGES, 4, validation_split=0.1)
    validation.check_replica_batches(ONE, IMAGES, 4, validation_split=0.1)


def test_make_dataset_is_sharded_by_rows():
    policy = batches(4).options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.DATA


def test_check_batch_norm_warns_for_layers_that_use_per_replica_statistics():
    pair = models.build_networks("dcgan", latent_dim=3, image_shape=(4, 4, 1))
    names = [x.name for x in pair[0].layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(names) == 2
    with pytest.warns(UserWarning, match=f"On 2 replicas, {', '.join(names)} will use the"):
        validation.check_batch_norm(pair, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validation.check_batch_norm(pair, 1)
        validation.check_batch_norm([keras.Sequential([keras.layers.Input((3,))])], 2)
        synchronized = keras.layers.BatchNormalization(synchronized=True)
        validation.check_batch_norm([keras.Sequential([keras.layers.Input((3,)), synchronized])], 2)


@pytest.mark.parametrize(
    ("kinds", "replicas", "raises"),
    [
        (("regularized", "synchronized"), 2, True),
        (("synchronized", "regularized"), 2, True),
        (("regularized", "synchronized"), 1, False),
        (("regularized",), 2, False),
        (("synchronized",), 2, False),
    ],
)
def test_check_added_losses_raises_when_replicas_would_mix_them_up(kinds, replicas, raises):
    layers = {
        "regularized": keras.layers.Dense(3, activity_regularizer="l2", name="regularized"),
        "synchronized": keras.layers.BatchNormalization(synchronized=True, name="synchronized"),
    }
    network = keras.Sequential([keras.layers.Input((3,)), *(layers[kind] for kind in kinds)])
    with contextlib.ExitStack() as stack:
        if raises:
            message = "on 2 devices of one process. Received: .* with regularized and synchronized"
            stack.enter_context(pytest.raises(ValueError, match=message))
        validation.check_added_losses([network], replicas)
