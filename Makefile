PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed  ## explanation methods compared on handwritten digits
	$(BIN)/quantus-senc demo --out demo

test: .venv/installed  ## lint, types, imports, doctests and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n auto --dist loadgroup

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv demo
