"""Tests README: its example, and its numbers against the committed results."""

import importlib

from helpers import ROOT, use_small_fashion_mnist

from fashion_gan import GAN


def test_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = (
        part.split("```")[0] for part in (ROOT / "README.md").read_text().split("```python\n")[1:]
    )
    assert "epochs=50" in example
    assert "batch_size=32" in example
    use_small_fashion_mnist(monkeypatch)
    example = example.replace("epochs=50", "epochs=1").replace("batch_size=32", "batch_size=100")
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert isinstance(names["gan"], GAN)
    assert names["gan"].steps == 11
    assert names["images"].shape == (16, 28, 28, 1)
    assert list((tmp_path / "logs/python/images").iterdir())


def test_generated_tables_match_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    update_docs = importlib.import_module("update_docs")
    assert not list(update_docs.outdated()), "run tools/update_docs.py"


def test_logs_page_lists_every_metric_of_fit(make_gan, tiny_images):
    page = (ROOT / "docs/logs.md").read_text()
    for name in make_gan().fit(tiny_images, verbose=0).history:
        assert f"`{name}`" in page
