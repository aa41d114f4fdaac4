# Everything a person runs: `make demo`, `make test`; what a commit must pass: `make check`.
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.installed
DEV := .venv/.installed-dev
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo test coverage drill fuzz check lint types bench bench-scale docs site lock clean

$(RUN): pyproject.toml constraints.txt
	@echo "Making the environment in .venv (about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e ".[catalogue,web]"
	@touch $@

$(DEV): $(RUN)
	@echo "Adding what tests need ..."
	@$(PIP) -e ".[astromon,catalogue,dev,docs,s3,web]"
	@touch $@

demo: $(RUN)
	@$(BIN)/exod demo

# The tests of a file share what they have made, so one process runs them. There is one process more
# than cores, since tests wait for processes that they start; each has one thread for matrices.
test: export OPENBLAS_NUM_THREADS = 1
# Processes that tests start need not compile the package anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(DEV)
	$(BIN)/python -m pytest -m "not drill" -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadfile --no-loadscope-reorder

# The lines of the package that `make test` runs, in its own processes and in those they start.
coverage: export OPENBLAS_NUM_THREADS = 1
coverage: $(DEV)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not drill" -n auto --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered

# What `make test` leaves out: searches that are killed and starved in 20 ways, campaigns, costly
# variants, and random input with more than three times the examples.
drill: export OPENBLAS_NUM_THREADS = 1
drill: $(DEV)
	EXOD_DRILL_SEEDS=20 $(BIN)/python -m pytest -n auto -m "drill or hypothesis" --hypothesis-profile drill

# Damaged files by the thousand; `make fuzz ARGS="--mutants 20000 --workers 2"`, see ARGS=--help.
fuzz: $(DEV)
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

check: lint types test

bench: $(DEV)
	$(BIN)/python -m benchmarks

bench-scale: $(DEV)
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.cluster_scale
	$(BIN)/python -m benchmarks.archive_scale
	$(BIN)/python -m benchmarks.archive_scale --light --observations 150000

docs: $(DEV)
	$(BIN)/python docs/generate.py

site: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "The documentation is in build/site/index.html"

lock: $(DEV)
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage demo
