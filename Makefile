# One entry point for people and for CI. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help install demo test study test-gpu bench-gpu lint format notebooks clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

install: $(INSTALLED) ## create .venv and install the package with every extra

# Repeated only when the requirements change. One pip call, so that the pins hold for every package.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON): $$($(PYTHON) --version 2>/dev/null || echo missing); Python 3.11 or newer is needed:" \
	       "make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt -e '.[all]'
	@touch $@

demo: $(INSTALLED) ## run examples/demo.py
	$(BIN)/python examples/demo.py

test: lint ## what CI runs: lint, then tests, doctests and notebooks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --nbmake --nbmake-timeout=600 \
	  tests glmix_theory $(NOTEBOOKS)

FOLDER ?= results/study
study: $(INSTALLED) ## train the nine mixers of Table 1 on every task (two hours; resumes), then report
	$(BIN)/glmix study --workers 2 --folder $(FOLDER)
	$(BIN)/glmix study report --folder $(FOLDER)

# The pins are for a CPU torch. With PYTHON=… these two targets run that interpreter as it is, on this folder, and
# install nothing: it has a CUDA torch, triton, and what the package and its tests import.
ifeq ($(origin PYTHON),file)
GPU_NEEDS := $(INSTALLED)
GPU_PYTHON := $(BIN)/python
else
GPU_PYTHON := PYTHONPATH=. $(PYTHON)
endif

test-gpu: $(GPU_NEEDS) ## on a machine with a CUDA device: the Triton tests, compiled and at full size
	@$(GPU_PYTHON) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { \
	  echo "$(GPU_PYTHON): its torch sees no CUDA device; make test-gpu PYTHON=… takes another" >&2; exit 1; }
	$(GPU_PYTHON) -m pytest tests/export/test_triton.py tests/export/test_triton_decode.py \
	  tests/export/test_triton_compiled.py tests/export/test_triton_on_gpu.py

bench-gpu: $(GPU_NEEDS) ## on a machine with a CUDA device: measure the layers, write benchmarks/results/gpu_layer.*
	$(GPU_PYTHON) benchmarks/gpu_layer.py

lint: $(INSTALLED) ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED) ## rewrite files into the project's format, fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(INSTALLED) ## run every notebook and store its outputs in place
	$(BIN)/python -m pytest --nbmake --overwrite --nbmake-timeout=600 $(NOTEBOOKS)

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache
