# make demo, make test: each sets up a virtual environment of its own in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Plain `torch` may bring gigabytes of GPU libraries; this release has a CPU build.
TORCH := torch==2.13.0
JOBS ?= 2

.PHONY: help demo test test-device lint format benchmarks onnx-tests docs clean

help:
	@echo "make demo         convert the built-in acoustic model and show the result"
	@echo "make test         run the tests (sets everything up)"
	@echo "make test-device  run them with the real DSP library: HEXCONV_LIBRARY=.../libhexagon_nn_skel.so"
	@echo "make lint         ruff and mypy"
	@echo "make benchmarks   the figures that the documentation states"
	@echo "make onnx-tests   ONNX's own backend node tests"
	@echo "make docs         the generated pages"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hexconv needs Python 3.11 or newer; give one: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "no virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.core: $(BIN)/python pyproject.toml
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet $(TORCH)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

# The emulated Hexagon needs qemu-hexagon: installed where that is allowed, named where it is not.
.PHONY: system
system:
	@command -v qemu-hexagon >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq >/dev/null && apt-get install -y -qq qemu-user >/dev/null; } || \
	  echo "qemu-hexagon is missing: the tests of 'hexconv device' are skipped." \
	       "On Debian: sudo apt-get install qemu-user"

	@command -v cmake >/dev/null && command -v c++ >/dev/null || \
	  echo "cmake or a C++ compiler is missing: the tests of 'hexconv bench --cpp' are skipped." \
	       "On Debian: sudo apt-get install cmake g++"

demo: $(VENV)/.core
	$(BIN)/python -m hexconv demo

test: $(VENV)/.test system
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests

test-device: $(VENV)/.test system
	@[ -n "$$HEXCONV_LIBRARY" ] || { echo "set HEXCONV_LIBRARY to libhexagon_nn_skel.so (v60)"; exit 1; }
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .

benchmarks: $(VENV)/.test
	$(BIN)/python -m benchmarks.conversion
	$(BIN)/python -m benchmarks.calibration
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.tool_speed
	$(BIN)/python -m benchmarks.optimize

onnx-tests: $(VENV)/.test
	$(BIN)/python -m benchmarks.onnx_node_tests

docs: $(VENV)/.test
	$(BIN)/python -m hexconv ops --format md --lang en > docs/ops.md
	$(BIN)/python -m hexconv ops --format md --lang zh > docs/ops.zh-CN.md

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
