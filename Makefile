# setup: .venv with the project in it.  run: a simulated fleet, until Ctrl-C.  test: all tests.  check: what CI checks first.
# power: the power cut at every call that a unit makes of its card, half an hour; `make test` tries some of them.
# coverage: whether the tests of hand-over, store and catalogue go through each line and each branch of these; a minute.
# mutants: changes these in one place after the other and sees whether a test fails; half an hour.
# model: every state of the hand-over's models, in the order of the table in docs/reliability.md.
# cuts: the power cut at every pair of steps of a hand-over, 60 schedules, hours; see python -m sim.cuts --help.
# board: boots virtual boards and tries them, as docs/board.md says; the first time it makes a kernel and a card image.
# container: the half of that which needs no kernel of its own, in containers on this machine's; five minutes, as root.
# arm64: whether the software runs on another processor, emulated.
# soak: simulated worlds with every fault and at their worst for half an hour; with SOAK="--days 30", fifty units for a month.
# fuzz: hostile input for every decoder, led by coverage, for ten minutes; with FUZZ="--for 3600" as long as wanted: runs add up.
# audit: what bandit says of the code, and pip-audit of what is installed, for which it asks PyPI.
# xbee: Digi's own library on each simulated XBee module, ten times; two minutes.
# deb: the Debian package, in build/, for Raspberry Pi OS and Debian, bookworm and trixie; see deploy/README.md.
# camera: the camera's contract tests with the real picamera2, in a container; as root.
# detection: how soon a host that lies is found out, over many seeds.
PYTHON ?= python3
BIN := .venv/bin
CUTS ?= --schedules 60
FUZZ ?= --for 600
SOAK ?= --for 1800
STAMP := .venv/.set-up
# Tests start hundreds of processes; where nothing compiled is kept, each compiles all of it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test check arm64 audit board camera container coverage cuts deb detection fuzz model power mutants soak xbee clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dandelion needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: setup
	@exec $(BIN)/dandelion sim --half-duplex

test: setup
	$(BIN)/python -m pytest -q -n auto

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

power: setup
	$(BIN)/python -m pytest -q tests/test_power_cuts.py tests/e2e/test_stops.py --every-cut --timeout 7200

board: setup
	$(BIN)/python -m sim.board build
	$(BIN)/python -m pytest -q -m board tests/e2e/test_boards.py --durations=0

container: setup
	$(BIN)/python -m pytest -q -m container tests/e2e --durations=0

arm64: setup
	$(BIN)/python -m sim.board.arm64

coverage: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q tests/test_handover.py tests/test_let_go.py tests/test_store*.py \
		tests/test_quarantine.py tests/test_recipe_cuts.py tests/test_catalogue*.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutants: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,mutants]'
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results --all true | $(BIN)/python tests/survivors.py

model: setup
	$(BIN)/python -m sim.model --all

soak: setup
	$(BIN)/python -m sim.soak $(SOAK)

cuts: setup
	$(BIN)/python -m sim.cuts $(CUTS)

xbee: setup
	$(BIN)/python -m pytest -q -n auto tests/test_xbee_ports.py --digi-runs 10

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,fuzz]'
	$(BIN)/python -m sim.fuzz $(FUZZ)

audit: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,audit]'
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml firmware hal sim deploy
	$(BIN)/python -m pip freeze --exclude-editable | \
		$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement /dev/stdin

deb:
	$(PYTHON) -m deploy.build_deb -o build

camera: setup
	$(BIN)/python -m pytest -q -m container tests/e2e/test_picamera2_in_a_container.py

detection: setup
	$(BIN)/python -m sim.detection --seeds 500 --share 0.1
	$(BIN)/python -m sim.detection --seeds 500 --share 0.025
	$(BIN)/python -m sim.detection --seeds 200 --no-own-files

clean:
	rm -rf .venv mutants .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
