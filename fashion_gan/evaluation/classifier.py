"""Loads and trains the frozen Fashion-MNIST classifier whose features the distances use.

`python -m fashion_gan.evaluation.classifier` trains it again, on the training split only.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fashion_gan.runtime import build_scope

__all__ = ["Classifier", "build_classifier", "load_classifier", "train_classifier"]

WEIGHTS = Path(__file__).parent.parent / "weights/classifier.npz"
SHA256 = "3548155f9383e09bb2e56062d82dbcc4416715573402092734ae71493800a2ec"
EPOCHS, BATCH_SIZE, SEED = 40, 128, 42


class Classifier:
    """Computes features and labels of images.

    Images are uint8 `(n, 28, 28)` or `(n, 28, 28, 1)`, since scores compare images in 8 bits. Use
    `images.to_uint8` to round the output of a generator. The last result is cached, since an
    evaluation and the monitor use the same samples. Its arrays are read-only.
    """

    def __init__(self, network: Any, sha256: str) -> None:
        self.network = network
        self.sha256 = sha256
        self._last: tuple[bytes, tuple[np.ndarray, np.ndarray]] | None = None

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes features float32 `(n, 128)` and labels int64 `(n,)`.

        Raises:
            TypeError: If the images are not uint8.
            ValueError: If the images are not 28 by 28 pixels.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8:
            raise TypeError(f"Expected uint8 images. Received: images.dtype={images.dtype}.")
        if images.shape[1:] not in ((28, 28), (28, 28, 1)):
            raise ValueError(
                "The classifier of Fashion-MNIST takes images (n, 28, 28, 1). "
                f"Received: images.shape={images.shape}. Pass your own features for other images."
            )
        images = np.ascontiguousarray(images.reshape(-1, 28, 28, 1))
        key = hashlib.sha256(images.data).digest()
        if self._last is None or self._last[0] != key:
            self._last = key, self._answer(images)
        return self._last[1]

    def _answer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batches = [
            self._apply(images[start : start + 500].astype("float32") / 255)
            for start in range(0, len(images), 500)
        ]
        features, logits = (np.concatenate(part) for part in zip(*batches, strict=True))
        labels = logits.argmax(axis=1)
        features.flags.writeable = labels.flags.writeable = False
        return features, labels

    @property
    def _apply(self) -> Any:
        return _compiled(self)


@cache
def _compiled(classifier: Classifier) -> Any:
    import tensorflow as tf

    function = tf.function(
        lambda images: classifier.network(images, training=False),
        input_signature=[tf.TensorSpec((None, 28, 28, 1))],
    )
    return lambda images: [output.numpy() for output in function(images)]


def build_classifier() -> Any:
    """Builds a network from images `(n, 28, 28, 1)` in [0, 1] to `[features, logits]`.

    The features are `(n, 128)` and the logits `(n, 10)`.
    """
    import keras
    from keras import layers

    def convolution(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype="float32")(x)
        return layers.ReLU(dtype="float32")(layers.BatchNormalization(dtype="float32")(x))

    inputs = keras.Input((28, 28, 1))
    x = layers.MaxPooling2D(dtype="float32")(convolution(inputs, 32))
    x = layers.MaxPooling2D(dtype="float32")(convolution(convolution(x, 48), 64))
    x = convolution(convolution(x, 96), 96)
    x = layers.Add(dtype="float32")([x, convolution(x, 96)])
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    features = layers.Dense(128, activation="relu", dtype="float32", name="features")(x)
    logits = layers.Dense(10, dtype="float32", name="logits")(
        layers.Dropout(0.3, dtype="float32")(features)
    )
    return keras.Model(inputs, [features, logits], name="classifier")


@cache
def load_classifier(path: str | Path = WEIGHTS, sha256: str | None = SHA256) -> Classifier:
    """Loads the classifier of the package and verifies its hash.

    Args:
        path: Path of the weights, a `.npz` file. Defaults to the file in the package.
        sha256: Expected SHA-256 of the file, or None for your own classifier. Defaults to the hash
            of the package's file.

    Raises:
        ValueError: If the hash of the file differs from `sha256`.
    """
    found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(
            f"{path} has SHA-256 {found}, expected {sha256}: its scores are not comparable. "
            "Install the package again."
        )
    with build_scope(dtype_policy="float32"):
        network = build_classifier()
    with np.load(path, allow_pickle=False) as file:
        network.set_weights([file[f"{i:02d}"] for i in range(len(file.files))])
    return Classifier(network, found)


def train_classifier(path: str | Path = WEIGHTS) -> None:
    """Trains on the 55,000 training images, prints the accuracies, and writes the weights.

    Uses AdamW with a cosine schedule. Images are shifted by up to two pixels, and a patch is erased
    in half of the images. Images are not flipped, since shoes face one way. Nothing is tuned on the
    test images. The weights are rounded to float16, which halves the file.
    """
    import keras
    from keras import layers

    from fashion_gan import data

    keras.utils.set_random_seed(SEED)
    fashion = data.load_fashion_mnist()
    x, y = fashion.train_images / np.float32(255), fashion.train_labels
    network = build_classifier()
    inputs = keras.Input((28, 28, 1))
    changed = layers.RandomTranslation(2 / 28, 2 / 28, fill_mode="constant")(inputs)
    changed = layers.RandomErasing(0.5, (0.02, 0.2), value_range=(0, 1))(changed)
    model = keras.Model(inputs, network(changed)[1])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * -(-len(x) // BATCH_SIZE))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.01), loss, metrics=["accuracy"])
    validation = (fashion.validation_images / np.float32(255), fashion.validation_labels)
    model.fit(x, y, BATCH_SIZE, EPOCHS, verbose=2, validation_data=validation)
    Path(path).parent.mkdir(exist_ok=True)
    weights = (weight.astype("float16") for weight in network.get_weights())
    np.savez(path, **{f"{i:02d}": weight for i, weight in enumerate(weights)})
    classifier = load_classifier(path, None)
    for name in ("validation", "test"):
        _, labels = classifier(getattr(fashion, f"{name}_images"))
        print(f"{name} accuracy {np.mean(labels == getattr(fashion, f'{name}_labels')):.4f}")
    print(f"SHA-256 {classifier.sha256}")


if __name__ == "__main__":
    train_classifier()
