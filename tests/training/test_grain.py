"""Tests Grain pipelines as inputs of `fit()` and `evaluate()`."""

import numpy as np
import pytest
from helpers import assert_equal_states, read_state

from fashion_gan import GAN, models

grain = pytest.importorskip("grain")
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")


def as_map_dataset(images):
    return grain.MapDataset.source(images).batch(8)


def as_iter_dataset(images):
    return grain.MapDataset.source(images).to_iter_dataset().batch(8)


def as_data_loader(images):
    return grain.DataLoader(
        data_source=images,
        sampler=grain.samplers.IndexSampler(len(images), shuffle=False, num_epochs=1),
        operations=[grain.transforms.Batch(8)],
    )


@pytest.mark.parametrize(
    "as_grain",
    [
        as_data_loader,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (as_map_dataset, as_iter_dataset)),
    ],
)
def test_fit_and_evaluate_give_equal_results_for_grain_and_arrays(as_grain, make_gan, tiny_images):
    ours, theirs = make_gan("adam"), make_gan("adam")
    theirs.generator.set_weights(ours.generator.get_weights())
    theirs.discriminator.set_weights(ours.discriminator.get_weights())
    arguments = {"epochs": 2, "verbose": 0}
    logs = ours.fit(as_grain(tiny_images), **arguments, validation_data=as_grain(tiny_images))
    held_out = {"validation_data": tiny_images, "validation_batch_size": 8}
    expected = theirs.fit(tiny_images, batch_size=8, shuffle=False, **held_out, **arguments)
    assert ours.steps == 8
    assert logs.history == expected.history
    assert_equal_states(read_state(ours), read_state(theirs))
    scores = ours.evaluate(as_grain(tiny_images), verbose=0)
    assert scores == theirs.evaluate(tiny_images, batch_size=8, verbose=0)


class Pairs:
    """Provides a random-access source of images and labels."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


def test_conditional_gan_trains_on_pairs_from_grain(tiny_images):
    networks = models.build_networks("dense", latent_dim=3, image_shape=(4, 4, 1), num_classes=3)
    gan = GAN(*networks)
    gan.compile(jit_compile=False)
    labels = np.arange(32, dtype="int32") % 3
    gan.fit(as_map_dataset(Pairs(tiny_images, labels)), verbose=0)
    assert gan.steps == 4
    with pytest.raises(ValueError, match="labels from 0 to 2. Received: labels from 5 to 5"):
        gan.fit(as_map_dataset(Pairs(tiny_images, np.full(32, 5))), verbose=0)
    with pytest.raises(ValueError, match="no labels"):
        gan.fit(as_map_dataset(tiny_images), verbose=0)


def test_fit_raises_for_wrong_images_from_grain(make_gan, tiny_images):
    with pytest.raises(ValueError, match=r"Expected images in \[0, 1\]"):
        make_gan().fit(as_map_dataset(255 * tiny_images), verbose=0)
