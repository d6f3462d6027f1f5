# make app: the demo.  make test: the tests.  Both create .venv, and install only when the requirements have changed.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
CHECKED := kfaar_core $(if $(wildcard demo/*.py),demo)

.PHONY: app test lint weights clean dev-install

app: $(VENV)/installed
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CHECKED)

# Trains every weight of ours, in order; hours on two cores. Needs KFAAR_DATA (LFW) and KFAAR_TEACHERS; a run that was
# stopped continues. The three converted networks come from `python -m kfaar_core.convert`.
weights: $(VENV)/installed-dev
	$(BIN)/python -m kfaar_core.train all --resume $(ARGS)

dev-install: $(VENV)/installed-dev

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { echo "Python 3.11 to 3.14 is needed and \
	$(or $(PYTHON),any python3 on the path) is not one of them. Run make PYTHON=/path/to/python3.12." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@ $(VENV)/installed
