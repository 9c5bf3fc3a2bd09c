# Everything runs from .venv, which `setup` makes from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# An environment of the newest releases, without Meta-World, which holds MuJoCo back.
NEWEST := .venv-newest
NEWEST_TESTS ?= tests
# Processes that tests are run on.
WORKERS ?= 2

.PHONY: setup demo test test-newest bench docs lint clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gmps needs Python 3.11 or later; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python lacks venv; install Debian's python3-venv."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup
	$(BIN)/gmps demo

test: setup
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

test-newest:
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install -q --upgrade pip
	$(NEWEST)/bin/python -m pip install -q --group dev -e ".[mjx,ray,video,data,onnx,view,track,hub]"
	$(NEWEST)/bin/python -m pip list
	$(NEWEST)/bin/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile $(NEWEST_TESTS)

# Ratios of CPU time beside those that are stored; fails where one is worse by 15 %.
bench: setup
	$(BIN)/python benchmarks/regression.py --against benchmarks/results/regression.json

# The manual, in build/site/docs; a warning is an error.
docs: setup
	rm -rf build/site
	$(BIN)/zensical build --strict --clean
	cp -r examples packaging build/site/
	mkdir -p build/site/benchmarks/results
	cp benchmarks/*.py build/site/benchmarks/
	cp benchmarks/results/*.png build/site/benchmarks/results/

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache --no-logo

clean:
	rm -rf $(VENV) $(NEWEST)
