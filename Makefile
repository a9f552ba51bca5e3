# Every target says what it does: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SYMBOLS ?=
SOURCE ?= sample

.PHONY: help demo clean-demo test unit browser lint format golden bench lock screenshots clean

help: ## Explain every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo SYMBOLS=AAPL,2330.TW,BTC-USD SOURCE=yahoo   forecasts live prices instead"

# The dev lock holds the demo lock's versions and more, so both may share one environment.
UV := $(BIN)/uv
$(UV): locks/uv.txt
	@command -v $(PYTHON) >/dev/null || { echo "Bellwether needs Python 3.11, and '$(PYTHON)' was not found. Install it or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Bellwether needs Python 3.11, and '$(PYTHON)' is another version. Name it: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

# --no-deps: the lock is complete, and the sample packages' own needs are left out on purpose.
$(VENV)/.%: locks/%.txt pyproject.toml | $(UV)
	@echo "Installing the packages of locks/$*.txt (hashes checked) ..."
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --require-hashes --compile-bytecode -r locks/$*.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
.PRECIOUS: $(VENV)/.demo $(VENV)/.dev

demo: $(VENV)/.demo ## Forecast real prices here, with no cluster: pipeline, MLflow, model server, page, drift
	@exec $(BIN)/bellwether demo --source $(SOURCE) $(if $(SYMBOLS),--symbols $(SYMBOLS))

clean-demo: ## Remove everything the demo keeps
	rm -rf .bellwether

test: $(VENV)/.dev ## Run every test that needs no cluster
	$(BIN)/python -m pytest tests

unit: $(VENV)/.dev ## Run the fast tests only
	$(BIN)/python -m pytest tests/unit tests/contract tests/golden

browser: $(VENV)/.dev ## Run the tests that drive a real Chromium
	$(BIN)/python -m pytest tests/browser

lint: $(VENV)/.dev ## Check format, style, types and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(VENV)/.dev ## Write the compiled pipelines anew (tests/golden), to be read in review
	$(BIN)/python -m pipelines.compile

bench: $(VENV)/.dev ## Measure speed and memory against peers; writes benchmarks/results
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev ## Take the README's pictures from a running demo
	$(BIN)/python -m gradio_app.screenshots --out docs/images

LOCK := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
lock: | $(UV) ## Resolve the locks anew, with hashes and without addresses
	echo "uv" | $(UV) pip compile - --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o locks/uv.txt
	$(LOCK) --extra dev -o locks/dev.txt
	for extra in demo pipeline serving ui; do $(LOCK) --extra $$extra --constraint locks/dev.txt -o locks/$$extra.txt; done

clean: clean-demo ## Remove the environment too
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
