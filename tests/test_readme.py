"""README: its example runs, and its numbers are those of the committed run."""

import importlib.util
from pathlib import Path

from fashion_gan import GAN

ROOT = Path(__file__).parent.parent


def test_the_example_has_eight_lines_and_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = (
        part.split("```")[0] for part in (ROOT / "README.md").read_text().split("```python\n")[1:]
    )
    assert len([line for line in example.splitlines() if line.strip()]) == 8
    assert "epochs=50" in example
    assert "batch_size=32" in example
    example = example.replace("epochs=50", "epochs=1").replace("batch_size=32", "batch_size=5000")
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert isinstance(names["gan"], GAN)
    assert names["gan"].steps == 11
    assert names["images"].shape == (16, 28, 28, 1)
    assert list((tmp_path / "logs/dense/images").iterdir())


def test_the_tables_are_made_from_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    path = ROOT / "docs/update.py"
    spec = importlib.util.spec_from_file_location("update", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, tables in module.TABLES.items():
        assert module.page(name) == (ROOT / name).read_text()
        assert all(len(make()) > 150 for make in tables.values())
    for name in module.NOTEBOOKS:
        made = (ROOT / "docs" / name).with_suffix(".ipynb").read_text()
        assert module.notebook(name) == made, "run docs/update.py"


def test_every_logged_number_is_explained(make_gan, tiny_images):
    readme = (ROOT / "README.md").read_text()
    for name in make_gan().fit(tiny_images, verbose=0).history:
        assert f"`{name}`" in readme
