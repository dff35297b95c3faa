# make bench   install, run the default study, write its report
# make test    install what the tests need, run them
# make fast    the core of every part alone: under a minute
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: bench test fast clean

bench: $(VENV)/.bench
	$(BIN)/bench run --all
	$(BIN)/bench report
	@echo
	@echo "The report is reports/quick/report.html (and report.md beside it)."

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m fast

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[lite0]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[lite0,test]'
	@touch $@ $(VENV)/.bench

clean:
	rm -rf $(VENV)
