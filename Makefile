PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench clean

demo: $(READY)  ## draw the sample shop, index it, serve API and console on http://127.0.0.1:8000
	$(BIN)/vision-rec demo

test: $(READY) lint  ## everything CI checks
	$(BIN)/pytest -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## run the benchmarks; results go to benchmarks/results/
	$(BIN)/python benchmarks/run.py

# FAISS ships one wheel for CPUs and one for GPUs; `make demo FAISS=gpu` takes the second.
FAISS ?= cpu
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("vision-rec needs Python 3.11 or newer, this is %d.%d; set PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[$(FAISS),dev]"
	touch $@

clean:
	rm -rf $(VENV)
