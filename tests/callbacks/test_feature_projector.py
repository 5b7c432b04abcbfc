"""Tests the projector's files: one row, one label and one thumbnail for each image."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from fashion_gan.callbacks import FeatureProjector

from google.protobuf import text_format  # isort: skip


def features(images):
    return images.reshape(len(images), -1)[:, :3] / 255.0


def labeled(images):
    return features(images), np.arange(len(images)) % 2


def read(folder):
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    points = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    labels = (folder / embedding.metadata_path).read_text().splitlines()
    sprite = tf.io.decode_png((folder / embedding.sprite.image_path).read_bytes()).numpy()
    return points, labels, sprite, list(embedding.sprite.single_image_dim)


def test_feature_projector_writes_points_labels_and_thumbnails_in_the_same_order(
    make_gan, tiny_images, tmp_path
):
    real = (255 * tiny_images).astype("uint8")
    projector = FeatureProjector(tmp_path, real, labeled, ["even", "odd"], count=7)
    gan = make_gan()
    gan.fit(tiny_images, batch_size=8, callbacks=[projector], verbose=0)
    assert list((tmp_path / "projector").glob("events.*")), "TensorBoard would not look here"
    points, labels, sprite, dims = read(tmp_path / "projector")
    assert labels[0] == "set\tclass"
    assert [label.split("\t")[0] for label in labels[1:]] == ["real"] * 7 + ["generated"] * 7
    assert [label.split("\t")[1] for label in labels[1:4]] == ["even", "odd", "even"]
    np.testing.assert_allclose(points[:7], features(real[:7]), atol=1e-4)
    assert (points.shape, dims, sprite.shape) == ((14, 3), [4, 4], (16, 16, 1))
    thumbnails = sprite.reshape(4, 4, 4, 4).swapaxes(1, 2).reshape(16, 4, 4)
    np.testing.assert_array_equal(thumbnails[:7], real[:7, ..., 0])
    generated = np.rint(255 * gan.sample(7, seed=0)[..., 0])
    np.testing.assert_array_equal(thumbnails[7:14], generated)


def test_feature_projector_writes_no_header_for_one_column(make_gan, tiny_images, tmp_path):
    real = (255 * tiny_images).astype("uint8")
    FeatureProjector(tmp_path, real, features, count=4).write(make_gan())
    assert read(tmp_path / "projector")[1] == ["real"] * 4 + ["generated"] * 4


def test_feature_projector_raises_for_more_images_than_exist(tiny_images, tmp_path):
    real = (255 * tiny_images).astype("uint8")
    with pytest.raises(ValueError, match="count=33, 32 real images"):
        FeatureProjector(tmp_path, real, features, count=33)
