# On a fresh machine: `make train` and `make test` set up .venv and the data by themselves.

BASE_PYTHON ?= python3
PYTHON := .venv/bin/python
DEBIAN_DATA := .data/usr/share/datasets/fashion-mnist
# Every target uses what `make data` unpacked, unless the environment names another folder.
ifndef FASHION_MNIST_DIR
FASHION_MNIST_DIR = $(shell cd $(DEBIAN_DATA) 2>/dev/null && pwd)
endif
export FASHION_MNIST_DIR
# Where the system has no package lists, `apt-get update` makes some here, without root.
APT_OWN = apt-get -q -o Dir::State::lists=$(CURDIR)/.data/apt/lists -o Dir::Cache=$(CURDIR)/.data/apt

.PHONY: help setup data data-check data-debian train test test-all lint types tests tests-slow browser wheel docs tensorboard versions fuzz clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/:/' | column -ts:

setup: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	$(BASE_PYTHON) -m venv .venv
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	-$(PYTHON) -m compileall -qq -j 0 .venv/lib  # on all cores; pip takes one
	@touch $@

data: setup  ## find or download Fashion-MNIST, or else unpack Debian's package into .data/
	@$(MAKE) -s data-check 2>/dev/null || { $(MAKE) data-debian; $(MAKE) -s data-check; }
data-check:
	@$(PYTHON) -c "import sys; sys.tracebacklimit = 0; from fashion_gan import data; data.load_fashion_mnist(); \
	  print('Fashion-MNIST is in', data.find_fashion_mnist())"
data-debian:
	rm -rf .data && mkdir -p .data/apt/lists/partial .data/apt/archives/partial
	cd .data && { apt-get -q download dataset-fashion-mnist || \
	  { $(APT_OWN) update && $(APT_OWN) download dataset-fashion-mnist; }; }
	dpkg -x .data/dataset-fashion-mnist_*.deb .data
	rm -rf .data/apt .data/*.deb

train: data  ## train the book's GAN for 50 epochs, in a new folder below logs/
	$(PYTHON) -m fashion_gan train --preset dense --epochs 50

tensorboard: setup  ## show the runs below logs/ in a browser
	$(PYTHON) -m tensorboard.main --logdir logs

docs: setup  ## build the pages of docs/ as a site in site/
	$(PYTHON) -m zensical build --strict

test: data  ## run every check except slow tests and the wheel
	@$(MAKE) -j -Oline lint types tests
test-all: test  ## run every check
	@$(MAKE) -j -Oline tests-slow wheel

lint: setup
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	.venv/bin/lint-imports --no-logo --no-cache
types: setup
	$(PYTHON) -m mypy
PYTEST = $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder
tests: data
	$(PYTEST) -m "not slow"
tests-slow: data
	$(PYTEST) -m slow
browser:  ## install Debian's chromium; without it, tests of web pages are skipped
	@command -v chromium >/dev/null || { apt-get -q update && apt-get -q install -y chromium; } || \
	  echo "There is no chromium, and it could not be installed: tests of web pages are skipped."
wheel: setup
	rm -rf build dist
	$(PYTHON) -m build -q
	$(PYTHON) -m twine check --strict dist/*
	$(PYTHON) tools/check_wheel.py dist

versions: wheel  ## test the wheel with the oldest and the newest versions it allows, on each Python here
	$(PYTHON) tools/check_versions.py dist
fuzz: setup  ## read damaged files for ten minutes; an undocumented error ends it
	$(PYTHON) tests/scripts/fuzz.py --seconds 600

clean:  ## delete all generated files
	rm -rf .venv .data build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache site
