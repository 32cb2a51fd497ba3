# Needs Debian's python3 (3.11), python3-venv, make and git; everything else comes into .venv.
# PIP_* variables of the environment (an index, a proxy, a cache) are honoured.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := platform/rivta producers_stub benchmarks tests

.PHONY: help setup up check test format lint types bench clean

help:
	@echo 'make up      start both platforms and the producers, with the tables of routing/ (Ctrl-C ends)'
	@echo 'make setup   make $(VENV) with rivta in it'
	@echo 'make check   format, lint, types and the tests without sockets (under a minute)'
	@echo 'make test    every test (under five minutes)'
	@echo 'make format  put the code into shape'
	@echo 'make bench   our speed beside that of a plain proxy'
	@echo 'make clean   remove $(VENV) and what the tools leave behind'

setup: $(STAMP)

# Once, and again only when what is to be installed has changed: the code itself is used where it stands.
$(STAMP): setup.cfg pyproject.toml
	@python=$$(command -v $(PYTHON) || command -v python3 || true); \
	if [ -z "$$python" ]; then \
	  echo 'make setup: no $(PYTHON) and no python3 found: apt-get install python3 python3-venv' >&2; exit 1; fi; \
	if ! "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; then \
	  echo "make setup: $$python is $$("$$python" -V): rivta needs Python 3.11 to 3.13 (make setup PYTHON=/path/to/python3.11)" >&2; \
	  exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "make setup: $$python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV); \
	printf 'rivta and its libraries into $(VENV) (a minute or so) '; \
	if ! $(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' 2>&1 | tee $(VENV)/pip.log \
	  | while read -r word rest; do if [ "$$word" = Collecting ]; then printf '.'; fi; done; then \
	  echo; tail -n 20 $(VENV)/pip.log >&2; \
	  echo 'make setup: pip failed: the lines above say why; the whole of it is in $(VENV)/pip.log' >&2; exit 1; fi; \
	echo ' done'; \
	touch $(STAMP)

up: setup
	@exec $(BIN)/rivta up --tables routing

check: lint types
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m 'not sockets and not pair and not postgres and not browser'

lint: setup
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo 'make format puts these files into shape' >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)

types: setup
	@$(BIN)/mypy $(CODE)

# Two processes; the tests that share the running pair stay together in one of them.
test: setup
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup

format: setup
	@$(BIN)/ruff format --quiet $(CODE)
	@$(BIN)/ruff check --quiet --fix $(CODE)

bench: setup
	@$(BIN)/rivta bench

clean:
	rm -rf $(VENV) build dist platform/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
