# make bench   install, run the default study, write its report
# make test    install what the tests need, run them
# make fast    the core of every part alone: under a minute
# make cluster studies on a real Slurm and a real Ray, where they are installed
# make docs    the documentation as a website, in build/site
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: bench test fast cluster docs clean

# Runs that failed (exit code 1) are results: the report says which, and make ends with that code.
bench: $(VENV)/.bench
	@echo "$(BIN)/bench run --all"; $(BIN)/bench run --all; code=$$?; [ $$code -le 1 ] || exit $$code; \
	  echo "$(BIN)/bench report"; $(BIN)/bench report || exit; \
	  echo; echo "The report is reports/quick/report.html (and report.md beside it)."; exit $$code

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m fast

cluster: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal -m cluster

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The website is build/site/index.html."

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("bench needs Python 3.11 or later, and $(PYTHON) is " \
	  + sys.version.split()[0] + ": type make with PYTHON=python3.12, or whichever is there")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[lite0]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[lite0,test,docs]'
	@touch $@ $(VENV)/.bench

clean:
	rm -rf $(VENV)
