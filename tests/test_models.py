"""The pairs of networks: those of the book to the letter, and for images of other sizes."""

import numpy as np
import pytest
from keras import layers

from fashion_gan import GAN, models


def test_the_dcgan_is_the_chapters():
    generator, discriminator = models.build("dcgan")
    frozen = sum(int(np.prod(w.shape)) for w in generator.non_trainable_weights)
    assert (generator.count_params(), frozen) == (840_705, 384)
    assert discriminator.count_params() == 212_865
    kinds = [type(layer) for layer in generator.layers]
    assert kinds == [
        layers.Dense,
        layers.Reshape,
        layers.BatchNormalization,
        layers.Conv2DTranspose,
        layers.BatchNormalization,
        layers.Conv2DTranspose,
    ]
    first, last = (layer for layer in generator.layers if "Conv" in type(layer).__name__)
    assert (first.activation.__name__, last.activation.__name__) == ("selu", "tanh")
    assert [layer.rate for layer in discriminator.layers if hasattr(layer, "rate")] == [0.4, 0.4]


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 48, 3)])
def test_every_pair_is_made_for_other_images(name, shape):
    generator, discriminator = models.build(name, latent_dim=5, image_shape=shape)
    gan = GAN(generator, discriminator)
    images = gan.sample(2, seed=0)
    assert images.shape == (2, *shape)
    assert discriminator(images).shape == (2, 1)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 4. Received: image_shape=\(30, 28, 1\)"):
        models.build("dcgan", image_shape=(30, 28, 1))
