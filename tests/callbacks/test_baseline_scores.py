"""Tests BaselineScores: the lines that TensorBoard shows next to the scores of the samples."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

from fashion_gan.callbacks import BaselineScores, TensorBoard, default
from fashion_gan.cli.main import main


def lines(folder):
    """Returns `{(run, tag): {step: value}}` of the event files below a folder."""
    found = {}
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        accumulator = EventAccumulator(str(run), {"tensors": 0})
        accumulator.Reload()
        for tag in accumulator.Tags()["tensors"]:
            events = accumulator.Tensors(tag)
            assert len({event.step for event in events}) == len(events)
            values = {event.step: float(make_ndarray(event.tensor_proto)) for event in events}
            found[run.name, tag] = values
    return found


class Brightness:
    """Scores images by their mean, and counts the calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return {"mean": images.mean(), "missing_classes": ["a", "b"], "shares": {"Ankle boot": 0.5}}


def test_baseline_scores_are_lines_at_each_evaluated_epoch(make_gan, tiny_images, tmp_path):
    gan, evaluator = make_gan(), Brightness()
    images = {"training images": np.full((3, 4, 4, 1), 7, np.uint8), "dark": np.zeros((3, 4, 4, 1))}
    scores = BaselineScores(tmp_path, evaluator, images, eval_freq=2)
    callbacks = [scores, TensorBoard(tmp_path)]
    gan.fit(tiny_images, epochs=5, callbacks=callbacks, verbose=0)
    assert evaluator.calls == 2
    found = lines(tmp_path / "baselines")
    assert found["training_images", "epoch_mean"] == {2: 7.0, 4: 7.0, 5: 7.0}
    assert found["dark", "epoch_mean"] == {2: 0.0, 4: 0.0, 5: 0.0}
    assert found["dark", "epoch_missing_classes"] == {2: 2.0, 4: 2.0, 5: 2.0}
    assert {tag for _, tag in found} == {"epoch_mean", "epoch_missing_classes"}
    # Epochs that are repeated are written once.
    gan.fit(tiny_images, initial_epoch=3, epochs=6, callbacks=callbacks, verbose=0)
    assert lines(tmp_path / "baselines")["dark", "epoch_mean"] == {2: 0.0, 4: 0.0, 6: 0.0}
    assert evaluator.calls == 2


def test_baseline_scores_raise_for_a_wrong_frequency(tmp_path):
    with pytest.raises(ValueError, match="eval_freq=0"):
        BaselineScores(tmp_path, Brightness(), {}, eval_freq=0)


def test_default_draws_baselines_only_with_an_evaluator(tmp_path):
    images = np.zeros((200, 4, 4, 1), np.uint8)

    def kinds(**arguments):
        return [
            type(each) for each in default(tmp_path, images, baselines={"a": images}, **arguments)
        ]

    assert BaselineScores in kinds(evaluator=Brightness())
    assert BaselineScores not in kinds()


@pytest.mark.parametrize("held_out", ["100", pytest.param("0", marks=pytest.mark.slow)])
def test_train_draws_and_prints_the_scores_of_known_images(held_out, tmp_path, capsys):
    images = np.random.default_rng(0).integers(200, 256, (240, 8, 8), np.uint8)
    images[:, 0] = 0
    np.save(tmp_path / "images.npy", images)
    flags = (
        "--preset dense --epochs 2 --steps 14 --eval-freq 1 --jit-compile false --on-collapse off"
    )
    where = ["--data", str(tmp_path / "images.npy"), "--run-dir", str(tmp_path / "run")]
    assert main(["train", *where, *flags.split(), "--held-out", held_out]) == 0
    folder, printed = tmp_path / "run/baselines", capsys.readouterr().out
    assert ("Of 100 known images: " in printed) == (held_out != "0")
    assert "mode collapse, or a training that was too short" in printed
    if held_out == "0":  # scores compare with the training images themselves
        assert not folder.exists()
        return
    found = lines(folder)
    watched = json.loads((tmp_path / "run/scores.json").read_text())["watched_score"]
    sharp, blurred = (found[name, f"epoch_{watched}"] for name in ("training_images", "blurred"))
    assert list(sharp) == list(blurred) == [1, 2]
    assert sharp[1] == sharp[2] < blurred[1]
    shown = f"{watched} {sharp[1]:.3g} for training images, {blurred[1]:.3g} for blurred."
    assert shown in printed
