# Each target makes the environment that it needs in .venv first, or names what is missing;
# a second run installs nothing. tools/environment.py does it.

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
JOBS ?= 2
SEED ?= 1000
COUNT ?= 50000
# The release that the tests were run with; on Linux its CPU build is taken.
export TORCH ?= torch==2.13.0

SETUP = @$(PYTHON) tools/environment.py --venv $(VENV)
TESTS ?= tests
PYTEST = $(RUN) -m pytest -q -n $(JOBS) --dist loadfile $(TESTS)

.PHONY: help demo test test-all test-device test-oldest lint format onnx-exports benchmarks \
        onnx-tests docs notebooks docs-site dist fresh fuzz clean

help:
	@echo "make demo         convert the built-in acoustic model and show the result"
	@echo "make test         the tests that need no torch; TESTS=tests/cli: some of them"
	@echo "make test-all     all tests, as CI runs them: with torch and the emulator's compiler"
	@echo "make test-device  all tests, with the real DSP library: HEXCONV_LIBRARY=.../libhexagon_nn_skel.so"
	@echo "make test-oldest  the tests with the oldest releases that pyproject.toml allows"
	@echo "make lint         ruff and mypy"
	@echo "make format       ruff's formatter and fixes"
	@echo "make benchmarks   the figures that the documentation states"
	@echo "make onnx-tests   ONNX's own backend node tests"
	@echo "make onnx-exports the networks in tests/networks/exported, from torch"
	@echo "make docs         the generated pages; make docs-site: the site in build/site"
	@echo "make notebooks    the notebooks of docs/tutorials, run again"
	@echo "make fuzz         random graphs and damaged files for hours: SEED=1000 COUNT=50000, HEXCONV_LIBRARY as well"
	@echo "make dist         the sdist and the wheel of what is committed, checked"
	@echo "make fresh        try all of this on a bare Debian (root, debootstrap)"

demo:
	$(SETUP) demo
	$(RUN) -m hexconv demo

test:
	$(SETUP) test
	$(PYTEST)
	@echo "torch's exporters and the emulated DSP library are tested by make test-all"

test-all:
	$(SETUP) all
	$(PYTEST)

test-device:
	@[ -n "$$HEXCONV_LIBRARY" ] || { echo "set HEXCONV_LIBRARY to a libhexagon_nn_skel.so of MACE"; exit 1; }
	$(SETUP) all
	$(PYTEST)

test-oldest: VENV := .venv-oldest
test-oldest:
	$(SETUP) oldest
	$(PYTEST)

lint:
	$(SETUP) lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format:
	$(SETUP) lint
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

onnx-exports:
	$(SETUP) all
	$(RUN) -m tests.networks.make_exports

benchmarks:
	$(SETUP) all
	$(RUN) -m benchmarks.conversion
	$(RUN) -m benchmarks.calibration
	$(RUN) -m benchmarks.simulator
	$(RUN) -m benchmarks.tool_speed
	$(RUN) -m benchmarks.optimize
	$(RUN) -m benchmarks.report_page

onnx-tests:
	$(SETUP) test
	$(RUN) -m benchmarks.onnx_node_tests

notebooks:
	$(SETUP) all
	$(RUN) -m tools.notebooks

docs:
	$(SETUP) demo
	$(RUN) -m hexconv ops --format md --lang en > docs/ops.md
	$(RUN) -m hexconv ops --format md --lang zh > docs/ops.zh-CN.md
	$(RUN) -m benchmarks.schema_page

docs-site:
	$(SETUP) docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict --site-dir build/site
	@echo "the site is in build/site"

dist:
	$(PYTHON) tools/check_dist.py --output dist

fuzz:
	$(SETUP) all
	$(RUN) -m tests.fuzz --seed $(SEED) --count $(COUNT) --jobs $(JOBS) --folder build/fuzz
	$(RUN) -m tests.fuzz.files --seed $(SEED) --count $(COUNT) --jobs $(JOBS) --keep build/fuzz

fresh:
	bash tools/fresh.sh

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
