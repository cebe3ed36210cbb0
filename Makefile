# Needs only make and Python 3.11 or later. `make demo` and `make test` do all
# the set-up themselves, in .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# The first of these that runs and is new enough makes .venv; `make PYTHON=...` decides otherwise.
PYTHON ?=
CANDIDATES = $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3)

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
SOURCES := pyproject.toml constraints.txt

# Two at a time suits the smallest machine we test on; `make test WORKERS=0` runs in one process.
WORKERS ?= 2
PYTEST_ARGS ?=
# The plugin that brings a Jupyter server does not live beside those of the other tests.
JUPYTER_TESTS := -p pytest_jupyter.jupyter_server tests/jupyter_ext/server
DEMO_ARGS ?=
BENCH_ARGS ?=

.PHONY: help demo test lint format types layers docs openapi bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.demo ## example roots, broker, publishers, subscriber and JupyterLab, until Ctrl+C
	@$(BIN)/python examples/demo.py $(DEMO_ARGS)

test: $(VENV)/.tests ## the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,$(BIN)/python -m pytest -n $(WORKERS) $(JUPYTER_TESTS))

lint: $(VENV)/.dev ## ruff: lint and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev ## let ruff repair what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/.dev ## who may import whom
	$(BIN)/lint-imports --no-logo --no-cache

docs: $(VENV)/.dev ## the documentation, in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

openapi: $(VENV)/.dev ## docs/openapi.json, from the endpoint table
	$(BIN)/python -m caterva2.model.openapi > docs/openapi.json

bench: $(VENV)/.tests ## the benchmarks; figures go to the terminal (nginx and wrk are used if installed)
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean: ## remove what make made
	rm -rf $(VENV) _bench _demo benchmarks/results docs/_build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# One stamp for each set of extras; a change of the dependencies installs again.
$(VENV)/.demo: $(VENV)/pyvenv.cfg $(SOURCES)
	@echo "installing what the demo needs into $(VENV)"
	@$(PIP_INSTALL) -e '.[services,clients,jupyter,xarray,examples]'
	@touch $@

$(VENV)/.tests: $(VENV)/pyvenv.cfg $(SOURCES)
	@echo "installing what the tests need into $(VENV)"
	@$(PIP_INSTALL) -e '.[tests]'
	@touch $@

$(VENV)/.dev: $(VENV)/pyvenv.cfg $(SOURCES)
	@echo "installing what the tools need into $(VENV)"
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/pyvenv.cfg:
	@for python in $(CANDIDATES); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making $(VENV) with $$python"; \
	        $$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; exit 0; \
	    fi; \
	done; \
	echo "Caterva2 needs Python 3.11 or later; tried: $(CANDIDATES) (make PYTHON=/path/to/python says which)" >&2; \
	exit 1
