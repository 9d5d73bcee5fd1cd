# Everything that people and CI do; each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUFF_TARGETS := common producer workers migrations tests benchmarks

.PHONY: help setup demo test check bench realism lookbook soak clean

help:
	@echo "make setup   a virtual environment in .venv, with .venv/bin/maskmill"
	@echo "make demo    the whole job on a sample photograph; prints where the results are"
	@echo "make test    lint, types, migrations and all tests"
	@echo "make soak    the long tests"
	@echo "make bench   how fast the whole job is, and where the time goes"
	@echo "make realism how real drawn masks are, in figures; FACES=folder, default ../shared/faces"
	@echo "make lookbook every kind of mask x pose x light, as pages in output/lookbook"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "maskmill needs Python 3.11 or newer, found $$($(PYTHON) --version); use: make PYTHON=python3.12"; exit 3; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/maskmill demo

check: setup
	$(BIN)/ruff check $(RUFF_TARGETS)
	$(BIN)/ruff format --check $(RUFF_TARGETS)
	$(BIN)/mypy
	@folder=$$(mktemp -d); export MASKMILL_DATABASE_URL=sqlite:///$$folder/check.db; \
		$(BIN)/alembic upgrade head && $(BIN)/alembic check; status=$$?; rm -rf $$folder; exit $$status

test: check
	$(BIN)/python -m pytest -m "not soak" $(PYTEST_ARGS)

soak: setup
	$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

bench: setup
	$(BIN)/python -m benchmarks.job $(BENCH_ARGS)

FACES ?= ../shared/faces

realism: setup
	$(BIN)/python -m benchmarks.realism $(FACES) $(REALISM_ARGS)

lookbook: setup
	$(BIN)/python -m benchmarks.lookbook --faces $(FACES) $(LOOKBOOK_ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
