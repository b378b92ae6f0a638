# Each target sets itself up: a virtual environment with the pinned requirements, nothing by hand.
#   make app | demo | test | check | docs     the usual ones
#   make test-browser                         the page in a real browser
#   make test-slow | test-gpu | bench         the ones that take long or need a GPU
#   make wheel                                the package in dist/, as `pip install` takes it
#   make pins | check-pins                    renew constraints.txt; ask the registry whether it holds
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# As many processes as there are cores, see tests/conftest.py; a number here overrides that.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist worksteal

.PHONY: app demo test test-browser test-slow test-gpu check docs format bench wheel pins check-pins clean

app: $(VENV)/.installed
	$(BIN)/python app.py

demo: $(VENV)/.installed
	mkdir -p results
	$(BIN)/lipsync run lipsync/samples/face.jpg lipsync/samples/voice.mp3 --variant builtin -o results/demo.mp4 --overwrite

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL)

test-browser: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "browser and not slow"

test-slow: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "slow and not gpu"

test-gpu: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m gpu

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.ready-docs
	$(BIN)/mkdocs build --strict
	@echo "The documentation is in site/index.html."

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.end_to_end
	$(BIN)/python -m benchmarks.memory

wheel: $(VENV)/.ready-dev
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# What is pinned stays as long as it fits; `rm constraints.txt` first takes the newest of everything.
# sed takes out of each line what [tool.uv] in pyproject.toml says of all of them.
pins: $(VENV)/.ready-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
	  --extra train --extra gfpgan --extra separate --extra speak --extra english --extra youtube --extra cluster --extra dev --extra docs \
	  pyproject.toml --output-file constraints.txt
	{ echo "# Exact versions that were tested, for Python 3.10 to 3.14. Made by: make pins"; \
	  grep -v '^#' constraints.txt | sed -E \
	    -e "s/ and \(\(platform_machine == 'arm64' and sys_platform == 'darwin'\) or sys_platform == 'linux' or sys_platform == 'win32'\)//" \
	    -e "s/ and python_full_version < '3\.15'//" -e "s/ ; python_full_version < '3\.15' and / ; /" \
	    -e "s/ ; python_full_version < '3\.15'$$//"; } > constraints.new
	mv constraints.new constraints.txt

check-pins: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m registry

clean:
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# torch comes first, and the rest is built against it: basicsr's set-up script asks for torch, and
# building it in isolation would download torch a second time.
$(VENV)/.ready: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v < (3, 15) or sys.exit("lipsync runs on Python 3.10 to 3.14, and $(PYTHON) is Python %d.%d. For newer ones not every package that it needs has been built yet.\nSay which Python to use, for example: make PYTHON=python3.14 app" % v)'
	@echo "Setting up $(VENV): once, a few minutes, about 7 GB on Linux."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip setuptools wheel
	@$(PIP) torch torchvision numpy cython
	@$(PIP) --no-build-isolation -r requirements.txt
	@touch $@

# The command `lipsync` of this clone, which works from any folder: $(BIN)/lipsync.
$(VENV)/.installed: $(VENV)/.ready pyproject.toml
	@$(PIP) hatchling
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready pyproject.toml
	@$(PIP) hatchling
	@$(PIP) --no-build-isolation --only-deps '.[dev]'
	@touch $@

$(VENV)/.ready-docs: $(VENV)/.ready-dev
	@$(PIP) --no-build-isolation --only-deps '.[docs]'
	@touch $@
