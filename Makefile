# Everything that people and CI do; each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUFF_TARGETS := common producer workers migrations tests benchmarks

.PHONY: help setup demo test check bench latency realism lookbook soak soak-report clean

help:
	@echo "make setup   a virtual environment in .venv, with .venv/bin/maskmill"
	@echo "make demo    the whole job on a sample photograph; prints where the results are"
	@echo "make test    lint, types, migrations and all tests"
	@echo "make soak    the long tests; writes build/soak.md, the table of what faults cost"
	@echo "make soak-report  put that table into docs/reliability.md"
	@echo "make bench   how fast the whole job is, and where the time goes"
	@echo "make latency how long one picture takes through an idle system"
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

# Most of a test of processes is waiting: four beside each other keep two cores busy.
TEST_PROCESSES ?= 4

test: check
	$(BIN)/python -m pytest -m "not soak" -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

SOAK_FIGURES := build/soak.jsonl

# The report is made of whatever ran, also when a test failed.
soak: setup
	@mkdir -p build; rm -f $(SOAK_FIGURES)
	MASKMILL_SOAK_REPORT=$(CURDIR)/$(SOAK_FIGURES) $(BIN)/python -m pytest -m soak -o timeout=1800 $(PYTEST_ARGS); \
		status=$$?; $(BIN)/python -m benchmarks.soakreport $(SOAK_FIGURES) | tee build/soak.md; exit $$status

soak-report: setup
	$(BIN)/python -m benchmarks.soakreport $(SOAK_FIGURES) --update docs/reliability.md

bench: setup
	$(BIN)/python -m benchmarks.job $(BENCH_ARGS)

latency: setup
	$(BIN)/python -m benchmarks.latency $(LATENCY_ARGS)

FACES ?= ../shared/faces

realism: setup
	$(BIN)/python -m benchmarks.realism $(FACES) $(REALISM_ARGS)

lookbook: setup
	$(BIN)/python -m benchmarks.lookbook --faces $(FACES) $(LOOKBOOK_ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
