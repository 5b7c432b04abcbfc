"""The house: which module may import which, what is public, what is packaged."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fashion_gan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent

# An arrow may point to an earlier floor, or within a package.
FLOORS = [
    {"_version", "files", "parser", "registry"},
    {"runtime"},
    {"batch", "images", "latents", "metrics", "svg", "terminal"},
    {"animation", "augmentations", "losses", "models", "pipeline", "replay"},
    {"data", "penalties"},
    {"training"},
    {"config", "features", "gan", "own_images"},
    {"presets", "real_side", "run_folder"},
    {"evaluate", "assembly", "flags", "runs"},
    {"callbacks"},
    {"run"},
    {"pretrained", "export"},
    {"source"},
    {"report", "explore"},
    {"benchmark", "sweep"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted(
    path.relative_to(ROOT)
    for folder in ("fashion_gan", "callbacks")
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / "fashion_gan/callbacks")
)


def room(module):
    """The first part of a module's name below the package."""
    parts = Path(module).with_suffix("").parts
    return parts[0] if parts[0] == "callbacks" else parts[1]


def imports(path):
    """Rooms of `fashion_gan` that a file imports, anywhere in it, but not for types alone."""
    tree = ast.parse((ROOT / path).read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in typing and node.module:
            parts = node.module.split(".")
            if parts == ["fashion_gan"]:
                yield from (alias.name for alias in node.names)
            elif parts[0] == "fashion_gan":
                yield parts[1]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_arrows_point_down(path):
    here = room(path)
    for target in imports(path):
        assert target in FLOOR, f"{target} has no floor"
        assert FLOOR[target] < FLOOR[here] or target == here, f"{here} imports {target}"


def test_every_public_name_is_there_and_every_module_says_what_is_public():
    for name in fashion_gan.__all__:
        assert getattr(fashion_gan, name) is not None
    for path in MODULES:
        if path.name == "__main__.py" or path.name == "_version.py":
            continue
        tree = ast.parse((ROOT / path).read_text())
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        assert "__all__" in names, path


def test_packages_and_folders_agree_and_callbacks_is_one_folder():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "fashion_gan").rglob("__init__.py")
    }
    assert packages == folders | {"fashion_gan.callbacks"}
    assert (ROOT / "fashion_gan/callbacks").resolve() == ROOT / "callbacks"
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_data_file_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (patterns,) = project["tool"]["setuptools"]["package-data"].values()
    packaged = {path for pattern in patterns for path in (ROOT / "fashion_gan").glob(pattern)}
    files = {
        path
        for path in (ROOT / "fashion_gan").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert files == packaged


def test_every_extra_adds_a_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    required = {
        re.match(r"[\w-]+", requirement)[0].lower()
        for name in names
        for requirement in [name, *(metadata.requires(name) or [])]
        if "extra ==" not in requirement
    }
    assert "pillow" in required
    for extra, requirements in project["optional-dependencies"].items():
        assert {re.match(r"[\w-]+(\[.*\])?", r)[0] for r in requirements} - required, extra


def test_only_files_replaces_a_path():
    assert [str(p) for p in MODULES if "os.replace" in (ROOT / p).read_text()] == [
        "fashion_gan/files.py"
    ]
