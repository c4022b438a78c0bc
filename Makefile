# `make demo` and `make test` need Python 3.11, a C++ compiler, git and PyPI; they set up ./.venv by themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PIN := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs unit bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## inspect an example model; writes out/demo.svg
	@mkdir -p out
	$(BIN)/graphlab inspect examples/dynamic_rnn_torch.py --svg out/demo.svg
	@echo "The drawing is in out/demo.svg"

test: lint types docs unit  ## everything that has to pass: lint, types, docs, tests

lint: $(VENV)/.all  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.all  ## mypy, strict
	$(BIN)/mypy

docs: $(VENV)/.all  ## build docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# Two processes, whole files each: a process imports a framework once.
unit: $(VENV)/.all  ## the tests alone
	$(BIN)/pytest -q -n 2 --dist loadfile

bench: $(VENV)/.all  ## run every benchmark
	@for file in benchmarks/*.py; do \
	  grep -q '__main__' $$file || continue; echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## remove what was built; .venv stays
	rm -rf out build dist docs/_build docs/findings .mypy_cache .ruff_cache .pytest_cache .hypothesis graphlab.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphlab needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# One install for everything, one for what the demo needs; each once until the pins change.
$(VENV)/.all: $(BIN)/python $(PIN)
	@echo "Installing graphlab with every extra into $(VENV): about 4 GB, some minutes"
	$(PIP) -e '.[torch,tensorflow,jax,xla-tpu,xla-cuda,dot,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.demo: $(BIN)/python $(PIN)
	@echo "Installing graphlab with PyTorch and Graphviz into $(VENV)"
	$(PIP) -e '.[torch,dot]'
	@touch $@
