"""Tests the layout: modules, public names and packaged files."""

import ast
import re
import sys
from importlib import metadata

from helpers import ROOT

import fashion_gan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


MODULES = sorted(
    path.relative_to(ROOT)
    for folder in ("fashion_gan", "callbacks")
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / "fashion_gan/callbacks")
)


def test_package_root_has_at_most_14_modules():
    special = {"__init__.py", "__main__.py", "_version.py"}
    modules = {path.name for path in (ROOT / "fashion_gan").glob("*.py")} - special
    assert len(modules) <= 14, sorted(modules)


def test_modules_define_all_and_every_public_name_exists():
    for name in fashion_gan.__all__:
        assert getattr(fashion_gan, name) is not None
    for path in MODULES:
        if path.name == "__main__.py" or path.name == "_version.py":
            continue
        tree = ast.parse((ROOT / path).read_text())
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in getattr(node, "targets", [getattr(node, "target", None)])
            if isinstance(target, ast.Name)
        ]
        assert "__all__" in names, path


def test_pyproject_lists_every_package_folder():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "fashion_gan").rglob("__init__.py")
    }
    assert packages == folders | {"fashion_gan.callbacks"}
    assert (ROOT / "fashion_gan/callbacks").resolve() == ROOT / "callbacks"
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_pyproject_packages_every_data_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (patterns,) = project["tool"]["setuptools"]["package-data"].values()
    packaged = {path for pattern in patterns for path in (ROOT / "fashion_gan").glob(pattern)}
    files = {
        path
        for path in (ROOT / "fashion_gan").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert files == packaged


def test_pyproject_extras_add_a_package_each():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [
        re.match(r"[\w-]+", requirement)[0]
        for requirement in project["dependencies"]
        if "python_version" not in requirement
    ]
    required = {
        re.match(r"[\w-]+", requirement)[0].lower()
        for name in names
        for requirement in [name, *(metadata.requires(name) or [])]
        if "extra ==" not in requirement
    }
    assert "pillow" in required
    for extra, requirements in project["optional-dependencies"].items():
        assert {re.match(r"[\w-]+(\[.*\])?", r)[0] for r in requirements} - required, extra


def test_files_is_the_only_module_that_replaces_a_path():
    assert [str(p) for p in MODULES if "os.replace" in (ROOT / p).read_text()] == [
        "fashion_gan/files.py"
    ]
