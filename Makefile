# make run | test | check | bench | bench-full | bench-compare | profile | storm. Each sets up what it needs in .venv on its first call; nothing is installed outside of it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More workers than cores: most tests wait most of the time. Given out one by one, in order; those that measure come last, alone (tests/conftest.py).
WORKERS ?= 6
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist load --maxschedchunk 1

.PHONY: run test check bench bench-full bench-compare profile storm clean

run: $(VENV)/.run
	$(BIN)/enqueuer demo

test: $(VENV)/.test
	@.ci/install-packages
	$(PYTEST)

check: $(VENV)/.check $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python tests/guards.py
	$(PYTEST) -m "not server and not storm"

# TMPDIR decides the filesystem: put it on the one that your spool is on.
bench: $(VENV)/.bench
	$(BIN)/python -m bench

bench-full: $(VENV)/.bench
	$(BIN)/python -m bench --full

# BASE=a copy of bench/results/short.json or full.json: what became slower since.
bench-compare: $(VENV)/.bench
	@test -n "$(BASE)" || { echo "make bench-compare BASE=FILE: a copy of bench/results/short.json or full.json"; exit 64; }
	$(BIN)/python -m bench compare $(BASE)

# Where the CPU goes, a message: by process, step and function.
profile: $(VENV)/.bench
	$(BIN)/python -m bench profile

# Long, seeded destruction: ENQUEUER_SEED=... replays; as root also the storms that need a disk of their own.
storm: $(VENV)/.test
	@.ci/install-packages
	$(BIN)/python -m pytest -q -m storm -s tests/storm tests/queue/proof

# One stamp a set of packages, made anew when setup.cfg changes.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Enqueuer needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No venv module: apt install python3-venv"; exit 1; }

$(VENV)/.run: setup.cfg | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.test $(VENV)/.bench $(VENV)/.check: $(VENV)/.%: setup.cfg $(VENV)/.run
	$(BIN)/pip install --quiet --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
