.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8 && echo "installing with uv" && \
		VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock && \
		VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e . ; } || \
	{ echo "installing with pip" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; }
	@touch $(READY)

setup: $(READY) ## make the virtual environment with the locked set

test: $(READY) ## run all tests
	$(BIN)/python -m pytest -q -n auto

demo: $(READY) ## rehearse the catalog job against the built-in simulator: 180 images, no key, no money
	$(BIN)/batchgen run jobs/catalog.yaml --rehearse
	$(BIN)/batchgen report jobs/catalog.yaml --rehearse

lint: $(READY) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict on the package
	$(BIN)/mypy

check: lint types ## lint and types

ci: check test ## everything CI runs

bench: $(READY) ## images per second, as a ratio to a naive client in the same run
	$(BIN)/python benchmarks/throughput.py

lock: $(READY) ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock

clean: ## remove the environment and what rehearsals left
	rm -rf $(VENV) rehearsal dist build

.PHONY: help setup test demo lint types check ci bench lock clean
