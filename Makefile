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
# Without isolation and without npm: the extension is built already, by what is in $(VENV).
PIP_DEVELOP := HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(PIP_INSTALL) --no-build-isolation -e
SOURCES := pyproject.toml constraints.txt
LABEXTENSION := jupyter_ext/caterva2_jupyter/labextension/package.json
WEB := caterva2/static/index.html
LAB_SOURCES := $(addprefix labextension/,package.json yarn.lock tsconfig.json web.build.mjs) \
    $(shell find labextension/src labextension/style labextension/schema -type f)
# Node and jlpm of $(VENV), in the directory of the TypeScript sources
JLPM := cd labextension && PATH="$(CURDIR)/$(BIN):$$PATH" jlpm

# Node brings its own list of authorities; add those that this machine trusts, for registries behind a proxy.
SYSTEM_CERTIFICATES := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))
ifneq ($(SYSTEM_CERTIFICATES),)
export NODE_EXTRA_CA_CERTS ?= $(SYSTEM_CERTIFICATES)
endif

# Two at a time suits the smallest machine we test on; `make test WORKERS=0` runs in one process.
WORKERS ?= 2
PYTEST_ARGS ?=
# The plugins that bring a Jupyter server, and a browser, do not live beside each other.
JUPYTER_TESTS := -p pytest_jupyter.jupyter_server tests/jupyter_ext/server
BROWSER_TESTS := -p playwright tests/browser
DEMO_ARGS ?=
BENCH_ARGS ?=

.PHONY: help demo test labtest labextension web screenshots schema lint format types layers docs openapi bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: $(VENV)/.demo ## example roots, broker, publishers, subscriber and JupyterLab, until Ctrl+C
	@$(BIN)/python examples/demo.py $(DEMO_ARGS)

test: $(VENV)/.tests ## the whole test suite; its last part needs Chromium
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,$(BIN)/python -m pytest -n $(WORKERS) $(JUPYTER_TESTS))
	$(if $(PYTEST_ARGS),,$(BIN)/python -m pytest $(BROWSER_TESTS))

labtest: $(VENV)/.node ## the TypeScript: types, unit tests, and whether schema.gen.ts is that of docs/openapi.json
	@$(JLPM) typecheck
	@$(JLPM) schema --check
	@$(JLPM) test --test-reporter=dot

labextension: $(LABEXTENSION) $(VENV)/.tests ## build the JupyterLab extension, and put it into the JupyterLab of .venv

web: $(WEB) ## build the subscriber's web page into caterva2/static

screenshots: $(VENV)/.tests ## docs/images, from JupyterLab and the web page in Chromium
	PYTHONPATH=.:examples $(BIN)/python -m tests.browser.screenshots

schema: $(VENV)/.node ## labextension/src/api/schema.gen.ts, from docs/openapi.json
	@$(JLPM) schema

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
	rm -rf $(dir $(LABEXTENSION)) $(dir $(WEB)) labextension/lib labextension/node_modules labextension/test-build labextension/.yarn
	rm -rf $(VENV) _bench _browser _demo benchmarks/results docs/_build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# One stamp for each set of extras; a change of the dependencies installs again.
$(VENV)/.demo: $(VENV)/.build $(LABEXTENSION) $(SOURCES)
	@echo "installing what the demo needs into $(VENV)"
	@$(PIP_DEVELOP) '.[services,clients,jupyter,xarray,examples]'
	@touch $@

$(VENV)/.tests: $(VENV)/.build $(LABEXTENSION) $(SOURCES)
	@echo "installing what the tests need into $(VENV)"
	@$(PIP_DEVELOP) '.[tests]'
	@touch $@

$(VENV)/.dev: $(VENV)/.build $(LABEXTENSION) $(SOURCES)
	@echo "installing what the tools need into $(VENV)"
	@$(PIP_DEVELOP) '.[dev]'
	@touch $@

# The extension is built once, and again when a source is newer. git keeps none of it.
$(LABEXTENSION): $(LAB_SOURCES) | $(VENV)/.node
	@echo "building the JupyterLab extension"
	@$(JLPM) build:prod > build.log 2>&1 || { cat build.log >&2; exit 1; }
	@touch $@

# The build of the extension leaves the page, too; this one is for who works on the page alone.
$(WEB): $(LAB_SOURCES) | $(VENV)/.node
	@echo "building the web page"
	@$(JLPM) build:web > build.log 2>&1 || { cat build.log >&2; exit 1; }
	@touch $@

$(VENV)/.node: $(VENV)/.build labextension/package.json labextension/yarn.lock
	@echo "installing what builds the JupyterLab extension into labextension/node_modules"
	@$(JLPM) install --immutable > install.log 2>&1 || { cat install.log >&2; exit 1; }
	@touch $@

$(VENV)/.build: $(VENV)/pyvenv.cfg $(SOURCES)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(VENV)/build.txt
	@$(PIP_INSTALL) editables -r $(VENV)/build.txt
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
