# Two commands for a user: `make run` and `make demo`. One for a developer: `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export ANIBRIDGE_DATA_DIR ?= data
# One more than there are cores: the tests with real processes mostly wait.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: help run demo test upstream lint format bench services lock clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# pip leaves a stamp, so a second start installs nothing.
$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "AniBridge needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what AniBridge needs (once) …"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.txt
	@echo "Installing what the tests need (once) …"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: $(VENV)/.runtime  ## everything a fresh machine needs, then AniBridge with its demo catalogue
	@ANIBRIDGE_DEMO=$${ANIBRIDGE_DEMO:-true} exec $(BIN)/python manage.py up

demo: $(VENV)/.runtime  ## the whole journey, against a running AniBridge or one of its own
	@exec $(BIN)/python manage.py demo

test: $(VENV)/.development  ## the whole suite
	@exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

upstream: $(VENV)/.development  ## qbittorrent-api's own tests against AniBridge
	@exec $(BIN)/python -m tests.upstream.qbittorrent_api $(ARGS)

lint: $(VENV)/.development  ## ruff, import-linter, mypy, missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.development  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.development  ## measure against the references in bench/
	$(BIN)/python -m bench.resolver
	$(BIN)/python -m bench.torznab
	$(BIN)/python -m bench.qbshim
	$(BIN)/python -m bench.download
	$(BIN)/python -m bench.strm

services:        ## Debian packages that the service tests use (as root)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends redis-server postgresql ffmpeg qbittorrent-nox mpv chromium

lock: $(VENV)/.development  ## pin the newest versions of what requirements*.in name
	$(BIN)/uv pip compile -q --universal --upgrade --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --upgrade --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt

clean:           ## remove the environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
