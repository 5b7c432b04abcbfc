"""Tests the page of an evaluation: groups of images, sections, and escaped names."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fashion_gan.evaluation import EvalConfig, Evaluator
from fashion_gan.evaluation.page import write_report
from fashion_gan.evaluation.report import find_groups, group_grid

SHADES = (0, 90, 180, 250)
COUNT = 80


def shades(counts, seed=0):
    """Returns RGB images of 4x4, `counts[i]` of them near the i-th shade, in random order."""
    rng = np.random.default_rng(seed)
    levels = rng.permutation(np.repeat(SHADES, counts))[:, np.newaxis, np.newaxis, np.newaxis]
    return np.clip(levels + rng.integers(-5, 6, (sum(counts), 4, 4, 3)), 0, 255).astype(np.uint8)


def features(images):
    return images.reshape(len(images), -1).astype(np.float64) / 255


@pytest.fixture
def evaluator():
    real, train = shades([20] * 4, seed=1), shades([25] * 4, seed=2)
    features.scores = ("kernel_distance", "coverage")
    protocol = EvalConfig(COUNT, kernel_size=COUNT, bins=4)
    return Evaluator(real, train, features, protocol=protocol, name="<held-out> images")


def test_find_groups_clusters_real_images_and_orders_clusters_by_missing_samples(evaluator):
    samples = shades([2, 20, 58, 0], seed=3)
    groups = find_groups(samples, evaluator)
    np.testing.assert_allclose(groups.real_shares, 0.25)
    levels = [samples[groups.labels == i].mean() for i in groups.order[1:]]
    assert groups.shares[groups.order[0]] == 0, "no sample is near the last shade"
    np.testing.assert_allclose(levels, SHADES[:3], atol=6)
    np.testing.assert_allclose(groups.shares[groups.order], [0, 2 / 80, 20 / 80, 58 / 80])


def test_group_grid_draws_real_images_left_and_samples_right(evaluator):
    samples = shades([2, 20, 58, 0], seed=3)
    grid = group_grid(find_groups(samples, evaluator), samples, evaluator, count=3)
    assert grid.shape == (4 * 5 - 1, 7 * 5 - 1, 3)
    for row, shade in enumerate((250, 0, 90, 180)):
        cells = [grid[row * 5 : row * 5 + 4, i * 5 : i * 5 + 4].mean() for i in range(7)]
        drawn = [0, 2, 3, 3][row]
        np.testing.assert_allclose(cells[:3], shade, atol=7)
        np.testing.assert_allclose(cells[4 : 4 + drawn], shade, atol=7)
        assert cells[3] == 192 and cells[4 + drawn : 7] == [192] * (3 - drawn)


def test_write_report_embeds_all_images_and_escapes_names(evaluator, tmp_path):
    samples = shades([2, 20, 58, 0], seed=3)
    name = "<script>alert(1)</script>"
    scores = {name: evaluator(samples), "training images": evaluator(evaluator.train[:COUNT])}
    write_report(tmp_path, evaluator.record(scores), samples, evaluator)
    page = (tmp_path / "index.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        "index.html",
        "scores.json",
        "clusters.png",
        "closest.png",
    }
    assert "<script" not in page and "&lt;script&gt;" in page and "&lt;held-out&gt;" in page
    assert not re.search(r'(src|href)="(?!data:)', page), "no other file is needed"
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(sources) == 6
    for source in sources:
        assert Image.open(BytesIO(base64.b64decode(source))).size[0] > 40
    assert page.count("<rect") == 3, "a bar for each set on a white background"
    distances = [f"{of['kernel_distance']:.3g}" for of in scores.values()]
    cells = "".join(f"<td>{cell}</td>" for cell in distances)
    assert f"<td>kernel_distance</td>{cells}<td>lower, best about 0</td>" in page


def test_write_report_ranks_samples_by_realism(evaluator, tmp_path):
    samples = shades([20] * 4, seed=3)
    samples[:5] = np.random.default_rng(4).integers(0, 256, (5, 4, 4, 3))  # like no real image
    write_report(tmp_path, evaluator.record({"a": evaluator(samples)}), samples, evaluator)
    page = (tmp_path / "index.html").read_text()
    grids = {
        alt: np.asarray(Image.open(BytesIO(base64.b64decode(source))))
        for alt, source in re.findall(
            r'alt="([^"]+)"[^>]* src="data:image/png;base64,([^"]+)"', page
        )
    }
    lowest = next(grid for alt, grid in grids.items() if alt.startswith("lowest"))
    cells = [lowest[:4, i * 5 : i * 5 + 4] for i in range(6)]
    assert {cell.tobytes() for cell in cells[:5]} == {image.tobytes() for image in samples[:5]}
