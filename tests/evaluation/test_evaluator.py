"""Tests scores: their order for degraded images, and their record."""

import json
import re

import keras
import numpy as np
import psutil
import pytest
from helpers import ROOT

from fashion_gan import data, evaluation, metrics
from fashion_gan.callbacks import EvaluateGAN, JSONLogger
from fashion_gan.evaluation import report
from fashion_gan.evaluation.classifier import WEIGHTS

COUNT = 1000
QUICK = evaluation.EvalConfig(count=COUNT, kernel_subsets=10, kernel_size=250, bins=20)


@pytest.fixture(scope="module")
def fashion():
    return data.load_fashion_mnist()


@pytest.fixture(scope="module")
def evaluator(fashion):
    return evaluation.Evaluator(
        fashion.test_images,
        fashion.train_images[:5000],
        evaluation.load_classifier(),
        data.CLASS_NAMES,
        QUICK,
    )


@pytest.fixture(scope="module")
def scores(fashion, evaluator):
    """Returns scores of unseen training images, intact and degraded."""
    images, labels = fashion.train_images[10_000:40_000], fashion.train_labels[10_000:40_000]
    rng = np.random.default_rng(0)

    def without(*classes):
        return images[~np.isin(labels, classes)][:COUNT]

    def noisy(deviation):
        noise = rng.normal(0, deviation, (COUNT, 28, 28, 1))
        return np.clip(images[:COUNT] + noise, 0, 255).astype("uint8")

    def blurred(width):
        x = images[:COUNT].astype(float)
        for axis in (1, 2):
            x = np.mean([np.roll(x, s, axis) for s in range(-width, width + 1)], axis=0)
        return x.astype("uint8")

    sets = {
        "real": images[:COUNT],
        "2 classes removed": without(7, 9),
        "4 classes removed": without(5, 7, 8, 9),
        "noise 40": noisy(40),
        "noise 120": noisy(120),
        "blur 2": blurred(2),
        "blur 4": blurred(4),
        "copies": fashion.train_images[:COUNT],
        "one image": np.repeat(images[:1], COUNT, axis=0),
    }
    return {name: evaluator(images) for name, images in sets.items()}


@pytest.mark.parametrize("space", ["", "pixel_"])
@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance"])
@pytest.mark.parametrize(
    "chain",
    [
        ["real", "2 classes removed", "4 classes removed", "one image"],
        ["real", "noise 40", "noise 120"],
        ["real", "blur 2", "blur 4"],
    ],
    ids=["classes", "noise", "blur"],
)
def test_evaluator_distances_grow_with_the_damage(scores, space, name, chain):
    values = [scores[kind][space + name] for kind in chain]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_evaluator_coverage_and_recall_fall_with_missing_classes(scores):
    for name in ("coverage", "recall", "pixel_recall"):
        values = [scores[kind][name] for kind in ("4 classes removed", "2 classes removed", "real")]
        assert values == sorted(values)
        assert values[0] < values[-1] - 0.1


def test_evaluator_lists_missing_classes(scores):
    assert scores["real"]["missing_classes"] == []
    assert scores["2 classes removed"]["missing_classes"] == ["Sneaker", "Ankle boot"]
    assert scores["real"]["class_total_variation"] < 0.05
    assert scores["4 classes removed"]["class_total_variation"] > 0.35
    assert sum(scores["real"]["class_shares"].values()) == pytest.approx(1)


def test_memorization_ratio_is_0_for_copies_of_training_images(scores):
    assert scores["copies"]["memorization_ratio"] == 0
    assert 0.8 < scores["real"]["memorization_ratio"] < 1.2


def test_evaluator_ignores_the_order_of_images(fashion, evaluator, scores):
    order = np.random.default_rng(1).permutation(COUNT)
    again = evaluator(fashion.train_images[10_000 : 10_000 + COUNT][order])
    for name in ("frechet_distance", "coverage", "ndb", "class_entropy", "pixel_recall"):
        assert again[name] == pytest.approx(scores["real"][name], rel=1e-6)


def test_evaluator_omits_class_scores_without_labels(fashion):
    plain = evaluation.Evaluator(
        fashion.test_images,
        fashion.train_images[:5000],
        lambda images: images.reshape(len(images), -1)[:, ::8].astype(float),
        protocol=evaluation.EvalConfig(count=1000, kernel_subsets=2, kernel_size=100, bins=0),
    )
    scores = plain(fashion.train_images[:1000])
    assert "frechet_distance" in scores
    assert not [name for name in scores if "class" in name]
    assert not {"ndb", "memorization_ratio"} & set(scores)


def test_evaluator_raises_for_wrong_counts(fashion, evaluator):
    with pytest.raises(ValueError, match=r"Expected images of shape \(1000, 28, 28, 1\)"):
        evaluator(fashion.test_images[:999])
    with pytest.raises(ValueError, match="needs 10,000 real images. Received: 5,000"):
        evaluation.Evaluator(
            fashion.validation_images, fashion.train_images, evaluation.load_classifier()
        )


def test_evaluators_raise_for_fewer_images_than_features(fashion):
    few = evaluation.EvalConfig(count=128, kernel_size=128)
    with pytest.raises(ValueError, match="128 features need at least 129 images.* count=128"):
        evaluation.fashion_mnist_evaluator(few, images=fashion)


def test_image_evaluator_uses_half_as_many_components_as_images(fashion):
    for count, components in ((37, 18), (128, 64), (1_000, 64)):
        measure = evaluation.image_evaluator(fashion, evaluation.EvalConfig(count=count, bins=0))
        assert measure.reference_stats.pixels.samples.shape == (count, components)


def test_evaluator_kernel_distance_has_no_deviation_for_one_subset(fashion):
    every = evaluation.EvalConfig(count=100, kernel_size=100, bins=0)
    judge = evaluation.Evaluator(
        fashion.test_images, fashion.train_images[:500], None, protocol=every
    )
    scores = judge(fashion.train_images[500:600])
    assert "pixel_kernel_distance" in scores and "pixel_kernel_distance_std" not in scores


def test_classifier_reaches_the_documented_accuracy(fashion, tmp_path):
    classifier = evaluation.load_classifier()
    assert WEIGHTS.stat().st_size < 1e6
    outputs, labels = classifier(fashion.test_images)
    assert (outputs.shape, outputs.dtype) == ((10_000, 128), np.float32)
    assert np.mean(labels == fashion.test_labels) >= 0.93
    halves = [classifier(part)[0] for part in np.split(fashion.test_images[:600], 2)]
    np.testing.assert_allclose(np.concatenate(halves), outputs[:600], rtol=0, atol=1e-4)


def test_classifier_caches_outputs_only_for_the_same_images(fashion):
    classifier = evaluation.load_classifier()
    images = fashion.test_images[:20]
    first = classifier(images)
    assert classifier(images.copy()) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0][0] = 0
    other = images.copy()
    other[7] = 0
    outputs, _ = classifier(other)
    assert np.abs(outputs[7] - first[0][7]).max() > 0.1
    np.testing.assert_allclose(np.delete(outputs - first[0], 7, axis=0), 0, atol=1e-4)


def test_load_classifier_raises_for_a_wrong_file(tmp_path):
    (tmp_path / "classifier.npz").write_bytes(WEIGHTS.read_bytes() + b" ")
    with pytest.raises(ValueError, match="has SHA-256 .*expected .*Install the package again"):
        evaluation.load_classifier(tmp_path / "classifier.npz")


def test_classifier_raises_for_wrong_images():
    with pytest.raises(TypeError, match="uint8"):
        evaluation.load_classifier()(np.zeros((2, 28, 28, 1)))
    with pytest.raises(ValueError, match=r"\(n, 28, 28, 1\)"):
        evaluation.load_classifier()(np.zeros((2, 32, 32, 3), "uint8"))


@pytest.mark.parametrize("space", ["", "pixel_"])
@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance"])
def test_evaluator_ranks_dense_between_a_missing_class_and_an_untrained_generator(space, name):
    record = json.loads((ROOT / "docs/results/dense-scores.json").read_text())
    scores = [scores[space + name] for scores in record["scores"].values()]
    book, real, one_missing, *_ = scores
    untrained = record["scores"]["untrained generator"][space + name]
    assert abs(real) < one_missing < book < untrained


@pytest.mark.slow
def test_evaluator_needs_no_more_memory_after_60_evaluations(make_gan, fashion):
    gan = make_gan(image_shape=(28, 28, 1))
    small = evaluation.EvalConfig(count=300, kernel_subsets=2, kernel_size=100, bins=5)
    judge = evaluation.Evaluator(
        fashion.test_images,
        fashion.train_images[:2000],
        evaluation.load_classifier(),
        protocol=small,
    )
    sizes = []
    for _ in range(60):
        judge(judge.sample(gan))
        sizes.append(psutil.Process().memory_info().rss)
    assert sizes[59] < 1.02 * sizes[19]


class Ruler:
    """Measures the mean brightness."""

    def evaluate(self, gan):
        mean = gan.sample(8, seed=0).mean()
        return {"mean": mean, "missing_classes": ["a"], "class_shares": {"Ankle boot": 1}}


def test_evaluate_gan_logs_scores_in_its_epochs(make_gan, tiny_images, tmp_path):
    gan, file = make_gan(), JSONLogger(tmp_path / "metrics.jsonl")
    callbacks = [EvaluateGAN(Ruler(), eval_freq=2, prefix="quick_"), file]
    logs = gan.fit(tiny_images, batch_size=8, epochs=5, callbacks=callbacks, verbose=0).history
    assert logs["quick_missing_classes"] == [1, 1, 1]
    assert logs["share_ankle_boot"] == [1, 1, 1]
    assert len(logs["quick_mean"]) == 3
    assert logs["quick_mean"][-1] == pytest.approx(gan.sample(8, seed=0).mean())
    assert ["quick_mean" in line for line in file.filename.read_text().splitlines()] == [
        False,
        True,
        False,
        True,
        True,  # the last epoch
    ]
    with pytest.raises(ValueError, match="eval_freq=0"):
        EvaluateGAN(Ruler(), eval_freq=0)


def test_keras_callbacks_monitor_the_scores_of_evaluate_gan(make_gan, tiny_images, tmp_path):
    class Falling(Ruler):
        values = iter([3.0, 1.0, 2.0, 4.0, 5.0])

        def evaluate(self, gan):
            return {"frechet_distance": next(self.values)}

    watched = {"monitor": "frechet_distance", "mode": "min"}
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", save_best_only=True, save_weights_only=True, **watched
    )
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True, **watched)
    gan, weights = make_gan(), []
    after = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(gan.generator.get_weights())
    )
    callbacks = [EvaluateGAN(Falling()), best, stop, after]
    gan.fit(tiny_images, batch_size=8, epochs=5, callbacks=callbacks, verbose=0)
    assert len(weights) == 4, "two epochs after the best one, the second, it stops"
    other = make_gan(seed=1)
    other.load_weights(tmp_path / "best.weights.h5")
    for network in (gan.generator, other.generator):
        for ours, theirs in zip(network.get_weights(), weights[1], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_evaluator_samples_a_gan_by_the_seed_of_the_protocol(make_gan, evaluator):
    gan = make_gan(image_shape=(28, 28, 1))
    samples = evaluator.sample(gan)
    assert (samples.shape, samples.dtype) == ((COUNT, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(samples, evaluator.sample(gan))
    scores = evaluator(samples)
    assert scores["frechet_distance"] > 0
    assert metrics.class_balance(np.zeros(3, int), 10).total_variation == pytest.approx(0.9)


def test_baselines_are_damaged_training_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 9, 7, 3), np.uint8)
    sets = evaluation.baselines(images, np.arange(60) % 3, 40)
    assert {pictures.shape for pictures in sets.values()} == {(40, 9, 7, 3)}
    known = {image.tobytes() for image in images}
    assert all(image.tobytes() in known for image in sets["training images"])
    third = {image.tobytes() for image in images[2::3]}
    assert not any(image.tobytes() in third for image in sets["a class removed"])
    assert len({image.tobytes() for image in sets["a twentieth repeated"]}) == 2
    offsets = np.arange(-3, 4)
    weights = np.exp(-(offsets**2) / 2)
    weights /= weights.sum()
    padded = np.pad(sets["training images"].astype(float), ((0, 0), (3, 3), (3, 3), (0, 0)), "edge")
    expected = sum(
        v * w * padded[:, 3 + i : 12 + i, 3 + j : 10 + j]
        for i, v in zip(offsets, weights, strict=True)
        for j, w in zip(offsets, weights, strict=True)
    )
    np.testing.assert_allclose(sets["blurred"], expected, atol=0.51)


def test_baselines_need_as_many_images_as_are_measured():
    with pytest.raises(ValueError, match="at least 5 training images. Received: 4"):
        evaluation.baselines(np.zeros((4, 4, 4, 1), np.uint8), None, 5)


@pytest.mark.parametrize(
    ("score", "place"),
    [
        (1.9, 'worse than "training images" (0.8) and better than "blurred" (3.1)'),
        (9.5, 'worse than "blurred" (3.1)'),
    ],
)
def test_place_among_baselines_names_the_neighbors(score, place):
    scores = {"blurred": 3.1, "mine": score, "training images": 0.8}
    record = {"watched_score": "d", "scores": {n: {"d": scores[n]} for n in sorted(scores)[::-1]}}
    record["scores"] = {"mine": {"d": score}, **record["scores"]}
    assert report.place_among_baselines(record) == f"d of mine: {score}, {place}."


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (
            {"mine": 0.4, "training images": 0.9},
            "coverage of mine: 0.40, .* 0.90. .*collapse",
        ),
        ({"mine": 0.5, "training images": 0.9}, "$"),
        ({"mine": 0.1}, "coverage of mine: 0.10. The samples lack .*collapse"),
        ({"mine": 0.2}, "$"),
        ({"mine": None, "training images": 0.9}, "$"),
    ],
)
def test_describe_low_coverage_compares_with_training_images(scores, said):
    sets = {name: {} if value is None else {"coverage": value} for name, value in scores.items()}
    assert re.match(said, report.describe_low_coverage({"scores": sets}))


def test_evaluator_computes_the_scores_listed_by_an_extractor(fashion):
    class Extractor:
        scores = ("kernel_distance", "recall")

        def __call__(self, images):
            return images.reshape(len(images), -1)[:, ::2].astype(float) / 255

    protocol = evaluation.EvalConfig(count=100, kernel_size=None, kernel_subsets=4, bins=0)
    train = fashion.train_images[:300]
    evaluator = evaluation.Evaluator(fashion.test_images, train, Extractor(), protocol=protocol)
    scores = evaluator(fashion.train_images[300:400])  # fewer images than features
    plain = {name for name in scores if not name.startswith("pixel_")}
    assert plain == {"kernel_distance", "kernel_distance_std", "recall"}
    assert evaluator.watched_score == "kernel_distance"
