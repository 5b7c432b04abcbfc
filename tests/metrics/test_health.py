"""Signs of health, and what is found by them: every number on a case with a known answer."""

import dataclasses
import importlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from fashion_gan import metrics
from fashion_gan.metrics import (
    LABELLED,
    UNLABELLED,
    Finding,
    Memory,
    Reference,
    Signs,
    Thresholds,
    diagnose,
    diversity,
    oscillation,
    rise,
    rotation,
    sampling_noise,
    spread,
)
from fashion_gan.metrics.diagnosis import read_thresholds

ROOT = Path(__file__).parent.parent.parent
LIMITS = Thresholds()
MEASURED = ("imbalance", "diversity", "rotation", "oscillation", "rise", "gradient")
NAMES = ("trouser", "sneaker", "bag", "ankle boot")
EVEN = (0.25,) * 4


def kinds(limits=LIMITS, **signs):
    return [finding.kind for finding in diagnose(Signs(**signs), limits)]


def balance(*shares, nearby=None, **more):
    """Signs of four classes of which a quarter of the reals each is."""
    return {
        "names": NAMES,
        "shares": shares,
        "real_shares": EVEN,
        "nearby": shares if nearby is None else nearby,
        "real_nearby": EVEN,
        **more,
    }


def test_spread_is_the_median_distance_to_the_next_sample():
    np.testing.assert_allclose(spread([[0.0], [1.0], [3.0], [7.0], [12.0]]), 2.0, rtol=1e-15)
    assert spread(np.repeat(np.arange(5.0), 2)[:, np.newaxis]) == 0


def test_diversity_is_one_for_alike_sets_the_factor_for_shrunk_ones_and_zero_for_copies():
    x = np.random.default_rng(0).normal(size=(200, 8))
    np.testing.assert_allclose(diversity(x, x + 3), 1, rtol=1e-12)
    np.testing.assert_allclose(diversity(x, 0.25 * x), 0.25, rtol=1e-12)
    assert diversity(x, x[np.arange(200) % 100]) == 0
    np.testing.assert_allclose(diversity(x, 2 * x[:50]), 2, rtol=1e-12)  # 50 against 50
    np.testing.assert_allclose(diversity(x[:50], 2 * x), 2, rtol=1e-12)
    with pytest.raises(ValueError, match="half of the first 200 are copies. Remove the dup"):
        diversity(x[np.arange(200) % 100], x)


def test_sampling_noise_is_the_mean_total_variation_of_two_draws():
    shares, count = np.array([0.4, 0.3, 0.2, 0.1]), 500
    rng = np.random.default_rng(0)
    a, b = rng.multinomial(count, shares, (2, 4000)) / count
    np.testing.assert_allclose(
        sampling_noise(shares, count), np.mean(np.abs(a - b).sum(axis=1) / 2), rtol=0.02
    )
    np.testing.assert_allclose(sampling_noise([0.5, 0.5], 100), 0.1 / np.sqrt(np.pi), rtol=1e-14)


def test_rotation_is_total_variation_less_what_chance_explains():
    before, now = [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]
    noise = sampling_noise([0.25, 0.5, 0.25], 1000)
    np.testing.assert_allclose(rotation(before, now, 1000), 0.5 - noise, rtol=1e-14)
    assert rotation(before, before, 1000) == 0
    assert rotation([0.5, 0.5], [0.51, 0.49], 1000) == 0  # within chance
    assert 0.008 < rotation([0.5, 0.5], [0.51, 0.49], 100_000) < 0.01
    with pytest.raises(ValueError, match=r"before.shape=\(2,\), now.shape=\(3,\)"):
        rotation([0.5, 0.5], now, 10)


def test_oscillation_ignores_a_straight_line_and_measures_what_alternates():
    np.testing.assert_allclose(oscillation(np.linspace(1, 5, 10)), 0, atol=1e-12)
    alternating = 2 + 0.8 * (-1.0) ** np.arange(100)
    np.testing.assert_allclose(oscillation(alternating), 0.4, rtol=1e-3)
    np.testing.assert_allclose(oscillation(alternating + np.arange(100)), 0.8 / 51.5, rtol=1e-3)
    small = 0.02 * (-1.0) ** np.arange(100)  # a loss near 0: in units of log 2
    np.testing.assert_allclose(oscillation(small), 0.02 / np.log(2), rtol=1e-3)
    assert oscillation([1.0, 9.0, 1.0]) == 0
    assert oscillation([1.0, np.nan, 1.0]) == np.inf


def test_rise_is_the_growth_in_units_of_the_start():
    np.testing.assert_allclose(rise([2, 2, 2, 5, 5, 5, 6, 6, 6]), 2, rtol=1e-15)
    np.testing.assert_allclose(rise([2, 2, 1, 1, 1, 1]), -0.5, rtol=1e-15)
    np.testing.assert_allclose(rise([0.0, 0.0, 1.0]), 1 / np.log(2), rtol=1e-15)
    np.testing.assert_allclose(rise([-4.0, 0.0, 4.0]), 2, rtol=1e-15)  # a critic's loss
    assert rise([1.0, 9.0]) == 0
    assert rise([1.0, np.inf]) == np.inf


def test_a_class_has_vanished_only_if_both_witnesses_miss_it():
    lost = balance(0.33, 0.01, 0.33, 0.33)
    (finding,) = diagnose(Signs(**lost), LIMITS)
    assert (finding.kind, finding.classes) == ("vanished", ("sneaker",))
    assert "sneaker (1.0 % of the samples, 25.0 % of the real images)" in str(finding)
    assert "minibatch standard deviation" in str(finding)
    assert kinds(**balance(0.3, 0.12, 0.29, 0.29)) == []  # halved
    assert kinds(**balance(0.33, 0.01, 0.33, 0.33, nearby=EVEN)) == []  # only the classifier
    assert kinds(**{**lost, "nearby": (), "real_nearby": ()}) == ["vanished"]


def test_a_class_that_is_small_in_the_reals_cannot_vanish():
    signs = {"names": NAMES, "shares": (0.0, 0.2, 0.4, 0.4)}
    assert kinds(**signs, real_shares=(0.01, 0.19, 0.4, 0.4)) == []
    assert kinds(**signs, real_shares=(0.02, 0.18, 0.4, 0.4)) == ["vanished"]


def test_a_class_dominates_by_what_it_has_beyond_the_reals_to_both_witnesses():
    (finding,) = diagnose(Signs(**balance(0.2, 0.2, 0.2, 0.4)), LIMITS)
    assert (finding.kind, finding.classes) == ("dominant", ("ankle boot",))
    assert kinds(**balance(0.21, 0.21, 0.21, 0.37)) == []
    assert kinds(**balance(0.2, 0.2, 0.2, 0.4, nearby=EVEN)) == []
    assert kinds(names=NAMES, shares=(0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3), real_shares=EVEN) == [
        "dominant"
    ]


def test_of_many_clusters_the_largest_are_listed_and_the_rest_counted():
    names = tuple(f"cluster {i}" for i in range(30))
    real = np.arange(30) / np.arange(30).sum()
    shares = np.where(np.arange(30) < 10, real, 0)
    shares[:15] += (1 - shares.sum()) / 15
    (finding,) = diagnose(Signs(names, tuple(shares), tuple(real)), UNLABELLED)
    assert finding.classes == names[15:]
    assert "cluster 29 (0.0 % of" in finding.text
    assert finding.text.endswith("of the real images), and 6 more.")


def test_clusters_are_unbalanced_together_and_the_crowded_ones_are_named():
    limits = dataclasses.replace(UNLABELLED, imbalance=0.2)
    shares = {"names": NAMES, "shares": (0.55, 0.15, 0.15, 0.15), "real_shares": EVEN}
    (finding,) = diagnose(Signs(**shares, imbalance=0.3), limits)
    assert (finding.kind, finding.classes) == ("unbalanced", ())
    assert "30% of the samples are too many in some places: trouser (55.0 % of" in finding.text
    assert "sneaker" not in finding.text
    assert kinds(limits, **shares, imbalance=0.19) == []


@pytest.mark.parametrize(
    "ill, healthy, kind",
    [
        ({"diversity": 0.49}, {"diversity": 0.51}, "repetitive"),
        ({"rotation": 0.21}, {"rotation": 0.19}, "rotating"),
        ({"oscillation": 0.31}, {"oscillation": 0.29}, "oscillating"),
        ({"rise": 1.51}, {"rise": 1.49}, "diverging"),
        ({"rise": np.inf, "oscillation": np.inf}, {"rise": -0.9}, "diverging"),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 12.0},
            {"d_accuracies": (0.99, 1.0), "logit_gap": 8.0},
            "discriminator won",
        ),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 5.0, "gradient": 0.001},
            {"d_accuracies": (0.99, 1.0), "logit_gap": 15.0, "gradient": 0.3},
            "discriminator won",
        ),
        (
            {"d_accuracies": (0.99, 1.0), "logit_gap": 12.0},
            {"d_accuracies": (0.9, 1.0), "logit_gap": 12.0},
            "discriminator won",
        ),
        (
            {"d_accuracies": (0.52, 0.48), "logit_gap": 0.01},
            {"d_accuracies": (0.52, 0.48), "logit_gap": 0.4},
            "discriminator blind",
        ),
        (
            {"d_accuracies": (0.504, 0.499), "logit_gap": 0.01},
            {"d_accuracies": (0.526, 0.499), "logit_gap": 0.02},  # at rest under R1 and R2
            "discriminator blind",
        ),
        (
            {"d_accuracies": (0.0, 1.0), "logit_gap": 0.05},
            {"d_accuracies": (0.0, 1.0), "logit_gap": 2.0},  # a relativistic loss shifts both
            "discriminator blind",
        ),
        (
            {"d_accuracies": (0.98, 0.02), "logit_gap": -0.05},
            {"d_accuracies": (0.7, 0.4), "logit_gap": 0.05},
            "discriminator blind",
        ),
    ],
)
def test_each_finding_fires_when_ill_and_not_on_its_healthy_neighbour(ill, healthy, kind):
    (finding,) = diagnose(Signs(**ill), LIMITS)
    assert finding.kind == kind
    assert "What helps: " in str(finding)
    assert kinds(**healthy) == []


def test_what_was_not_measured_says_nothing():
    assert diagnose(Signs()) == ()
    assert kinds(d_accuracies=(1.0, 1.0)) == []


@pytest.fixture(scope="module")
def blobs():
    """400 images of 4 by 4 in four groups of one brightness, and their labels."""
    labels = np.arange(400) % 4
    noise = np.random.default_rng(0).integers(0, 30, (400, 4, 4, 1))
    return (60 * labels[:, np.newaxis, np.newaxis, np.newaxis] + noise).astype(np.uint8), labels


def test_signs_of_labelled_images_have_the_shares_of_both_witnesses(blobs):
    images, labels = blobs
    reference = Reference(images, images.reshape(400, -1), labels, NAMES)
    assert reference.labelled
    chosen = labels != 1
    wrong = np.zeros(chosen.sum(), int)  # a classifier that says trouser to everything
    signs = reference.signs(images[chosen], images[chosen].reshape(300, -1), wrong)
    assert signs.shares == (1, 0, 0, 0)
    np.testing.assert_allclose(signs.nearby, (1 / 3, 0, 1 / 3, 1 / 3), rtol=1e-12)
    np.testing.assert_allclose(signs.real_nearby, EVEN, rtol=1e-12)
    np.testing.assert_allclose(signs.real_shares, EVEN, rtol=1e-12)
    np.testing.assert_allclose(
        signs.imbalance, 0.75 - sampling_noise([0.625, 0.125, 0.125, 0.125], 300), rtol=1e-12
    )
    np.testing.assert_allclose(signs.diversity, 1, atol=0.1)
    assert signs.numbers()["largest_class_share"] == 1
    assert "rotation" not in signs.numbers()


def test_without_labels_clusters_of_the_reals_stand_in_and_say_so(blobs):
    images, labels = blobs
    reference = Reference(images, clusters=4)
    assert not reference.labelled
    finding, unbalanced = diagnose(reference.signs(images[labels != 1]), UNLABELLED)
    assert (finding.kind, unbalanced.kind) == ("vanished", "unbalanced")
    (name,) = finding.classes
    assert f"{name} (0.0 % of the samples, 25.0 % of the real images)" in str(finding)
    assert name.startswith("cluster ")
    assert diagnose(reference.signs(images[:200]), UNLABELLED) == ()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.zeros((99, 4, 4))}, "at least 100 real images"),
        ({"labels": np.arange(400) % 4}, "labels alone"),
        ({"names": NAMES}, "names alone"),
        ({"features": np.ones((300, 2))}, "features of 400 real images. Received: 300"),
        ({"labels": np.arange(400) % 5, "names": NAMES}, "labels in 0..3, a name for each"),
    ],
)
def test_a_reference_says_what_it_needs(blobs, change, message):
    with pytest.raises(ValueError, match=message):
        Reference(**{"images": blobs[0], **change})


def test_fakes_have_to_come_with_labels_if_the_reals_did(blobs):
    images, labels = blobs
    with pytest.raises(ValueError, match="Expected labels of the fakes"):
        Reference(images, None, labels, NAMES).signs(images)


LOST = Finding("vanished", ("sneaker",), "", "")
LOST_TWO = Finding("vanished", ("sneaker", "bag"), "", "")


def test_news_is_what_was_seen_twice_in_a_row_and_is_told_once():
    memory = Memory()
    told = [
        bool(memory.news(found, patience=2))
        for found in ([LOST], [], [LOST], [LOST], [LOST], [], [LOST])
    ]
    assert told == [False, False, False, True, False, False, False]
    assert memory.standing([LOST]) == (LOST,)


def test_it_is_news_again_once_it_was_away_or_with_a_further_class():
    memory = Memory()
    seen = [[LOST], [LOST], [], [], [LOST], [LOST], [LOST_TWO], [LOST_TWO], [LOST_TWO], [LOST]]
    told = [memory.news(found, patience=2) for found in seen]
    assert [len(news) for news in told] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 0]
    assert told[7] == [LOST_TWO]
    assert memory.standing([]) == ()


def test_losses_are_judged_by_a_whole_window_and_the_gradient_by_its_largest():
    memory = Memory()
    for epoch in range(6):
        memory.note({"d_loss": 1.0, "g_loss": 1.0 + epoch, "g_gradient_norm": 4.0 - epoch / 2}, 6)
        signs = memory.complete(Signs(), {}, 100, 6)
        assert (signs.rise == 0) == (epoch < 5)
    np.testing.assert_allclose(signs.rise, (5.5 - 1.5) / 1.5, rtol=1e-12)
    np.testing.assert_allclose(signs.gradient, 1.5 / 4, rtol=1e-12)
    for loss in (2.0, 2.0, 2.0, 2.0, 6.0, 6.0):
        memory.note({"d_loss": 1.0, "g_loss": loss, "g_gradient_norm": 1.0}, 6)
    signs = memory.complete(Signs(), {}, 100, 6)  # the first six epochs are forgotten
    np.testing.assert_allclose((signs.rise, signs.gradient), (2, 1), rtol=1e-12)


def test_memory_compares_with_the_shares_of_the_last_time_and_reads_the_logs():
    memory = Memory()
    logs = {"d_accuracy_real": 0.9, "d_accuracy_fake": 0.8, "d_logit_real": 3, "d_logit_fake": -1}
    first = memory.complete(Signs(shares=(1.0, 0.0)), logs, 1000, 10)
    assert first.rotation == 0
    assert first.d_accuracies == (0.9, 0.8)
    np.testing.assert_allclose(first.logit_gap, 4, rtol=1e-15)
    second = memory.complete(Signs(shares=(0.0, 1.0)), {}, 1000, 10)
    np.testing.assert_allclose(second.rotation, rotation([1, 0], [0, 1], 1000), rtol=1e-15)
    assert second.d_accuracies is None


def test_memory_survives_json():
    memory = Memory()
    memory.note({"g_loss": float("nan"), "d_loss": 0.1}, 10)
    memory.news([LOST_TWO], 1)
    again = Memory(**json.loads(json.dumps(dataclasses.asdict(memory))))
    assert again.news([LOST_TWO], 1) == []
    assert again.complete(Signs(), {}, 100, 10).rise == np.inf


@pytest.mark.parametrize("mode, limits", [("labelled", LABELLED), ("unlabelled", UNLABELLED)])
def test_the_thresholds_are_those_that_were_fitted_and_measured(mode, limits):
    results = json.loads((ROOT / "docs/results/alarm.json").read_text())[mode]
    for name, value in results["thresholds"].items():
        assert getattr(limits, name) == value
    assert results["reported"]["false_alarms"] <= 0.02
    assert results["reported"]["detection"] >= {"labelled": 0.95, "unlabelled": 0.84}[mode]
    assert results["reported"]["collapsed"] + results["reported"]["healthy"] >= 100


def test_read_thresholds_fills_in_the_defaults(tmp_path):
    path = tmp_path / "thresholds.json"
    path.write_text('{"labelled": {"vanished": 0.5, "dominant": 1}, "unlabelled": {}}')
    limits = read_thresholds(path)
    assert limits == {"labelled": Thresholds(vanished=0.5, dominant=1), "unlabelled": Thresholds()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "Received: []. Install"),
        ('{"labelled": {}}', 'Received: {"labelled": {}}. Install'),
        ('{"labelled": {}, "unlabelled": {}, "other": {}}', '"other": {}}. Install'),
        ('{"labelled": [], "unlabelled": {}}', "labelled thresholds []"),
        ('{"labelled": {"vanish": 1}, "unlabelled": {}}', "labelled thresholds ['vanish']"),
        ('{"labelled": {}, "unlabelled": {"won": "1"}}', "unlabelled threshold won='1'"),
        ('{"labelled": {}, "unlabelled": {"won": true}}', "unlabelled threshold won=True"),
        ('{"labelled": {}, "unlabelled": {"won": NaN}}', "unlabelled threshold won=nan"),
        ('{"labelled": {}, "unlabelled": {"won": Infinity}}', "unlabelled threshold won=inf"),
        ('{"labelled": {}, "unlabelled": {"won": -1}}', "unlabelled threshold won=-1"),
    ],
)
def test_read_thresholds_raises_when_the_file_holds_anything_else(tmp_path, content, message):
    path = tmp_path / "thresholds.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"Expected .*json to hold .* Install") as caught:
        read_thresholds(path)
    assert message in str(caught.value)


def test_the_benchmark_writes_the_thresholds_that_the_library_reads(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    quality = importlib.import_module("alarm_quality")
    assert Path(metrics.__file__).parent / "thresholds.json" == quality.THRESHOLDS
    committed = quality.THRESHOLDS.read_text()
    monkeypatch.setattr(quality, "THRESHOLDS", tmp_path / "thresholds.json")
    quality.write_thresholds(json.loads((ROOT / "docs/results/alarm.json").read_text()))
    assert quality.THRESHOLDS.read_text() == committed
    assert read_thresholds(quality.THRESHOLDS) == {"labelled": LABELLED, "unlabelled": UNLABELLED}


def test_the_page_is_made_from_the_committed_results():
    path = ROOT / "benchmarks/alarm_page.py"
    spec = importlib.util.spec_from_file_location("alarm_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (ROOT / "docs/alarm.md").read_text()
    for name in Signs(shares=EVEN, **dict.fromkeys(MEASURED, 0.0)).numbers():
        assert f"`{name}`" in module.page()
