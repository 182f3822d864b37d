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
	$(BIN)/python -m pytest -q -n auto --dist worksteal

chaos: $(READY) ## kill, fill, freeze and lie to it, and print what was seen to hold
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/chaos

soak: $(READY) ## the same at length: 2,000 kills, 20,000 seeds, every third system call, an hour of mixed faults
	CHAOS=long CHAOS_KILLS=2000 $(BIN)/python -m pytest -q -n 4 --dist worksteal --timeout 7200 tests/chaos

chaos-tools: ## install what some tests need (strace, tinyproxy), where this machine allows that
	@command -v strace >/dev/null || apt-get install --yes --quiet strace || \
		{ echo; echo "*** strace CANNOT BE INSTALLED here: the system call checks run with their stand-ins only ***"; }
	@command -v tinyproxy >/dev/null || apt-get install --yes --quiet tinyproxy || \
		{ echo; echo "*** tinyproxy CANNOT BE INSTALLED here: the tests go through a proxy of their own only ***"; }

mutants: $(READY) ## break the build on purpose, one function at a time, and see that a check notices: under three minutes
	$(BIN)/python -m tests.chaos.mutants

demo: $(READY) ## rehearse the catalog job against the built-in simulator: 180 images, no key, no money
	$(BIN)/batchgen run jobs/catalog.yaml --rehearse
	$(BIN)/batchgen report jobs/catalog.yaml --rehearse

lint: $(READY) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict on the package
	$(BIN)/mypy

check: lint types ## lint and types

audit: $(READY) ## look every locked package up among the known holes, where that can be done from here
	$(BIN)/python -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.9" >$(VENV)/audit/log 2>&1 && \
		$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
			-r requirements.lock >$(VENV)/audit/log 2>&1 && { tail -n 1 $(VENV)/audit/log; exit 0; }; \
	if grep -q "^Found [0-9]* known vulnerabilit" $(VENV)/audit/log; then cat $(VENV)/audit/log; exit 1; fi; \
	tail -n 2 $(VENV)/audit/log; echo; \
	echo "*** NOTHING WAS AUDITED: pip-audit cannot be installed here, or does not see the advisories ***"

ci: check audit test ## everything CI runs

bench: $(READY) ## every figure of docs/performance.md, beside a naive loop and the official SDK: half an hour
	$(BIN)/python -m benchmarks

lock: $(READY) ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
		--custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock

clean: ## remove the environment and what rehearsals left
	rm -rf $(VENV) rehearsal dist build

.PHONY: help setup audit test chaos soak chaos-tools mutants demo lint types check ci bench lock clean
