PYTHON ?= python3
BIN := .venv/bin
UPSTREAM ?= .venv-upstream
SHAPES := --jaxtyping-packages=quantus_senc.core,quantus_senc.model,quantus_senc.metrics,beartype.beartype

.PHONY: demo test docs fuzz devices upstream clean

demo: .venv/installed  ## explanation methods compared on handwritten digits
	$(BIN)/quantus-senc demo --out demo

test: .venv/installed  ## lint, types, imports, doctests, tests, and shapes of tensors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n auto --dist loadgroup
	$(BIN)/pytest -n auto $(SHAPES) tests/core tests/metrics/test_undefined.py quantus_senc/core

docs: .venv-docs/installed  ## the site in docs/_build/html: runs the gallery, some minutes; links within it are checked
	OMP_NUM_THREADS=2 .venv-docs/bin/python -m sphinx -E -W --keep-going -b html docs docs/_build/html
	.venv-docs/bin/python docs/check_site.py docs/_build/html

fuzz: .venv/installed  ## 10,000 random calls against the paper's algorithms, 1,000 interrupts, and memory: some hours
	SENC_FUZZ=many $(BIN)/pytest -n auto tests/fuzz

devices: .venv-xla/installed  ## tests of a second device, XLA on the CPU: 4 GB to download, half an hour
	PJRT_DEVICE=CPU SENC_TEST_DEVICE=xla:0 .venv-xla/bin/pytest -n auto tests/devices

upstream: $(UPSTREAM)/installed  ## the contribution in a copy of QUANTUS, a checkout: its linter, types and tests (Python 3.8 to 3.11)
	$(UPSTREAM)/bin/python upstream/check.py $(QUANTUS)

$(UPSTREAM)/installed: upstream/requirements.txt
	$(PYTHON) -m venv $(UPSTREAM)
	$(UPSTREAM)/bin/pip install --quiet --requirement upstream/requirements.txt
	touch $@

.venv-xla/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-xla
	.venv-xla/bin/pip install --quiet torch==2.9.0 torch-xla==2.9.0
	grep -v ^torch== constraints.txt > .venv-xla/constraints.txt
	.venv-xla/bin/pip install --quiet --constraint .venv-xla/constraints.txt --editable ".[dev]"
	touch $@

.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --constraint constraints.txt torch
	.venv-docs/bin/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-xla .venv-upstream .venv-docs demo docs/_build docs/auto_gallery
