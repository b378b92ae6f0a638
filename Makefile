# Each target sets itself up: a virtual environment with the pinned requirements, nothing by hand.
#   make app | demo | test | check      the usual ones
#   make test-browser                   the page in a real browser
#   make test-slow | test-gpu | bench   the ones that take long or need a GPU
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# As many processes as there are cores, see tests/conftest.py; a number here overrides that.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist worksteal

.PHONY: app demo test test-browser test-slow test-gpu check format bench clean

app: $(VENV)/.ready
	$(BIN)/python app.py

demo: $(VENV)/.ready
	mkdir -p results
	$(BIN)/python -m lipsync run lipsync/samples/face.jpg lipsync/samples/voice.mp3 --variant builtin -o results/demo.mp4

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL)

test-browser: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "browser and not slow"

test-slow: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m "slow and not gpu"

test-gpu: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m gpu

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.end_to_end
	$(BIN)/python -m benchmarks.memory

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# torch comes first, and the rest is built against it: basicsr's set-up script asks for torch, and
# building it in isolation would download torch a second time.
$(VENV)/.ready: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; say which: make PYTHON=python3.12 app"; exit 1; }
	@echo "Setting up $(VENV): once, a few minutes, about 7 GB on Linux."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip setuptools wheel
	@$(PIP) torch torchvision numpy cython
	@$(PIP) --no-build-isolation -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	@$(PIP) --no-build-isolation -r requirements-dev.txt
	@touch $@
