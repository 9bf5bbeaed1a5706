# make run   the first comparison, from nothing        make test   the tests, from nothing
# make gpu   everything that needs a GPU; on a machine without network from packages in wheels/ (see docs/gpu.md)
# make test-all   the slow tests too: kills at random, ten thousand specs, a Ray cluster that loses a node
PYTHON ?= python3
TEST_PROCESSES ?= 2
BIN := .venv/bin
MAMBA := mamba-ssm==2.3.2.post1
FLASH := fla-core==0.6.0 flash-linear-attention==0.6.0
CONVOLUTION := causal-conv1d==1.7.0
GPU := $(shell command -v nvidia-smi)
COMPILER := $(and $(GPU),$(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc)))
# Without a CUDA compiler mamba-ssm is installed without its kernels; the harness's own CPU scan takes their place.
MAMBA_FLAGS := $(if $(COMPILER),,MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE)
# Without network: nothing is asked of an index, and the two that look for a build elsewhere first are built here.
ifneq ($(wildcard wheels),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(CURDIR)/wheels
export MAMBA_FORCE_BUILD := TRUE
export CAUSAL_CONV1D_FORCE_BUILD := TRUE
endif

.PHONY: run test test-all gpu check benchmark clean

run: .venv/installed
	$(BIN)/python -m harness run --task locality2d --scan hilbert

test: .venv/installed
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal -m "not slow"

test-all: .venv/extras
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal

# A kernel package that does not build costs its own rows only.
gpu: .venv/installed
	-$(if $(GPU),$(BIN)/pip install -q --no-deps $(FLASH))
	-$(if $(COMPILER),$(BIN)/pip install -q --no-build-isolation --no-deps $(CONVOLUTION))
	$(BIN)/python -m harness gpu-check

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

benchmark: .venv/installed
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q "torch>=2.6,<2.14" "setuptools>=77" wheel packaging ninja
	$(BIN)/pip install -q --no-build-isolation -e ".[test,develop]"
	$(BIN)/pip install -q triton transformers
	$(MAMBA_FLAGS) $(BIN)/pip install -q --no-build-isolation --no-deps $(MAMBA)
	touch $@

# What only the slow tests need: a Ray cluster on this machine, the packages behind --logger, kernels to interpret.
.venv/extras: .venv/installed
	$(BIN)/pip install -q --no-build-isolation -e ".[ray,tensorboard,mlflow]"
	$(BIN)/pip install -q --no-deps $(FLASH)
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
