"""Tests runs with adaptive augmentations."""

import json

import pytest
from helpers import SMALL_RUN, use_small_fashion_mnist

from fashion_gan.runs.config import Config
from fashion_gan.runs.train import train_run


@pytest.mark.slow
def test_train_run_adapts_the_probability_of_the_augmentations(tmp_path, monkeypatch):
    use_small_fashion_mnist(monkeypatch)
    settings = {"conditional": True, "rotation": 0.1, "adaptive_augmentation": True, "lecam": 0.1}
    settings |= {"augment_ramp": 2_000, "overfit_target": 0.01, "eval_freq": 0, "epochs": 4}
    gan = train_run(Config(**{**SMALL_RUN, **settings}), tmp_path / "run", verbose=0)
    text = (tmp_path / "run/metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert {"augment_p", "d_overfit", "d_lecam"} <= set(lines[0])
    assert int(gan.augment_probability.adapted_at) == 44
    assert 0 < float(gan.augment_p) <= 1
