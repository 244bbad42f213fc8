# `make` lists what there is. PYTHON=/path/to/python picks the interpreter that .venv is made with, WORKERS the test processes,
# BENCH the options of the benchmark, such as BENCH="--records 20000 --accounts 1000".
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
WORKERS ?= 2
SEEDS ?= 1000
FIRST ?= 0
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
LOCK := requirements.lock
HOT := setup.py detectors/profile.py detectors/profile.pxd $(wildcard detectors/learners/*.pxd) \
       detectors/learners/scorecard.py detectors/learners/trees.py detectors/learners/novelty.py

.PHONY: help setup demo test broker broker-jars simulation nightly layout lint format types schemas bench bench-live ci lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 19

setup: $(READY)  ## make .venv from the lock, with fundtrail in it
	@echo "setup: $(VENV) is ready"

# A file target: the lock is installed again only when it, pyproject.toml or a compiled module is newer than the last time.
# Without a C compiler the compiled twins are left out, and the Python that they are made of runs instead.
$(READY): $(LOCK) pyproject.toml $(HOT)
	@python="$(PYTHON)"; \
	for candidate in $(if $(PYTHON),,python3 python3.13 python3.12 python3.11); do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	  then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "fundtrail needs Python 3.11 or later with its venv module; found none as python3, python3.13, python3.12, python3.11." >&2; \
	  echo "Install one (on Debian: python3 and python3-venv) or name it: make setup PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "setup: $$($$python --version) into $(VENV), packages from $(LOCK)"; \
	$$python -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## make up a small bank, replay it, show the alerts, explain one, write the report
	@$(PY) examples/demo.py

test: $(READY)  ## every test
	@$(PY) -m pytest -q -n $(WORKERS)

broker: $(READY)  ## only the tests that meet a real Kafka (Java 17 and Maven, or Docker, or KAFKA_BOOTSTRAP_SERVERS)
	@$(PY) -m pytest -q -n $(WORKERS) tests/broker

simulation: $(READY)  ## the live path under a seeded scheduler with faults, without Kafka: SEEDS worlds from FIRST on
	@$(PY) -m tests.simulation --seeds $(SEEDS) --from $(FIRST)

nightly: $(READY)  ## what takes an hour: 500 kills on a real Kafka, 20,000 simulated worlds
	@LIVE_KILLS=500 REQUIRE_BROKER=1 $(PY) -m pytest -q -s tests/broker/test_kills.py
	@$(PY) -m tests.simulation --seeds 20000 --from 1000000

broker-jars: $(READY)  ## fetch the real Kafka of the tests, once
	@$(PY) -W ignore -m tests.broker.jars

layout: $(READY)  ## only the tests of the house: import direction, purity, documents, schemas
	@$(PY) -m pytest -q tests/layout

lint: $(READY)  ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(READY)  ## ruff: mend what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(READY)  ## mypy: strict for detectors and streams, lighter for the rest
	@$(PY) -m mypy
	@$(PY) -m mypy $(sort $(dir $(wildcard benchmarks/*.py) $(wildcard examples/*.py) tests/))

schemas: $(READY)  ## write docs/schemas from the types
	@$(PY) -m streams.schemas

bench: $(READY)  ## the benchmarks, with a digest of each answer
	@if [ -f benchmarks/bench.py ]; then $(PY) benchmarks/bench.py $(BENCH); else echo "bench: there is no benchmarks/bench.py"; fi

bench-live: $(READY)  ## the live path on a real broker: throughput, the fold alone, latency
	@$(PY) benchmarks/bench_live.py $(BENCH)

ci: lint types layout test  ## what a change must pass

# --fork-strategy fewest: one version of each package for all Pythons, so that scores do not differ between them.
lock: $(READY)  ## renew requirements.lock to the newest versions pyproject.toml allows
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m uv pip compile pyproject.toml --no-config --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	  --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file $(LOCK)

clean:  ## remove what make made, .venv too
	rm -rf $(VENV) build dist demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
