# setup: .venv with the project in it.  run: a simulated fleet, until Ctrl-C.  test: all tests.  check: what CI checks first.
# soak: simulated worlds with every fault and at their worst for half an hour; with SOAK="--days 30", fifty units for a month.
# detection: how soon a host that lies is found out, over many seeds.
PYTHON ?= python3
BIN := .venv/bin
SOAK ?= --for 1800
STAMP := .venv/.set-up

.PHONY: setup run test check soak detection clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dandelion needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: setup
	@exec $(BIN)/dandelion sim --half-duplex

test: setup
	$(BIN)/python -m pytest -q

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

soak: setup
	$(BIN)/python -m sim.soak $(SOAK)

detection: setup
	$(BIN)/python -m sim.detection --seeds 500 --share 0.1
	$(BIN)/python -m sim.detection --seeds 500 --share 0.025
	$(BIN)/python -m sim.detection --seeds 200 --no-own-files

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
