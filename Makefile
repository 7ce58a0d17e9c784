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

study: $(INSTALLED) ## train the nine mixers of Table 1 on every task (hours; resumes), then report
	$(BIN)/glmix study --workers 2
	$(BIN)/glmix study report

# With PYTHON_GPU=… an interpreter that already has a CUDA torch; the constraints pin a CPU wheel.
PYTHON_GPU ?= $(BIN)/python
test-gpu: ## on a machine with a CUDA device: the Triton tests, compiled and at full size
	@$(PYTHON_GPU) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { \
	  echo "$(PYTHON_GPU): torch sees no CUDA device; make test-gpu needs one" >&2; exit 1; }
	$(PYTHON_GPU) -m pytest tests/export/test_triton.py tests/export/test_triton_decode.py \
	  tests/export/test_triton_compiled.py tests/export/test_triton_on_gpu.py

bench-gpu: ## on a machine with a CUDA device: measure the layers, write benchmarks/results/gpu_layer.*
	$(PYTHON_GPU) benchmarks/gpu_layer.py

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
