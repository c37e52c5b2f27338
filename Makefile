# Two commands for a fresh machine: `make demo` and `make test`. Each builds its own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint docs clean

help:
	@echo "make demo      set up, then the closed-set study on the bundled real features"
	@echo "make test      set up, then the tests of every behaviour, a few minutes on two cores"
	@echo "make test-all  set up, then every test, the slow ones too"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the documentation, in docs/_build"
	@echo "make clean     remove what these made"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[report]"
	@touch $@

# torch is named alone and first: a range elsewhere is then satisfied by this build.
# tf-keras is named alone and last: it asks for TensorFlow's large build, the test group has the small.
$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[arrow,cluster,datasets,faces,faiss,keras,lancedb,onnx,pgvector,qdrant,report,texts,tflite,transformers,vision]" --group test --group lint
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps "tf-keras==2.21.0"
	@touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[report]" --group docs
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/intertwine demo --out demo-output

# One process a core, one BLAS thread each: more would wait for each other. Whole files go to a
# process, in the order that tests/conftest.py has them.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.test
	$(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fail-on-warning -b html docs docs/_build/html

clean:
	rm -rf $(VENV) demo-output docs/_build dist build
