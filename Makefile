# Two commands do everything: `make table1` and `make test`. Plain `make` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
# a process for each core (up to 5 GB each), the tests of a file together in one
TOGETHER := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
FAULT_SEED ?= 0
# one pinned environment: rebuilt when the pins or the requirements change
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help quick table1 bccd test test-slow test-all test-gpu faults lint format schema clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; any Python >= 3.11 will do: make PYTHON=python3"; exit 1; }
	@echo "Installing the pinned environment into $(VENV) (once, a few minutes) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

quick: $(READY) ## a first minute: one drawn dataset, three methods, a table and a picture of predictions
	snakemake --cores $(CORES) results/quick/table1.csv results/quick/glip_nano/bccd/predictions.png --config suite=quick

table1: $(READY) ## the miniature benchmark, all methods: results/table1.csv
	snakemake --cores $(CORES) results/table1.csv

bccd: $(READY) ## all methods on the real BCCD blood cells (downloads them, or set CONES_MIRROR)
	snakemake --cores $(CORES) results/bccd/table1.csv --config suite=bccd

test: $(READY) ## the test suite but for its slow proofs (docs/testing.md)
	python -m pytest -m 'not slow' $(TOGETHER)

test-slow: $(READY) ## the slow proofs: full-size models, SLURM, kills at random moments
	python -m pytest -m slow $(TOGETHER)

test-all: test test-slow ## both: every test once

test-gpu: $(READY) ## every model and method on this machine's GPU, or on a pretended one; prints what waits for it
	python -m pytest tests/gpu -s

faults: $(READY) ## everything that is broken on purpose, with 25 kills at random moments (FAULT_SEED=… for others)
	KILLS=25 SEED=$(FAULT_SEED) python -m pytest -m fault $(TOGETHER)

lint: $(READY) ## ruff, snakefmt, import-linter and snakemake --lint
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	lint-imports --no-logo
	python tests/lint_workflow.py

format: $(READY) ## put code and rules into the house format
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

schema: $(READY) ## export the JSON schemas of config and registry
	python -m cones schema

clean: ## remove results, logs and drawn data, keep downloads and the environment
	find results -mindepth 1 -not -name README.md -delete
	rm -rf logs data/miniature .snakemake
