"""Tests tools/feature_tables.py: right, blind and wrong results of the order test."""

import feature_tables
import pytest

CHAIN = ("blur 0.5", "blur 1.0", "blur 2.0")


def judge(name, train, *blurs, noise=9.0, std=0.1):
    values = {"train": train, **dict(zip(CHAIN, blurs, strict=True)), "noise alone": noise}
    found = {"emoji": {"100": {"imagenet": {name: {**values, "std": std}}}}}
    return list(feature_tables.judge(found, "imagenet", name, "blur"))


@pytest.mark.parametrize(
    "values, verdict",
    [
        ((0.0, 1.0, 2.0, 3.0), "right"),
        ((0.0, 0.0, 0.0, 0.3), "right"),
        ((0.0, 1.0, 0.9, 3.0), "right"),
        ((0.0, 1.0, 0.7, 3.0), "wrong"),
        ((0.0, 0.1, 0.0, 0.1), "blind"),
        ((0.0, -0.3, 2.0, 3.0), "wrong"),
        ((0.0, -0.15, -0.3, 3.0), "wrong"),
    ],
)
def test_judge_returns_right_blind_or_wrong(values, verdict):
    assert judge("kernel_distance", *values) == [verdict]
    assert judge("coverage", *(-value for value in values)) == [verdict]
