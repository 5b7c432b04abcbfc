"""Tests health signals and issues on cases with known answers."""

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
from helpers import ROOT

from fashion_gan import monitor
from fashion_gan.monitor import (
    COLOR,
    LABELED,
    UNLABELED,
    HealthSignals,
    Issue,
    MonitorState,
    ReferenceSet,
    Thresholds,
    diagnose,
    diversity,
    loss_growth,
    loss_oscillation,
    median_nn_distance,
    mode_rotation,
    sampling_noise,
)
from fashion_gan.monitor.diagnosis import read_thresholds

RESULTS = ROOT / "docs/results"
LIMITS = Thresholds()
BY_MODE = {"labeled": LABELED, "unlabeled": UNLABELED, "color": COLOR}
MEASURED = (
    "class_imbalance",
    "diversity",
    "mode_rotation",
    "loss_oscillation",
    "loss_growth",
    "g_gradient_ratio",
)
NAMES = ("trouser", "sneaker", "bag", "ankle boot")
EVEN = (0.25,) * 4
SHIFT = np.array([6, -3, 0, 0, 1, 0])  # of features, toward one of four groups


def kinds(limits=LIMITS, **signals):
    return [issue.kind for issue in diagnose(HealthSignals(**signals), limits)]


def balance(*shares, neighbor_shares=None, **more):
    """Returns HealthSignals of four equally frequent classes."""
    return {
        "names": NAMES,
        "shares": shares,
        "real_shares": EVEN,
        "neighbor_shares": shares if neighbor_shares is None else neighbor_shares,
        "real_neighbor_shares": EVEN,
        **more,
    }


def test_spread_is_the_median_distance_to_the_nearest_sample():
    np.testing.assert_allclose(
        median_nn_distance([[0.0], [1.0], [3.0], [7.0], [12.0]]), 2.0, rtol=1e-15
    )
    assert median_nn_distance(np.repeat(np.arange(5.0), 2)[:, np.newaxis]) == 0


def test_diversity_is_1_for_equal_sets_the_factor_for_scaled_sets_and_0_for_copies():
    x = np.random.default_rng(0).normal(size=(200, 8))
    np.testing.assert_allclose(diversity(x, x + 3), 1, rtol=1e-12)
    np.testing.assert_allclose(diversity(x, 0.25 * x), 0.25, rtol=1e-12)
    assert diversity(x, x[np.arange(200) % 100]) == 0
    np.testing.assert_allclose(diversity(x, 2 * x[:50]), 2, rtol=1e-12)  # 50 against 50
    np.testing.assert_allclose(diversity(x[:50], 2 * x), 2, rtol=1e-12)
    with pytest.raises(ValueError, match="half of the first 200 are copies. Remove the dup"):
        diversity(x[np.arange(200) % 100], x)


def test_sampling_noise_matches_the_mean_total_variation_of_two_draws():
    shares, count = np.array([0.4, 0.3, 0.2, 0.1]), 500
    rng = np.random.default_rng(0)
    a, b = rng.multinomial(count, shares, (2, 4000)) / count
    np.testing.assert_allclose(
        sampling_noise(shares, count), np.mean(np.abs(a - b).sum(axis=1) / 2), rtol=0.02
    )
    np.testing.assert_allclose(sampling_noise([0.5, 0.5], 100), 0.1 / np.sqrt(np.pi), rtol=1e-14)


def test_rotation_is_the_total_variation_minus_sampling_noise():
    before, now = [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]
    noise = sampling_noise([0.25, 0.5, 0.25], 1000)
    np.testing.assert_allclose(mode_rotation(before, now, 1000), 0.5 - noise, rtol=1e-14)
    assert mode_rotation(before, before, 1000) == 0
    assert mode_rotation([0.5, 0.5], [0.51, 0.49], 1000) == 0  # within chance
    assert 0.008 < mode_rotation([0.5, 0.5], [0.51, 0.49], 100_000) < 0.01
    with pytest.raises(ValueError, match=r"before.shape=\(2,\), now.shape=\(3,\)"):
        mode_rotation([0.5, 0.5], now, 10)


def test_loss_oscillation_is_zero_for_a_linear_trend_and_positive_for_alternation():
    np.testing.assert_allclose(loss_oscillation(np.linspace(1, 5, 10)), 0, atol=1e-12)
    alternating = 2 + 0.8 * (-1.0) ** np.arange(100)
    np.testing.assert_allclose(loss_oscillation(alternating), 0.4, rtol=1e-3)
    np.testing.assert_allclose(
        loss_oscillation(alternating + np.arange(100)), 0.8 / 51.5, rtol=1e-3
    )
    small = 0.02 * (-1.0) ** np.arange(100)  # a loss near 0: in units of log 2
    np.testing.assert_allclose(loss_oscillation(small), 0.02 / np.log(2), rtol=1e-3)
    assert loss_oscillation([1.0, 9.0, 1.0]) == 0
    assert loss_oscillation([1.0, np.nan, 1.0]) == np.inf


def test_loss_growth_is_relative_to_the_start():
    np.testing.assert_allclose(loss_growth([2, 2, 2, 5, 5, 5, 6, 6, 6]), 2, rtol=1e-15)
    np.testing.assert_allclose(loss_growth([2, 2, 1, 1, 1, 1]), -0.5, rtol=1e-15)
    np.testing.assert_allclose(loss_growth([0.0, 0.0, 1.0]), 1 / np.log(2), rtol=1e-15)
    np.testing.assert_allclose(loss_growth([-4.0, 0.0, 4.0]), 2, rtol=1e-15)  # a critic's loss
    assert loss_growth([1.0, 9.0]) == 0
    assert loss_growth([1.0, np.inf]) == np.inf


def test_class_is_missing_when_both_estimates_are_low():
    lost = balance(0.33, 0.01, 0.33, 0.33)
    (issue,) = diagnose(HealthSignals(**lost), LIMITS)
    assert (issue.kind, issue.classes) == ("missing", ("sneaker",))
    assert "sneaker (1.0 % of the samples, 25.0 % of the real images)" in str(issue)
    assert "MinibatchStdDev" in str(issue)
    assert kinds(**balance(0.3, 0.12, 0.29, 0.29)) == []  # halved
    assert (
        kinds(**balance(0.33, 0.01, 0.33, 0.33, neighbor_shares=EVEN)) == []
    )  # only the classifier
    assert kinds(**{**lost, "neighbor_shares": (), "real_neighbor_shares": ()}) == ["missing"]


def test_class_is_never_missing_when_rare_in_the_real_images():
    signals = {"names": NAMES, "shares": (0.0, 0.2, 0.4, 0.4)}
    assert kinds(**signals, real_shares=(0.01, 0.19, 0.4, 0.4)) == []
    assert kinds(**signals, real_shares=(0.02, 0.18, 0.4, 0.4)) == ["missing"]


def test_class_dominates_when_both_estimates_are_high():
    (issue,) = diagnose(HealthSignals(**balance(0.2, 0.2, 0.2, 0.4)), LIMITS)
    assert (issue.kind, issue.classes) == ("dominant", ("ankle boot",))
    assert kinds(**balance(0.21, 0.21, 0.21, 0.37)) == []
    assert kinds(**balance(0.2, 0.2, 0.2, 0.4, neighbor_shares=EVEN)) == []
    assert kinds(names=NAMES, shares=(0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3), real_shares=EVEN) == [
        "dominant"
    ]


def test_issue_lists_the_largest_clusters_and_counts_the_rest():
    names = tuple(f"cluster {i}" for i in range(30))
    real = np.arange(30) / np.arange(30).sum()
    shares = np.where(np.arange(30) < 10, real, 0)
    shares[:15] += (1 - shares.sum()) / 15
    signals = HealthSignals(names, tuple(shares), tuple(real), share_z_scores=(-9.0,) * 30)
    (issue,) = diagnose(signals, UNLABELED)
    assert issue.classes == names[15:]
    assert "cluster 29 (0.0 % of" in issue.text
    assert issue.text.endswith("of the real images), and 12 more.")


def test_issue_lists_the_crowded_clusters():
    limits = dataclasses.replace(UNLABELED, class_imbalance=0.2, missing_class_ratio=0.5)
    shares = {"names": NAMES, "shares": (0.55, 0.15, 0.15, 0.15), "real_shares": EVEN}
    (issue,) = diagnose(HealthSignals(**shares, class_imbalance=0.3), limits)
    assert (issue.kind, issue.classes) == ("unbalanced", ())
    assert "(30 % of the samples are in excess), above all in: trouser (55.0 % of" in issue.text
    assert "sneaker" not in issue.text
    assert kinds(limits, **shares, class_imbalance=0.19) == []


@pytest.mark.parametrize(
    "ill, healthy, kind",
    [
        ({"diversity": 0.49}, {"diversity": 0.51}, "repetitive"),
        ({"mode_rotation": 0.21}, {"mode_rotation": 0.19}, "rotating"),
        ({"loss_oscillation": 0.31}, {"loss_oscillation": 0.29}, "oscillating"),
        ({"loss_growth": 1.51}, {"loss_growth": 1.49}, "diverging"),
        ({"loss_growth": np.inf, "loss_oscillation": np.inf}, {"loss_growth": -0.9}, "diverging"),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 12.0},
            {"d_accuracies": (0.99, 1.0), "logit_gap": 8.0},
            "discriminator saturated",
        ),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 5.0, "g_gradient_ratio": 0.001},
            {"d_accuracies": (0.99, 1.0), "logit_gap": 15.0, "g_gradient_ratio": 0.3},
            "discriminator saturated",
        ),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 12.0},
            {"d_accuracies": (0.9, 1.0), "logit_gap": 12.0},
            "discriminator saturated",
        ),
        (
            {"d_accuracies": (0.52, 0.48), "logit_gap": 0.01},
            {"d_accuracies": (0.52, 0.48), "logit_gap": 0.4},
            "discriminator at chance level",
        ),
        (
            {"d_accuracies": (0.504, 0.499), "logit_gap": 0.01},
            {"d_accuracies": (0.526, 0.499), "logit_gap": 0.02},  # at rest under R1 and R2
            "discriminator at chance level",
        ),
        (
            {"d_accuracies": (0.0, 1.0), "logit_gap": 0.05},
            {"d_accuracies": (0.0, 1.0), "logit_gap": 2.0},  # a relativistic loss shifts both
            "discriminator at chance level",
        ),
        (
            {"d_accuracies": (0.98, 0.02), "logit_gap": -0.05},
            {"d_accuracies": (0.7, 0.4), "logit_gap": 0.05},
            "discriminator at chance level",
        ),
    ],
)
def test_diagnose_reports_each_issue_only_above_its_threshold(ill, healthy, kind):
    (issue,) = diagnose(HealthSignals(**ill), LIMITS)
    assert issue.kind == kind
    assert "What helps: " in str(issue)
    assert kinds(**healthy) == []


def test_diagnose_ignores_missing_signals():
    assert diagnose(HealthSignals()) == ()
    assert kinds(d_accuracies=(1.0, 1.0)) == []


@pytest.fixture(scope="module")
def blobs():
    """Returns 400 images of 8 x 8 in four groups, each bright in another quarter, and labels."""
    labels = np.arange(400) % 4
    quarters = np.eye(4).reshape(4, 2, 2, 1).repeat(4, axis=1).repeat(4, axis=2)
    noise = np.random.default_rng(0).integers(0, 30, (400, 8, 8, 1))
    return (200 * quarters[labels] + noise).astype(np.uint8), labels


def test_reference_set_computes_both_estimates_for_labeled_images(blobs):
    images, labels = blobs
    reference = ReferenceSet(images, images.reshape(400, -1), labels, NAMES)
    assert reference.labeled
    chosen = labels != 1
    wrong = np.zeros(chosen.sum(), int)  # a classifier that says trouser to everything
    signals = reference.signals(images[chosen], images[chosen].reshape(300, -1), wrong)
    assert signals.shares == (1, 0, 0, 0)
    np.testing.assert_allclose(signals.neighbor_shares, (1 / 3, 0, 1 / 3, 1 / 3), rtol=1e-12)
    np.testing.assert_allclose(signals.real_neighbor_shares, EVEN, rtol=1e-12)
    np.testing.assert_allclose(signals.real_shares, EVEN, rtol=1e-12)
    np.testing.assert_allclose(
        signals.class_imbalance,
        0.75 - sampling_noise([0.625, 0.125, 0.125, 0.125], 300),
        rtol=1e-12,
    )
    np.testing.assert_allclose(signals.diversity, 1, atol=0.1)
    assert signals.numbers()["largest_class_share"] == 1
    assert "mode_rotation" not in signals.numbers()


def test_reference_set_uses_clusters_without_labels(blobs):
    images, labels = blobs
    reference = ReferenceSet(images, clusters=4)
    assert not reference.labeled
    issue, unbalanced = diagnose(reference.signals(images[labels != 1]), UNLABELED)
    assert (issue.kind, unbalanced.kind) == ("missing", "unbalanced")
    (name,) = issue.classes
    assert f"{name} (0.0 % of the samples, 25.0 % of the real images)" in str(issue)
    assert name.startswith("cluster ")
    assert diagnose(reference.signals(images[:200]), UNLABELED) == ()


def test_reference_set_gives_each_fake_a_twentieth_of_the_clusters_of_its_nearest_reals():
    rng = np.random.default_rng(1)
    reals, fakes = (rng.integers(0, 256, (n, 3, 3, 1)).astype(np.uint8) for n in (240, 40))
    group = np.arange(240) % 3
    reference = ReferenceSet(reals, np.eye(3)[group], clusters=3)
    groups = [[reference.labels[group == g][0] for g in range(3)].index(c) for c in range(3)]

    def pattern(image):
        for _ in range(3):
            image = scipy.ndimage.uniform_filter(image, 3, mode="nearest")
        return image.ravel()

    def votes(images, first):  # `first` skips the image itself
        correlations = np.corrcoef(
            *([pattern(x[..., 0] / 255) for x in a] for a in (images, reals))
        )
        order = np.argsort(-correlations[: len(images), len(images) :], axis=1, kind="stable")
        near = group[order[:, first : first + 20]]
        return np.stack([(near == g).mean(axis=1) for g in groups], axis=1)

    real, fake = votes(reals, 1), votes(fakes, 0)
    error = np.sqrt(real.var(axis=0, ddof=1) * (1 / 240 + 1 / 40))
    signals = reference.signals(fakes)
    np.testing.assert_allclose(signals.real_shares, real.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(signals.shares, fake.mean(axis=0), rtol=1e-12)
    expected = (fake.mean(axis=0) - real.mean(axis=0)) / error
    np.testing.assert_allclose(signals.share_z_scores, expected, rtol=1e-9)


@pytest.fixture(scope="module")
def colored():
    """Returns 400 color images, and features in four groups that the pixels do not show."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (400, 4, 4, 3)).astype(np.uint8)
    labels = np.arange(400) % 4
    features = 5 * np.eye(6)[labels] + rng.normal(0, 0.5, (400, 6))
    return images, features, labels


def test_color_fakes_are_assigned_by_standardized_features(colored):
    images, features, _ = colored
    reals, fakes, group = features[:300], features[300:] * 1.5 + SHIFT, np.arange(300) % 4
    reference = ReferenceSet(images[:300], reals, clusters=4)
    assert reference.needs_features
    groups = [[reference.labels[group == g][0] for g in range(4)].index(c) for c in range(4)]
    # Standardized in the principal axes.
    _, _, axes = np.linalg.svd(reals - reals.mean(axis=0), full_matrices=False)
    at = (reals - reals.mean(axis=0)) @ axes.T
    moved = (fakes - fakes.mean(axis=0)) @ axes.T
    moved *= at.std(axis=0) / moved.std(axis=0)

    def votes(points, first):
        order = np.argsort(scipy.spatial.distance.cdist(points, at), axis=1)
        near = group[order[:, first : first + 5]]
        return np.stack([(near == g).mean(axis=1) for g in groups], axis=1)

    real, fake = votes(at, 1), votes(moved, 0)
    signals = reference.signals(images[300:], fakes)
    np.testing.assert_allclose(signals.real_shares, real.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(signals.shares, fake.mean(axis=0), rtol=1e-12)


def test_color_fakes_may_lose_a_kind_but_change_in_all_images_alike(colored):
    images, features, labels = colored
    reference = ReferenceSet(images, features, clusters=4)
    assert diagnose(reference.signals(images, 0.7 * features + SHIFT), _only_missing(COLOR)) == ()
    kept = labels != 2
    (lost,) = diagnose(reference.signals(images[kept], features[kept]), _only_missing(COLOR))
    assert lost.classes == (f"cluster {reference.labels[labels == 2][0]}",)


def test_color_fakes_of_one_kind_do_not_spread_over_all(colored):
    images, features, labels = colored
    reference, only = ReferenceSet(images, features, clusters=4), labels == 1
    (lost,) = diagnose(reference.signals(images[only], features[only]), _only_missing(COLOR))
    assert len(lost.classes) == 3


def test_clusters_do_not_change_with_contrast_blur_and_size():
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (400, 4, 4, 3))
    images = coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    reference = ReferenceSet(images)
    shares = [
        reference.signals(changed.astype(np.uint8)).shares
        for changed in (images[:100], 60 + images[:100] // 2, np.roll(images, 1, axis=1)[:100])
    ]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.02)
    np.testing.assert_allclose(shares[2], shares[0], atol=0.05)
    large = ReferenceSet(images.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(large.labels, reference.labels)


def test_reference_set_finds_a_lost_group_that_the_features_separate(blobs):
    images, labels = blobs
    reference = ReferenceSet(images, np.eye(4)[labels] + 0.01 * images[:, 0, 0], clusters=4)
    (lost,) = diagnose(reference.signals(images[labels != 2]), _only_missing(UNLABELED))
    assert lost.classes == (f"cluster {reference.labels[labels == 2][0]}",)


def test_few_random_images_are_no_lost_cluster():
    images = np.random.default_rng(3).integers(0, 256, (300, 4, 4, 1)).astype(np.uint8)
    reference, limits = ReferenceSet(images), _only_missing(UNLABELED)
    ignoring = dataclasses.replace(limits, missing_class_ratio=0.8, missing_z_score=0.0)
    draws = [reference.signals(images[start : start + 20]) for start in range(0, 300, 20)]
    assert sum(bool(diagnose(draw, ignoring)) for draw in draws) >= 10
    assert not any(diagnose(draw, limits) for draw in draws)


def _only_missing(limits):
    return dataclasses.replace(limits, class_imbalance=1.0, diversity=0.0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.zeros((99, 4, 4))}, "at least 100 real images"),
        ({"labels": np.arange(400) % 4}, "Received: only labels"),
        ({"names": NAMES}, "Received: only names"),
        ({"features": np.ones((300, 2))}, "features of 400 real images. Received: 300"),
        ({"labels": np.arange(400) % 5, "names": NAMES}, "labels in 0..3, a name for each"),
    ],
)
def test_reference_set_raises_for_wrong_images(blobs, change, message):
    with pytest.raises(ValueError, match=message):
        ReferenceSet(**{"images": blobs[0], **change})


def test_reference_set_raises_for_fakes_without_labels(blobs):
    images, labels = blobs
    with pytest.raises(ValueError, match="Expected labels of the fakes"):
        ReferenceSet(images, None, labels, NAMES).signals(images)


def test_reference_set_raises_for_color_fakes_without_features(colored):
    images, features, _ = colored
    with pytest.raises(ValueError, match="Expected features of the fakes"):
        ReferenceSet(images, features).signals(images)


LOST = Issue("missing", ("sneaker",), "", "")
LOST_TWO = Issue("missing", ("sneaker", "bag"), "", "")


def test_state_reports_an_issue_once_after_two_checks():
    state = MonitorState()
    reported = [
        bool(state.new_issues(found, patience=2))
        for found in ([LOST], [], [LOST], [LOST], [LOST], [], [LOST])
    ]
    assert reported == [False, False, False, True, False, False, False]
    assert state.active([LOST]) == (LOST,)


def test_state_repeats_an_issue_after_a_pause_or_with_another_class():
    state = MonitorState()
    seen = [[LOST], [LOST], [], [], [LOST], [LOST], [LOST_TWO], [LOST_TWO], [LOST_TWO], [LOST]]
    reported = [state.new_issues(found, patience=2) for found in seen]
    assert [len(news) for news in reported] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 0]
    assert reported[7] == [LOST_TWO]
    assert state.active([]) == ()


def test_state_averages_losses_over_a_window_and_takes_the_maximum_gradient():
    state = MonitorState()
    for epoch in range(6):
        state.record({"d_loss": 1.0, "g_loss": 1.0 + epoch, "g_gradient_norm": 4.0 - epoch / 2}, 6)
        signals = state.add_history(HealthSignals(), {}, 100, 6)
        assert (signals.loss_growth == 0) == (epoch < 5)
    np.testing.assert_allclose(signals.loss_growth, (5.5 - 1.5) / 1.5, rtol=1e-12)
    np.testing.assert_allclose(signals.g_gradient_ratio, 1.5 / 4, rtol=1e-12)
    for loss in (2.0, 2.0, 2.0, 2.0, 6.0, 6.0):
        state.record({"d_loss": 1.0, "g_loss": loss, "g_gradient_norm": 1.0}, 6)
    signals = state.add_history(HealthSignals(), {}, 100, 6)  # the first six epochs are forgotten
    np.testing.assert_allclose((signals.loss_growth, signals.g_gradient_ratio), (2, 1), rtol=1e-12)


def test_state_computes_mode_rotation_and_reads_the_logs():
    state = MonitorState()
    logs = {"d_accuracy_real": 0.9, "d_accuracy_fake": 0.8, "d_logit_real": 3, "d_logit_fake": -1}
    first = state.add_history(HealthSignals(shares=(1.0, 0.0)), logs, 1000, 10)
    assert first.mode_rotation == 0
    assert first.d_accuracies == (0.9, 0.8)
    np.testing.assert_allclose(first.logit_gap, 4, rtol=1e-15)
    second = state.add_history(HealthSignals(shares=(0.0, 1.0)), {}, 1000, 10)
    np.testing.assert_allclose(
        second.mode_rotation, mode_rotation([1, 0], [0, 1], 1000), rtol=1e-15
    )
    assert second.d_accuracies is None


def test_state_is_restored_from_json():
    state = MonitorState()
    state.record({"g_loss": float("nan"), "d_loss": 0.1}, 10)
    state.new_issues([LOST_TWO], 1)
    again = MonitorState(**json.loads(json.dumps(dataclasses.asdict(state))))
    assert again.new_issues([LOST_TWO], 1) == []
    assert again.add_history(HealthSignals(), {}, 100, 10).loss_growth == np.inf


def _fitted(mode):
    """Returns the fitted thresholds of a mode in the committed results."""
    if mode == "color":
        return json.loads((RESULTS / "mode-collapse-color.json").read_text())["thresholds"]
    return json.loads((RESULTS / "mode-collapse.json").read_text())[mode]["thresholds"]


@pytest.mark.parametrize("mode", BY_MODE)
def test_thresholds_match_the_committed_results(mode):
    for name, value in _fitted(mode).items():
        assert getattr(BY_MODE[mode], name) == value


@pytest.mark.parametrize("mode, detection", [("labeled", 0.95), ("unlabeled", 0.84)])
def test_committed_results_have_few_false_alarms(mode, detection):
    results = json.loads((RESULTS / "mode-collapse.json").read_text())[mode]["reported"]
    assert results["false_alarms"] <= 0.02
    assert results["detection"] >= detection
    assert results["collapsed"] + results["healthy"] >= 100


@pytest.mark.parametrize(
    "name, detection, false_alarms", [("Twitter emoji", 0.95, 0.02), ("Pokemon sprites", 0.6, 0.03)]
)
def test_committed_results_of_color_images_have_few_false_alarms(name, detection, false_alarms):
    report = json.loads((RESULTS / "mode-collapse-color.json").read_text())
    results = report["collections"][name]["reported"]
    assert results["false_alarms"] <= false_alarms
    assert results["detection"] >= detection
    assert results["collapsed"] + results["healthy"] >= 100


def test_read_thresholds_fills_in_the_defaults(tmp_path):
    path = tmp_path / "thresholds.json"
    path.write_text(
        '{"labeled": {"missing_class_ratio": 0.5, "dominant": 1}, "unlabeled": {}, "color": {}}'
    )
    limits = read_thresholds(path)
    assert limits == {
        "labeled": Thresholds(missing_class_ratio=0.5, dominant=1),
        "unlabeled": Thresholds(),
        "color": Thresholds(),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "Received: []. Install"),
        ('{"labeled": {}}', 'Received: {"labeled": {}}. Install'),
        ('{"labeled": {}, "unlabeled": {}, "color": {}, "other": {}}', '"other": {}}. Install'),
        ('{"labeled": [], "unlabeled": {}, "color": {}}', "labeled thresholds []"),
        (
            '{"labeled": {"vanish": 1}, "unlabeled": {}, "color": {}}',
            "labeled thresholds ['vanish']",
        ),
        (
            '{"labeled": {}, "unlabeled": {"saturated_accuracy": "1"}, "color": {}}',
            "unlabeled threshold saturated_accuracy='1'",
        ),
        (
            '{"labeled": {}, "unlabeled": {"saturated_accuracy": true}, "color": {}}',
            "unlabeled threshold saturated_accuracy=True",
        ),
        (
            '{"labeled": {}, "unlabeled": {"saturated_accuracy": NaN}, "color": {}}',
            "unlabeled threshold saturated_accuracy=nan",
        ),
        (
            '{"labeled": {}, "unlabeled": {"saturated_accuracy": Infinity}, "color": {}}',
            "unlabeled threshold saturated_accuracy=inf",
        ),
        (
            '{"labeled": {}, "unlabeled": {"saturated_accuracy": -1}, "color": {}}',
            "unlabeled threshold saturated_accuracy=-1",
        ),
    ],
)
def test_read_thresholds_raises_for_other_content(tmp_path, content, message):
    path = tmp_path / "thresholds.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"Expected .*json to hold .* Install") as caught:
        read_thresholds(path)
    assert message in str(caught.value)


def test_benchmark_writes_the_thresholds_that_the_library_reads(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/mode_collapse"))
    quality = importlib.import_module("fit_thresholds")
    assert Path(monitor.__file__).parent / "thresholds.json" == quality.THRESHOLDS
    committed = quality.THRESHOLDS.read_text()
    monkeypatch.setattr(quality, "THRESHOLDS", tmp_path / "thresholds.json")
    quality.THRESHOLDS.write_text(json.dumps(dict.fromkeys(BY_MODE, {})))
    for mode in BY_MODE:
        quality.write_thresholds({mode: _fitted(mode)})
    assert quality.THRESHOLDS.read_text() == committed
    assert read_thresholds(quality.THRESHOLDS) == BY_MODE


def test_monitor_page_lists_every_metric():
    page = (ROOT / "docs/monitor.md").read_text()
    for name in HealthSignals(shares=EVEN, **dict.fromkeys(MEASURED, 0.0)).numbers():
        assert f"`{name}`" in page
