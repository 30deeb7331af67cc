# Two commands do everything on a machine with Python 3.11+ and make:
#   make demo   a demo company, its models and the running service   (DATA=complete-journey, PORT=3000)
#   make test   lint, types and all tests

PYTHON ?= python3
PORT ?= 3000
DATA ?= company
TESTS ?= tests
PYTEST_ARGS ?=

# Nothing of ours or of the libraries we use reports home.
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := true
# On busy cores OpenMP's default of spinning threads makes small fits a hundred times slower.
export OMP_WAIT_POLICY := passive
# Without compiled bytecode every start imports two to three times slower.
unexport PYTHONDONTWRITEBYTECODE

UV := .tools/bin/uv
BIN := .venv/bin

.PHONY: demo test lint format install lock bench-models bench-decisions bench-scoring fuzz-bundles kills realism scenarios clean clean-demo
.DEFAULT_GOAL := test

demo: install
	@exec $(BIN)/nextbest demo --data $(DATA) --port $(PORT)

# Tests start in the order of their files: by their number, as is usual, whole commands would come
# last, few tests each, and wait for one core.
test: install lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS) $(TESTS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: .venv/installed .venv-serve/installed

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python %d.%d found; nextbest needs 3.11 or newer: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "First start: about 450 MB of Python packages will be downloaded into .venv and .venv-serve; later starts download nothing." >&2
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --require-hashes --target .tools --upgrade -r requirements/uv.txt
	@touch $@

.venv/installed: $(UV) requirements/train.txt pyproject.toml
	@echo "Installing the training environment (.venv)" >&2
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv
	@$(UV) pip install --quiet --require-hashes --python $(BIN)/python -r requirements/train.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --offline --python $(BIN)/python --editable .
	@touch $@

.venv-serve/installed: $(UV) requirements/serve.txt
	@echo "Installing the serving environment (.venv-serve)" >&2
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv-serve
	@$(UV) pip install --quiet --require-hashes --python .venv-serve/bin/python -r requirements/serve.txt
	@touch $@

# Serving is compiled under the constraint of training: what serves is what was trained with.
lock: $(UV)
	$(UV) pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements/train.txt
	$(UV) pip compile pyproject.toml --constraint requirements/train.txt --universal --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements/serve.txt

# A JSON object a line: figure, bar, interval, peer. About ten minutes; BENCH=airline runs one.
bench-models: install
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_models.py $(BENCH)

# The same for decisions and how they are judged. BENCH=policies runs one.
bench-decisions: install
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_decisions.py $(BENCH)

# 1,650 damaged bundles with valid checksums against the loading code; `make test` runs 60 of them.
fuzz-bundles: install
	@PYTHONPATH=. $(BIN)/python benchmarks/fuzz_bundles.py

# CPU time of one scored row, beside LightGBM's scikit-learn wrapper on a frame.
bench-scoring: install
	@PYTHONPATH=. $(BIN)/python benchmarks/bench_scoring.py

# Lays the demo company beside real data and writes docs/simulated-and-real.md.
realism: install
	PYTHONPATH=. $(BIN)/python benchmarks/simulated_and_real.py

# Twenty trainings killed at twenty places, and what each leaves; `make test` kills five.
kills: install
	NEXTBEST_KILLS=20 $(BIN)/python -m pytest tests/training/test_leftovers.py

# Which rows the stories in tests/scenarios show, and which none shows yet; writes docs/rows.md.
scenarios: install
	@$(BIN)/python tests/scenarios/report.py --write

clean-demo:
	rm -rf .nextbest-demo .nextbest-complete-journey

clean: clean-demo
	rm -rf .venv .venv-serve .tools
